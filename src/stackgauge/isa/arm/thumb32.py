"""Thumb instructions of 32 bits, each as the A32 instruction that does the same.

Source: Arm Architecture Reference Manual (DDI 0406C), A6.3 ("32-bit Thumb instruction encoding").
Of an instruction that has no such twin, the word only says which registers it writes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.thumb_branch import distances
from stackgauge.isa.arm.encoding import NOP, PC, Words, bit, field, matches, numbers, signed

# By opcode of data processing (A6.3.1): AND, BIC, ORR, ORN, EOR, ADD, ADC, SBC, SUB and RSB among
# the 16, as A32's opcode. ORN, PKH and what is not allocated are RSC, which is never followed.
_RSC = 7
_OPCODES = np.array(
    [0, 14, 12, _RSC, 1, _RSC, _RSC, _RSC, 4, _RSC, 5, 6, _RSC, 2, 3, _RSC], np.uint32
)
# Without a destination: TST, TEQ, CMN, CMP.
_TESTS = np.array([8, 0, 0, 0, 9, 0, 0, 0, 11, 0, 0, 0, 0, 10, 0, 0], np.uint32)
# ORR and ORN of nothing.
_MOVES = np.array([0, 0, 13, 15, *[0] * 12], np.uint32)

# Loads of one register by size (A6.3.7 to A6.3.9): LDRB, LDRH, LDR, and those with a sign. The
# first and third are is_single, the others is_extra.
_LOADS = np.array([0xE4500000, 0xE05000B0, 0xE4100000, NOP], np.uint32)
_SIGNED_LOADS = np.array([0xE05000D0, 0xE05000F0, NOP, NOP], np.uint32)

# SXTH, UXTH, SXTB, UXTB by opcode (A6.3.12), and a parallel addition, which is never followed.
_PARALLEL = 0xE6100F10
_EXTENDS = np.array(
    [0xE6BF0070, 0xE6FF0070, _PARALLEL, _PARALLEL, 0xE6AF0070, 0xE6EF0070, _PARALLEL, _PARALLEL],
    np.uint32,
)

_U = np.uint32


class Expanded(NamedTuple):
    """Thumb instructions as A32 words.

    Attributes:
        words: one for each instruction.
        numbers: an immediate or distance for each; of a branch from 4 bytes after its start.
        pairs: which of them load a second register, ascending indices.
        second: those registers.
    """

    words: Words
    numbers: NDArray[np.int64]
    pairs: NDArray[np.intp]
    second: Words


def expanded(words: Words, start: NDArray[np.int64]) -> Expanded:
    """What instructions of 32 bits are in A32.

    Args:
        words: the instructions, the first halfword in the upper half.
        start: where each begins, in bytes from a multiple of 4.
    """
    reader = _Reader(words, start)
    reader.multiple()
    reader.dual_and_exclusive()
    reader.processing()
    reader.plain_immediates()
    reader.branches()
    reader.single()
    reader.by_register()
    reader.coprocessor()
    pairs = np.flatnonzero(reader.pairs)
    return Expanded(reader.out, reader.numbers, pairs, field(words[pairs], 8, 4))


def expanded_immediate(words: Words) -> NDArray[np.int64]:
    """ThumbExpandImm (A6.3.2) of i:imm3:imm8."""
    byte = words & _U(0xFF)
    top = field(words, 26, 1) << _U(3) | field(words, 12, 3)
    scale = np.array([1, 0x00010001, 0x01000100, 0x01010101], np.uint32)[np.minimum(top, 3)]
    turn = (top << _U(1) | byte >> _U(7)).astype(np.int64)
    value = (byte & _U(0x7F) | _U(0x80)).astype(np.int64)
    turned = value << 32 - np.maximum(turn, 8)
    found: NDArray[np.int64] = np.where(top >= 4, turned, (byte * scale).astype(np.int64))
    return found


class _Reader:
    """Fills in class by class; what is left over is a NOP."""

    def __init__(self, words: Words, start: NDArray[np.int64]) -> None:
        self._words = words
        self._start = start
        self.out = np.full(len(words), NOP, np.uint32)
        self.numbers = np.zeros(len(words), np.int64)
        self.pairs = np.zeros(len(words), bool)

    def _of(self, mask: int, value: int) -> tuple[NDArray[np.intp], Words]:
        at = np.flatnonzero(matches(self._words, mask, value))
        return at, self._words[at]

    def multiple(self) -> None:
        """LDM and STM, which have A32's encoding; RFE and SRS (A6.3.5)."""
        at, words = self._of(0xFE400000, 0xE8000000)
        system = np.where(bit(words, 20), _U(0xF8100000), _U(0xF84D0000))
        # U is inverted there: increment after, decrement before (B9.3.13, B9.3.16).
        system |= words & _U(0x002F001F) | np.where(bit(words, 24), _U(1 << 23), _U(1 << 24))
        plain = bit(words, 24) ^ bit(words, 23)
        self.out[at] = np.where(plain, words, system)

    def dual_and_exclusive(self) -> None:
        """LDRD, STRD, the exclusives, TBB and TBH (A6.3.6)."""
        at, words = self._of(0xFE400000, 0xE8400000)
        loads = bit(words, 20)
        dual = words & _U(0x01200000) != 0
        self.pairs[at] = loads & (dual | matches(words, 0xFFF000F0, 0xE8D00070))
        self.numbers[at] = signed(words, (words & _U(0xFF)).astype(np.int64) * 4)
        form = np.where(loads, _U(0xE04000D0), _U(0xE04000F0)) | words & _U(0x01AFF000)
        exclusive = _U(0xE1900F9F) | words & _U(0xF000)
        status = np.where(bit(words, 23), words & _U(0xF), field(words, 8, 4))
        exclusive = np.where(loads, exclusive, _U(0xE1800F90) | status << _U(12))
        table = matches(words, 0xFFF000E0, 0xE8D00000)
        # ADD PC, Rn, Rm; with LSL #1 for entries of a halfword.
        jump = _U(0xE080F000) | words & _U(0x000F000F) | field(words, 4, 1) << _U(7)
        exclusive = np.where(table, jump, exclusive)
        self.out[at] = np.where(dual, form, exclusive)

    def processing(self) -> None:
        """Data processing with an immediate that is expanded or with a register (A6.3.1, .11)."""
        for mask, value, shifted in (
            (0xFA008000, 0xF0000000, False),
            (0xFE000000, 0xEA000000, True),
        ):
            at, words = self._of(mask, value)
            code, first, into = field(words, 21, 4), field(words, 16, 4), field(words, 8, 4)
            sets = bit(words, 20)
            test = (into == PC) & sets & (_TESTS[code] != 0)
            move = (first == PC) & (_MOVES[code] != 0)
            opcode = np.where(move, _MOVES[code], np.where(test, _TESTS[code], _OPCODES[code]))
            out = _U(0xE0000000) | opcode << _U(21) | words & _U(0x00100000)
            out |= np.where(move, _U(0), first << _U(16)) | np.where(test, _U(0), into << _U(12))
            if shifted:
                amount = field(words, 12, 3) << _U(2) | field(words, 6, 2)
                out |= amount << _U(7) | field(words, 4, 2) << _U(5) | words & _U(0xF)
            else:
                out |= _U(0x02000000)
                self.numbers[at] = expanded_immediate(words)
            self.out[at] = out

    def plain_immediates(self) -> None:
        """ADDW, SUBW, MOVW, MOVT, and bit fields (A6.3.3)."""
        at, words = self._of(0xFA008000, 0xF2000000)
        code, into = field(words, 20, 5), field(words, 8, 4)
        low = field(words, 26, 1) << _U(11) | field(words, 12, 3) << _U(8) | words & _U(0xFF)
        first = field(words, 16, 4) << _U(16)
        least = field(words, 12, 3) << _U(2) | field(words, 6, 2)
        last = words & _U(0x1F)
        places = least << _U(7) | field(words, 16, 4)
        out = np.full(len(words), 0xE6A00010, np.uint32)  # SSAT, USAT
        for form, word in (
            (0b00000, _U(0xE2800000) | first),
            (0b01010, _U(0xE2400000) | first),
            (0b00100, _U(0xE3000000)),
            (0b01100, _U(0xE3400000)),
            (0b10100, _U(0xE7A00050) | last << _U(16) | places),
            (0b11100, _U(0xE7E00050) | last << _U(16) | places),
            (0b10110, _U(0xE7C00010) | last << _U(16) | places),
        ):
            out = np.where(code & _U(0b11110) == form, word, out)
        self.out[at] = out | into << _U(12)
        wide = (code == 0b00100) | (code == 0b01100)
        self.numbers[at] = np.where(wide, first >> _U(4) | low, low)

    def branches(self) -> None:
        """Branches, and those of the miscellaneous instructions that write registers (A6.3.4)."""
        at, words = self._of(0xF800D000, 0xF0008000)
        branch = field(words, 23, 3) != 7
        self.numbers[at[branch]] = distances(words[branch], near=True)
        conditional = _U(0x0A000000) | field(words, 22, 4) << _U(28)
        other = np.full(len(words), NOP, np.uint32)
        for mask, value, word in (
            (0xFFE0F000, 0xF3E08000, 0xE10F0000),  # MRS
            (0xFFF0F000, 0xF7F08000, 0xE1600070),  # SMC
            (0xFFF0F000, 0xF7E08000, 0xE1400070),  # HVC
            (0xFFF0F000, 0xF3C08000, 0xE12FFF20),  # BXJ
            (0xFFF0FF00, 0xF3D08F00, 0xE25EF000),  # SUBS PC, LR; ERET
        ):
            fits = matches(words, mask, value)
            other[fits] = _U(word) | (
                field(words[fits], 8, 4) << _U(12) if value == 0xF3E08000 else _U(0)
            )
        self.out[at] = np.where(branch, conditional, other)
        at, words = self._of(0xFFF0F000, 0xF7F0A000)
        self.out[at] = _U(0xE7F000F0)  # UDF
        for mask, value, word in (
            (0xF800D000, 0xF0009000, 0xEA000000),  # B
            (0xF800D000, 0xF000D000, 0xEB000000),  # BL
            (0xF800D001, 0xF000C000, 0xFA000000),  # BLX
        ):
            at, words = self._of(mask, value)
            self.out[at] = _U(word)
            far = distances(words, near=False)
            if word == 0xFA000000:
                far -= self._start[at] % 4  # counted from a multiple of 4
            self.numbers[at] = far

    def single(self) -> None:
        """Loads and stores of one register (A6.3.7 to A6.3.10)."""
        at, words = self._of(0xFE000000, 0xF8000000)
        loads, size = bit(words, 20), field(words, 21, 2)
        out = np.where(bit(words, 24), _SIGNED_LOADS[size], _LOADS[size])
        # A store of a byte or halfword moves its base like one of a word.
        out = np.where(loads, out, _U(0xE4000000)) | words & _U(0x000FF000)
        wide = bit(words, 23) | (field(words, 16, 4) == PC)
        indexed = ~wide & bit(words, 11)
        number = (words & np.where(wide, _U(0xFFF), _U(0xFF))).astype(np.int64)
        up = np.where(indexed, bit(words, 9), bit(words, 23) | ~wide)
        self.numbers[at] = np.where(wide | indexed, np.where(up, number, -number), 0)
        before = np.where(indexed, bit(words, 10), True)
        moves = indexed & bit(words, 8) & bit(words, 10)
        out |= np.where(before, _U(1 << 24), _U(0)) | np.where(up, _U(1 << 23), _U(0))
        out |= np.where(moves, _U(1 << 21), _U(0))
        # The form with an immediate, which bit 22 says of halfwords; else with a register.
        extra = matches(out, 0x0E000090, 0x00000090)
        out |= np.where(extra & (wide | indexed), _U(1 << 22), _U(0))
        out |= np.where(~extra & ~(wide | indexed), _U(1 << 25), _U(0))
        # By a register, shifted left: its number and the shift (LSL, of up to 3).
        by = words & _U(0xF) | np.where(extra, _U(0), field(words, 4, 2) << _U(7))
        out |= np.where(wide | indexed, _U(0), by)
        # Of a byte or halfword to the PC there is none: those are hints (PLD, PLI).
        hint = loads & (field(words, 12, 4) == PC) & (size != 2)
        self.out[at] = np.where(hint, _U(NOP), out)
        at, words = self._of(0xFF100000, 0xF9000000)  # VLD1 and the like
        self.out[at] = _U(0xF4000000) | words & _U(0x00FFFFFF)

    def by_register(self) -> None:
        """Data processing with registers, multiplications and divisions (A6.3.12 to A6.3.17)."""
        at, words = self._of(0xFF000000, 0xFA000000)
        into = field(words, 8, 4) << _U(12)
        shift = matches(words, 0x0080F0F0, 0x0000F000)
        kind = field(words, 21, 2) << _U(5)
        by_register = _U(0xE1A00010) | kind | (words & _U(0xF)) << _U(8) | field(words, 16, 4)
        plain = matches(words, 0x008FF0B0, 0x000FF080)
        other = np.where(plain, _EXTENDS[field(words, 20, 3)] | words & _U(0xF), _U(_PARALLEL))
        self.out[at] = np.where(shift, by_register, other) | into
        at, words = self._of(0xFF800000, 0xFB000000)
        self.out[at] = _U(0xE0000090) | field(words, 8, 4) << _U(16)
        at, words = self._of(0xFF800000, 0xFB800000)
        divides = matches(words, 0x000000F0, 0x000000F0)
        self.out[at] = np.where(divides, _U(0xE710F010), _U(0xE0800090) | words & _U(0xF000))
        self.out[at] |= field(words, 8, 4) << _U(16)

    def coprocessor(self) -> None:
        """Coprocessors and floating point have A32's encodings (A6.3.18); NEON writes none."""
        at, words = self._of(0xEC000000, 0xEC000000)
        kept = ~matches(words, 0x03000000, 0x03000000)
        at, words = at[kept], words[kept]
        self.out[at] = words
        self.numbers[at] = numbers(words)
