"""What instructions do with registers and memory, for following values through code.

An architecture's reader makes these columns of every instruction of some code. They say exactly
what a few kinds of instruction compute, those that move addresses about; of all others, only which
registers they change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Code, Ranges

# The number of no register.
NO_REGISTER = -1


class Op(IntEnum):
    """What an instruction computes; an address is ``base + disp``, or ``disp`` without a base."""

    OTHER = 0
    """Anything else: what it writes is not known afterwards."""
    COPY = 1
    """target = base"""
    LOAD = 2
    """target = the pointer at the address"""
    ADDRESS = 3
    """target = the address"""
    SELECT = 4
    """target = base or source"""
    STORE = 5
    """the pointer at the address = source"""
    STORE_CONSTANT = 6
    """the pointer at the address = value"""
    GO = 7
    """A call, jump or branch to what ``base`` holds, or where it has none to ``disp``."""
    GO_LOADED = 8
    """A call or jump to the pointer at the address."""
    CHANGE = 9
    """What lies at the address is changed in some other way; told of the stack alone."""
    PAGE = 10
    """target = an address near ``disp``, to which another instruction adds the rest"""


@dataclass(frozen=True, eq=False)
class Operands:
    """Every instruction of some ranges of code, by ascending address; columns of one length.

    Attributes:
        start: its address, uint64.
        op: Op, uint8.
        target: the register written, NO_REGISTER where there is none, int8.
        base: the register read first, NO_REGISTER where there is none, int8.
        source: the register read otherwise, int8.
        value: the number that STORE_CONSTANT stores, int32.
        indexed: whether the address has an index register too, bool.
        disp: int64; where the address has no base, the whole address.
        writes: a bit for each register that is changed, uint64.
        flow: Flow, uint8.
    """

    start: NDArray[np.uint64]
    op: NDArray[np.uint8]
    target: NDArray[np.int8]
    base: NDArray[np.int8]
    source: NDArray[np.int8]
    value: NDArray[np.int32]
    indexed: NDArray[np.bool_]
    disp: NDArray[np.int64]
    writes: NDArray[np.uint64]
    flow: NDArray[np.uint8]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.start)

    def find(self, address: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The row of the instruction that begins at each address; -1 where none does."""
        if not len(self):
            return np.full(len(address), -1, np.intp)
        at = np.minimum(np.searchsorted(self.start, address), len(self) - 1)
        return np.where(self.start[at] == address, at, -1)


def joined_operands(parts: list[Operands]) -> Operands:
    """The instructions of several sections, given in the order of their addresses, as one."""
    return Operands(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Operands))
    )


@dataclass(frozen=True)
class Convention:
    """How functions are called (an ABI's).

    Attributes:
        read: makes the operands of the code in some ranges of a section.
        arguments: registers of the first arguments, in their order.
        result: register of what a function returns.
        stack: the stack pointer.
        frame: the frame pointer.
        width: bytes of a pointer.
        names: what the registers are called, by their numbers.
        dwarf: their numbers in debug information.
    """

    read: Callable[[Code, Ranges], Operands]
    arguments: tuple[int, ...]
    result: int
    stack: int
    frame: int
    width: int
    names: tuple[str, ...]
    dwarf: tuple[int, ...]
