"""Entry points as columns: where the kernel begins to run code, on which stack, how deep in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.kernel.stacks import On


class EntryKind(IntEnum):
    """What makes the kernel run a function."""

    SYSCALL = 0
    IRQ = 1
    EXCEPTION = 2
    SOFTIRQ = 3
    WORK = 4
    KTHREAD = 5
    TIMER = 6
    INITCALL = 7
    MODULE_INIT = 8
    MODULE_EXIT = 9
    BOOT = 10


class Found(IntEnum):
    """How an entry point was found."""

    TABLE = 0
    """A table of the kernel names it: it is one."""
    NAME = 1
    """Its symbol has a name that only such functions have; no table may ever lead there."""
    DATA = 2
    """A static structure that the kernel runs (a work item, a timer) holds it."""
    ARGUMENT = 3
    """Code hands it to the function that registers such entry points."""


class Route(NamedTuple):
    """How the kernel gets to an entry point: everything that lies above it on its stack.

    Attributes:
        pushed: bytes that the hardware and code in assembly have put on the stack, the saved
            registers among them, before the first function runs.
        functions: the functions that run in between, outermost first; one that the kernel does
            not have (it was inlined, or is of another release) is left out.
    """

    pushed: int
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Entries:
    """Entry points; columns of one length, by kind and then in the order of their tables.

    Attributes:
        address: of the function, uint64.
        kind: EntryKind, uint8.
        stack: On, the stack that the function runs on, uint8.
        entry_bytes: bytes on that stack before the first function of the route (or where that is
            empty the entry point itself) runs, int32.
        route: which of ``routes`` leads there, uint8.
        found: Found, uint8.
        names: the functions' names.
        routes: what ``route`` indexes.
    """

    address: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    stack: NDArray[np.uint8]
    entry_bytes: NDArray[np.int32]
    route: NDArray[np.uint8]
    found: NDArray[np.uint8]
    names: list[str]
    routes: list[Route]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.address)


class Group(NamedTuple):
    """Entry points of one kind that are reached in one way.

    Attributes:
        kind: what they are.
        on: the stack that they run on.
        route: how the kernel gets there.
        found: how they were found.
        address: (n,) uint64.
        names: n names.
    """

    kind: EntryKind
    on: On
    route: Route
    found: Found
    address: NDArray[np.uint64]
    names: list[str]


def put_together(groups: list[Group], as_compiled: Callable[[str], str]) -> Entries:
    """The groups as one table; of a function that a kind has twice on a stack the first counts.

    Args:
        groups: the groups.
        as_compiled: what the kernel calls a function of its source.
    """
    groups = [group for group in groups if len(group.address)]
    counts = [len(group.address) for group in groups]
    routes = list(dict.fromkeys(group.route for group in groups))
    compiled = [Route(one.pushed, tuple(map(as_compiled, one.functions))) for one in routes]

    def column(values: list[int], kind: type[np.generic]) -> NDArray[np.generic]:
        return np.repeat(np.array(values, kind), counts)

    address = np.concatenate([np.zeros(0, np.uint64), *(group.address for group in groups)])
    kind = column([group.kind for group in groups], np.uint8)
    stack = column([group.on for group in groups], np.uint8)
    names = [name for group in groups for name in group.names]
    pushed = column([group.route.pushed for group in groups], np.int32)
    route = column([routes.index(group.route) for group in groups], np.uint8)
    found = column([group.found for group in groups], np.uint8)
    key = np.zeros(len(address), [("address", "u8"), ("kind", "u1"), ("stack", "u1")])
    key["address"], key["kind"], key["stack"] = address, kind, stack
    first = np.unique(key, return_index=True)[1]
    keep = np.sort(first)
    keep = keep[np.argsort(kind[keep], kind="stable")]
    return Entries(
        address[keep],
        kind[keep].astype(np.uint8),
        stack[keep].astype(np.uint8),
        pushed[keep].astype(np.int32),
        route[keep].astype(np.uint8),
        found[keep].astype(np.uint8),
        [names[at] for at in keep.tolist()],
        compiled,
    )
