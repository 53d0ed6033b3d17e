"""What a register holds at an instruction, as far as the straight line before it says.

Used at the few places where the stack pointer is moved by a register's value: a constant that does
not fit an immediate, a frame with over-aligned variables, ``alloca``, the kernel's random stack
offset. So it is plain Python over one instruction at a time, while everything else is arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.arm64.amounts import extended, result
from stackgauge.isa.arm64.encoding import SP, Words, bitmask_immediate
from stackgauge.isa.arm64.forms import ADD_EXTENDED, ADD_IMMEDIATE, ADD_TAG, AND_IMMEDIATE

# How far back an instruction is looked for, and how many are followed one after the other.
WINDOW = 64
CHAIN = 8

# More bytes than any stack has; also what an int32 column holds.
LARGEST = 1 << 30


class Move(NamedTuple):
    """One instruction's part in making an address: an amount to add or take, or an alignment."""

    add: int = 0
    take: Amount = known(0)
    align: int = 1


class Origin(NamedTuple):
    """How an address came from a register: from ``base`` just before ``at``, by ``moves``."""

    at: int
    base: int
    moves: list[Move]


class Tracer:
    """Looks back from an instruction along its straight line."""

    def __init__(
        self, words: Words, written: NDArray[np.uint32], begins: NDArray[np.bool_]
    ) -> None:
        """Look back over some code.

        Args:
            words: the instructions.
            written: the set of registers that each one writes, bit 31 for the stack pointer.
            begins: where a straight line begins, because control may come from elsewhere.
        """
        self._words = words
        self._written = written
        self._begins = begins

    def word(self, at: int) -> int:
        """The instruction at an index."""
        return int(self._words[at])

    def writer(self, at: int, register: int) -> int | None:
        """The last instruction before ``at``, in its straight line, that writes ``register``."""
        for here in range(at, max(at - WINDOW, 0), -1):
            if self._begins[here]:
                return None
            if int(self._written[here - 1]) >> register & 1:
                return here - 1
        return None

    def amount(self, at: int, register: int, depth: int = 0) -> Amount:
        """The number in ``register`` just before ``at``; register 31 is the zero register."""
        if register == SP:
            return known(0)
        writer = self.writer(at, register) if depth < CHAIN else None
        if writer is None:
            return ANY
        word = self.word(writer)
        return result(word, lambda low: self.amount(writer, word >> low & 31, depth + 1))

    def step(self, at: int) -> tuple[int, Move] | None:
        """The base register of an instruction that makes an address, and what it does to it.

        Returns:
            Base 31 is the stack pointer; None for an instruction that is not followed.
        """
        word = self.word(at)
        base, other, down = word >> 5 & 31, word >> 16 & 31, word >> 30 & 1
        move: Move | None = None
        if ADD_IMMEDIATE.fits(word):
            number = (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
            move = Move(add=-number if down else number)
        elif ADD_TAG.fits(word):
            number = (word >> 16 & 63) * 16
            move = Move(add=-number if down else number)
        elif ADD_EXTENDED.fits(word):
            move = _by_register(extended(self.amount(at, other), word), down)
        elif word & 0xFFE0FFE0 == 0xAA0003E0 and other != SP:  # MOV between registers
            base, move = other, Move()
        elif base == SP:  # in the others it is the zero register
            pass
        elif word & 0xBFE00000 == 0x8B000000:  # ADD and SUB of a register, shifted left
            move = _by_register(self.amount(at, other).shifted(word >> 10 & 63), down)
        elif AND_IMMEDIATE.fits(word):
            align = (1 << 64) - (bitmask_immediate(word) or 0)
            if align <= LARGEST and align & align - 1 == 0:
                move = Move(align=align)
        return None if move is None else (base, move)

    def origin(self, at: int, register: int) -> Origin | None:
        """Where the address that ``register`` has just before ``at`` came from.

        Returns:
            The earliest register that the line shows, or the stack pointer; ``at`` and
            ``register`` themselves, without a move, where nothing in the line writes it; None
            where it comes from elsewhere.
        """
        moves: list[Move] = []
        while (writer := self.writer(at, register)) is not None:
            step = self.step(writer)
            if step is None or len(moves) == CHAIN:
                return None
            at, register = writer, step[0]
            moves.insert(0, step[1])
            if register == SP:
                break
        return Origin(at, register, moves)


def _by_register(value: Amount, down: int) -> Move | None:
    """Adding or subtracting a register; the sum with an unknown one is not followed."""
    number = value.exact
    if number is None:
        return Move(take=value) if down else None
    return Move(add=-number if down else number) if abs(number) <= LARGEST else None
