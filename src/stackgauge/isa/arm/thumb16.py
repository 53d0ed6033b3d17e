"""Thumb instructions of 16 bits, each as the A32 instruction that does the same.

Source: Arm Architecture Reference Manual (DDI 0406C), A6.2 ("16-bit Thumb instruction encoding").
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm.encoding import ALWAYS, NOP, Words

# By opcode of data processing (A6.2.2): AND, EOR, LSL, LSR, ASR, ADC, SBC, ROR, TST, RSB, CMP,
# CMN, ORR, MUL, BIC, MVN. Of the tests, which have no destination, Rn alone is filled in.
_PROCESSING = (
    0xE0100000, 0xE0300000, 0xE1B00010, 0xE1B00030, 0xE1B00050, 0xE0B00000, 0xE0D00000, 0xE1B00070,
    0xE1100000, 0xE2700000, 0xE1500000, 0xE1700000, 0xE1900000, 0xE0100090, 0xE1D00000, 0xE1F00000,
)  # fmt: skip
_SHIFTS = (2, 3, 4, 7)
_TESTS = (8, 10, 11)

# By opcode of loads and stores with a register (A6.2.4): STR, STRH, STRB, LDRSB, LDR, LDRH, LDRB,
# LDRSH.
_BY_REGISTER = (
    0xE7800000, 0xE18000B0, 0xE7C00000, 0xE19000D0, 0xE7900000, 0xE19000B0, 0xE7D00000, 0xE19000F0,
)  # fmt: skip

# SXTH, SXTB, UXTH, UXTB (A6.2.5).
_EXTENDS = (0xE6BF0070, 0xE6AF0070, 0xE6FF0070, 0xE6EF0070)


@cache
def expanded() -> Table:
    """Every instruction of 16 bits."""
    table = Table()
    table.processing()
    table.loads_and_stores()
    table.addresses_and_lists()
    table.branches()
    return table


def boundaries(
    halves: NDArray[np.uint16], inside: NDArray[np.bool_], begin: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where instructions begin.

    A halfword of 0xE800 or more begins an instruction of 32 bits, unless it is the second of one
    (A6.1). After any other, an instruction begins, whether that was one of 16 bits or the second
    half of another. So it begins at every other one of those that follow.

    Args:
        halves: the section.
        inside: which of them are code.
        begin: where stretches of code begin.

    Returns:
        The instructions' indices, ascending, and which of them have 32 bits; what is cut off by
        the end of the code is left out.
    """
    prefix = halves >= 0xE800
    known = np.zeros(len(halves), bool)
    known[begin[begin < len(halves)]] = True
    known[1:] |= ~prefix[:-1] | ~inside[:-1]
    known[:1] = True
    here = np.arange(len(halves))
    even = (here - np.maximum.accumulate(np.where(known, here, 0))) & 1 == 0
    at = np.flatnonzero(inside & even)
    wide = prefix[at]
    whole = np.append(inside[1:], False)[at] | ~wide
    return at[whole], wide[whole]


def give_conditions(words: Words, halves: NDArray[np.uint16], adjacent: NDArray[np.bool_]) -> None:
    """Give the instructions in IT blocks their conditions (A8.8.54).

    Args:
        words: the instructions as A32 words; changed in place.
        halves: the first halfword of each.
        adjacent: whether the next follows it.
    """
    at = np.flatnonzero((halves & 0xFF00 == 0xBF00) & (halves & 0xF != 0))
    block = halves[at].astype(np.uint32)
    base = block >> np.uint32(4) & np.uint32(0xF)
    # The mask's lowest 1 ends the block; above it stands the last bit of each condition.
    mask = block & np.uint32(0xF)
    for turn in range(4):
        kept = adjacent[at + turn] if len(at) else np.zeros(0, bool)
        at, base, mask = at[kept], base[kept], mask[kept]
        word = words[at + turn + 1]
        condition = base if turn == 0 else base & np.uint32(0xE) | mask >> np.uint32(4 - turn) & 1
        given = word & np.uint32(0x0FFFFFFF) | condition << np.uint32(28)
        always = word >> np.uint32(28) == ALWAYS
        words[at + turn + 1] = np.where(always, given, word)
        kept = mask & np.uint32((1 << 3 - turn) - 1) != 0
        at, base, mask = at[kept], base[kept], mask[kept]


