"""What an architecture has to say: its name, its numbers, and a reader of its instructions.

An architecture is one file (or folder) that makes an ``Isa`` and one line in ``isa/__init__.py``.
Its ``read`` turns code into ``Steps``, columns of only those instructions that matter to the
stack: those that move the stack pointer or copy it, and those that end or redirect the flow.
What becomes of the stack along the paths is worked out elsewhere, for all architectures alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes


class Effect(IntEnum):
    """What an instruction does to the stack pointer, or to a copy of it in another register."""

    NONE = 0
    ADD = 1
    """sp += value (a push is negative)."""
    COPY = 2
    """slot = sp + value."""
    RESTORE = 3
    """sp = slot + value."""
    ALIGN = 4
    """sp &= -value; value is the power of two."""
    DYNAMIC = 5
    """sp -= an amount not known here, at most ``value`` bytes (NO_AMOUNT where no limit shows)."""
    LOST = 6
    """sp = something that this reader does not follow; what it was is kept in slot SAVED, from
    where a RESTORE takes it if the code had saved it on another stack and pops it again."""
    MOVE = 7
    """slot = slot[value >> 24] + the low 24 bits, signed: a copy made from another copy."""


class Flow(IntEnum):
    """Where control goes after an instruction."""

    NEXT = 0
    BRANCH = 1
    """To ``target`` or on."""
    JUMP = 2
    """To ``target`` only; where that lies in another function it is a tail call."""
    CALL = 3
    """Elsewhere, and normally back; ``target`` is 0 where it is not known."""
    STOP = 4
    """Nowhere that is part of this function: a return, a halt."""
    INDIRECT = 5
    """A jump to an address in a register or in memory: a jump table or a tail call; with a
    ``target`` it may go there as well (a conditional jump)."""
    TRAP = 6
    """An instruction that traps: the end of a path (BUG), or one that is resumed (WARN)."""


# How many copies of the stack pointer are followed at once; an Isa says which register has which.
SLOTS = 6

# The slot that no register has: the stack pointer as it was before it was LOST.
SAVED = SLOTS - 1

# The ``value`` of a DYNAMIC effect whose amount has no limit that the code shows.
NO_AMOUNT = -1


@dataclass(frozen=True, eq=False)
class Steps:
    """The instructions that matter to the stack, by ascending address, columns of one length.

    Attributes:
        start: address of the instruction, uint64.
        end: the address after it (after its delay slot, where that belongs to it), uint64.
        effect: Effect, uint8.
        slot: which copy of the stack pointer the effect writes or reads, 0 to SLOTS - 1, uint8.
        value: the effect's number, int32.
        flow: Flow, uint8.
        target: address that a direct branch, jump or call goes to; 0 where there is none, uint64.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    effect: NDArray[np.uint8]
    slot: NDArray[np.uint8]
    value: NDArray[np.int32]
    flow: NDArray[np.uint8]
    target: NDArray[np.uint64]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.start)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Steps:
        """Those at an index, a mask or a slice."""
        return Steps(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


_COLUMN_TYPES = (np.uint64, np.uint64, np.uint8, np.uint8, np.int32, np.uint8, np.uint64)


def joined(parts: list[Steps]) -> Steps:
    """The steps of several sections, given in the order of their addresses, as one."""
    names = [field.name for field in fields(Steps)]
    columns = [
        np.concatenate([np.zeros(0, kind), *(getattr(part, name) for part in parts)])
        for name, kind in zip(names, _COLUMN_TYPES, strict=True)
    ]
    return Steps(*columns)


@dataclass(frozen=True, eq=False)
class Ranges:
    """Stretches of code to read, sorted by ``start`` and disjoint: (n,) arrays of uint64."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]

    def __len__(self) -> int:
        """How many stretches there are."""
        return len(self.start)


@dataclass(frozen=True, eq=False)
class Code:
    """One section of code: its bytes, shape (size,), and the address of the first."""

    data: Bytes
    address: int


@dataclass(frozen=True)
class Isa:
    """An architecture.

    Attributes:
        name: as the kernel's ``arch`` and checkstack call it, for example ``x86_64``, ``arm64``.
        bits: size of an address.
        entry_depth: bytes on the stack when a function begins, for example 8 for the return
            address that x86-64's call pushes.
        stack_alignment: what the stack pointer is a multiple of at all times, in bytes.
        sp_register: the stack pointer's DWARF register number.
        cfa_bias: what to take from a CFA's offset to have the depth (160 on s390, else 0).
        instruction_alignment: what addresses of instructions are multiples of, in bytes.
        filler: the bytes that padding between functions consists of.
        red_zone: bytes below the stack pointer that a function of a user program may use without
            moving it; they are in no frame.
        read: the stack steps of the code in the given ranges of one section. Bytes that are no
            instruction end a range early; they never raise.
    """

    name: str
    bits: int
    entry_depth: int
    stack_alignment: int
    sp_register: int
    cfa_bias: int
    instruction_alignment: int
    filler: bytes
    read: Callable[[Code, Ranges], Steps]
    red_zone: int = 0
