"""Where chains begin: entry points with the way that leads to them, or functions by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from stackgauge.calls.depths import Calls
from stackgauge.calls.graph import Graph
from stackgauge.calls.linking import function_at
from stackgauge.kernel.entries import Entries, EntryKind
from stackgauge.kernel.stacks import On, Stack


class Above(NamedTuple):
    """A function on the way to an entry point, with its bytes where it calls the next.

    Attributes:
        function: its row in the graph.
        least, most: the bytes.
    """

    function: int
    least: int
    most: int


class Start(NamedTuple):
    """Where a chain begins.

    Attributes:
        function: its row in the graph.
        entry: what kind of entry point it is, in lower case; empty for any other function.
        stack: the stack that it runs on; empty where nothing says so.
        room: bytes of that stack that a chain can use; None where not known.
        pushed: bytes that hardware and entry code have put there before all else.
        above: the functions that run in between, outermost first.
    """

    function: int
    entry: str = ""
    stack: str = ""
    room: int | None = None
    pushed: int = 0
    above: tuple[Above, ...] = ()


def entry_starts(
    graph: Graph, calls: Calls, entries: Sequence[Entries], stacks: Sequence[Stack]
) -> list[Start]:
    """The entry points of a graph's images.

    Args:
        graph: the graph.
        calls: the bytes at its calls, by caller and callee.
        entries: those of each image.
        stacks: those of the kernel.
    """
    room = {one.on: None if one.size is None else one.size - one.reserved for one in stacks}
    # Most entry points have much of their way in common.
    known = cache(partial(_above, calls))
    result = []
    # A loop over entry points, some thousand: each has a way of its own.
    for image, table in enumerate(entries):
        function = function_at(graph.frames[image], table.address)
        function[function >= 0] += graph.first[image]
        ways = [_found(graph, route.functions) for route in table.routes]
        columns = (
            function.tolist(), table.kind.tolist(), table.stack.tolist(),
            table.entry_bytes.tolist(), table.route.tolist(),
        )  # fmt: skip
        for row, kind, stack, pushed, route in zip(*columns, strict=True):
            if row < 0:
                continue
            on, way = On(stack), [*ways[route], row]
            above = tuple(known(one, after) for one, after in pairwise(way))
            name = EntryKind(kind).name.lower().replace("_", "-")
            result.append(Start(row, name, stack_name(on), room.get(on), pushed, above))
    return result


def stack_name(on: On) -> str:
    """What a stack is called in the output."""
    return on.name.lower().replace("_", "-")


def _found(graph: Graph, names: tuple[str, ...]) -> list[int]:
    """The functions of these names, less those that the kernel does not have."""
    rows = [graph.find(name) for name in names]
    return [int(row[0]) for row in rows if len(row)]


def _above(calls: Calls, caller: int, callee: int) -> Above:
    """A function's bytes where it calls another; one that is not seen to call it is taken whole."""
    low, high = np.searchsorted(calls.caller, [caller, caller + 1]).tolist()
    at = low + int(np.searchsorted(calls.callee[low:high], callee))
    if at < high and calls.callee[at] == callee:
        return Above(caller, int(calls.least_at[at]), int(calls.most_at[at]))
    return Above(caller, int(calls.least[caller]), int(calls.most[caller]))