class Table:
    """For every halfword the A32 word, and the number that stands in it: (65536,) each.

    The number is an immediate, or a distance from the base or from the PC; a word's own field for
    it is 0. A compare-and-branch is a branch with a condition. Halfwords that are no instruction
    of 16 bits are NOPs, and so are hints.
    """

    def __init__(self) -> None:
        """Begin with NOPs alone."""
        self._h = np.arange(1 << 16, dtype=np.uint32)
        self.words = np.full(1 << 16, NOP, np.uint32)
        self.numbers = np.zeros(1 << 16, np.int32)

    def _field(self, low: int, width: int) -> Words:
        return self._h >> np.uint32(low) & np.uint32((1 << width) - 1)

    def _is(self, first: int, last: int) -> NDArray[np.bool_]:
        """The halfwords of a range, both ends included."""
        return (self._h >= first) & (self._h <= last)

    def _set(
        self,
        which: NDArray[np.bool_],
        word: int,
        *fields: tuple[Words, int],
        number: NDArray[np.generic] | None = None,
    ) -> None:
        """Make these halfwords a word, with fields each shifted to its place."""
        made = np.full(len(self._h), word, np.uint32)
        for value, low in fields:
            made |= value << np.uint32(low)
        self.words[which] = made[which]
        if number is not None:
            self.numbers[which] = number[which]

    def processing(self) -> None:
        """A6.2.1 to A6.2.3, and the extensions and reversals of A6.2.5."""
        low, middle, high = self._field(0, 3), self._field(3, 3), self._field(6, 3)
        shift = (self._field(6, 5), 7), (self._field(11, 2), 5)
        self._set(self._is(0x0000, 0x17FF), 0xE1B00000, (low, 12), (middle, 0), *shift)
        for first, word in ((0x1800, 0xE0900000), (0x1A00, 0xE0500000)):
            operands = (low, 12), (middle, 16)
            self._set(self._is(first, first + 0x1FF), word, *operands, (high, 0))
            self._set(self._is(first + 0x400, first + 0x5FF), word | 0x02000000, *operands,
                      number=high)  # fmt: skip
        register, byte = self._field(8, 3), self._field(0, 8)
        for first, word, places in (
            (0x2000, 0xE3B00000, (12,)),
            (0x2800, 0xE3500000, (16,)),
            (0x3000, 0xE2900000, (12, 16)),
            (0x3800, 0xE2500000, (12, 16)),
        ):
            self._set(self._is(first, first + 0x7FF), word,
                      *((register, place) for place in places), number=byte)  # fmt: skip
        fields: tuple[tuple[Words, int], ...]
        for code, word in enumerate(_PROCESSING):
            if code in _SHIFTS:
                fields = (low, 12), (low, 0), (middle, 8)
            elif code == 9:
                fields = (low, 12), (middle, 16)
            elif code == 13:
                fields = (low, 16), (low, 8), (middle, 0)
            else:
                fields = (low, 16), (middle, 0), *(() if code in _TESTS else ((low, 12),))
            first = 0x4000 + (code << 6)
            self._set(self._is(first, first + 63), word, *fields)
        any_low, any_high = low | self._field(7, 1) << np.uint32(3), self._field(3, 4)
        self._set(self._is(0x4400, 0x44FF), 0xE0800000, (any_low, 12), (any_low, 16), (any_high, 0))
        self._set(self._is(0x4500, 0x45FF), 0xE1500000, (any_low, 16), (any_high, 0))
        self._set(self._is(0x4600, 0x46FF), 0xE1A00000, (any_low, 12), (any_high, 0))
        for code, word in enumerate(_EXTENDS):
            first = 0xB200 + (code << 6)
            self._set(self._is(first, first + 63), word, (low, 12), (middle, 0))
        self._set(self._is(0xBA00, 0xBAFF), 0xE6BF0F30, (low, 12), (middle, 0))

    def loads_and_stores(self) -> None:
        """A6.2.4, and loads from the PC (A6.2.7 has the rest)."""
        low, base, five = self._field(0, 3), self._field(3, 3), self._field(6, 5)
        register, byte = self._field(8, 3), self._field(0, 8)
        self._set(self._is(0x4800, 0x4FFF), 0xE59F0000, (register, 12), number=byte * 4)
        for code, word in enumerate(_BY_REGISTER):
            first = 0x5000 + (code << 9)
            self._set(self._is(first, first + 0x1FF), word, (low, 12), (base, 16),
                      (self._field(6, 3), 0))  # fmt: skip
        for first, word, scale in (
            (0x6000, 0xE5800000, 4), (0x6800, 0xE5900000, 4), (0x7000, 0xE5C00000, 1),
            (0x7800, 0xE5D00000, 1), (0x8000, 0xE1C000B0, 2), (0x8800, 0xE1D000B0, 2),
        ):  # fmt: skip
            self._set(self._is(first, first + 0x7FF), word, (low, 12), (base, 16),
                      number=five * scale)  # fmt: skip
        for first, word in ((0x9000, 0xE58D0000), (0x9800, 0xE59D0000)):
            self._set(self._is(first, first + 0x7FF), word, (register, 12), number=byte * 4)

    def addresses_and_lists(self) -> None:
        """ADR, ADD and SUB of SP, PUSH, POP, STM, LDM (A6.2 table, A6.2.5)."""
        register, byte = self._field(8, 3), self._field(0, 8)
        self._set(self._is(0xA000, 0xA7FF), 0xE28F0000, (register, 12), number=byte * 4)
        self._set(self._is(0xA800, 0xAFFF), 0xE28D0000, (register, 12), number=byte * 4)
        seven = self._field(0, 7) * 4
        self._set(self._is(0xB000, 0xB07F), 0xE28DD000, number=seven)
        self._set(self._is(0xB080, 0xB0FF), 0xE24DD000, number=seven)
        more = self._field(8, 1)
        self._set(self._is(0xB400, 0xB5FF), 0xE92D0000, (byte, 0), (more, 14))
        self._set(self._is(0xBC00, 0xBDFF), 0xE8BD0000, (byte, 0), (more, 15))
        self._set(self._is(0xC000, 0xC7FF), 0xE8A00000, (byte, 0), (register, 16))
        # The base is moved where it is not loaded.
        moved = byte >> register & np.uint32(1) ^ np.uint32(1)
        self._set(self._is(0xC800, 0xCFFF), 0xE8900000, (byte, 0), (register, 16), (moved, 21))

    def branches(self) -> None:
        """A6.2.3, A6.2.6, the table of A6.2, and CBZ, CBNZ and BKPT (A6.2.5)."""
        target = self._field(3, 4)
        self._set(self._is(0x4700, 0x477F), 0xE12FFF10, (target, 0))
        self._set(self._is(0x4780, 0x47FF), 0xE12FFF30, (target, 0))
        compares = self._h & np.uint32(0xF500) == 0xB100
        distance = self._field(9, 1) << np.uint32(6) | self._field(3, 5) << np.uint32(1)
        self._set(compares, 0x1A000000, number=distance)
        byte = self._field(0, 8).astype(np.int32)
        distance = ((byte ^ 0x80) - 0x80) * 2
        self._set(self._is(0xD000, 0xDDFF), 0x0A000000, (self._field(8, 4), 28), number=distance)
        eleven = self._field(0, 11).astype(np.int32)
        distance = ((eleven ^ 0x400) - 0x400) * 2
        self._set(self._is(0xE000, 0xE7FF), 0xEA000000, number=distance)
        self._set(self._is(0xBE00, 0xBEFF), 0xE1200070)
        self._set(self._is(0xDE00, 0xDEFF), 0xE7F000F0)
        self._set(self._is(0xDF00, 0xDFFF), 0xEF000000)
