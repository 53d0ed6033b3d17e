"""Fields of z/Architecture instructions, which have 2, 4 or 6 bytes.

An instruction is one number of 48 bits here, left-aligned as in memory: bit 0 is the highest. What
stands behind an instruction of 2 or 4 bytes is another instruction and means nothing.

Source: z/Architecture Principles of Operation (SA22-7832), chapter 5 ("Instruction Formats") and
appendix B ("Lists of Instructions").
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.words import Words

FRAME_POINTER, RETURN, SP = 11, 14, 15

# Floating-point registers, which leaf functions save others in, are numbered from here on.
FLOATING = 16

# What the stack pointer is a multiple of.
ALIGNMENT = 8

# Where the rest of an operation code stands, by the first byte: nowhere, in the second byte, in
# its lower half, in the sixth byte (Principles of Operation, 5, formats E, RRE, RI, RXY).
_ALONE, _SECOND, _NIBBLE, _SIXTH = range(4)


@cache
def _extension() -> NDArray[np.uint8]:
    extension = np.full(256, _ALONE, np.uint8)
    extension[[0x01, 0xB2, 0xB3, 0xB9, 0xE5]] = _SECOND
    extension[[0xA5, 0xA7, 0xC0, 0xC2, 0xC4, 0xC6, 0xC8, 0xCC]] = _NIBBLE
    extension[[0xE3, 0xE6, 0xE7, 0xE8, 0xEB, 0xEC, 0xED]] = _SIXTH
    return extension


def opcodes(words: Words) -> NDArray[np.uint16]:
    """Operation codes: the first byte, and the rest of the code below it, else 0."""
    first = field(words, 0, 8)
    kind = _extension()[first]
    rest = np.where(kind == _SIXTH, field(words, 40, 8), field(words, 8, 8))
    rest = np.where(kind == _NIBBLE, rest & np.uint64(15), rest)
    rest = np.where(kind == _ALONE, np.uint64(0), rest)
    return (first << np.uint64(8) | rest).astype(np.uint16)


def opcode(word: int) -> int:
    """The operation code of one instruction."""
    first, second = word >> 40, word >> 32 & 0xFF
    rest = (0, second, second & 15, word & 0xFF)[_extension()[first]]
    return first << 8 | rest


def field(words: Words, first: int, width: int) -> Words:
    """The unsigned field of ``width`` bits that begins at bit ``first``."""
    return words >> np.uint64(48 - first - width) & np.uint64((1 << width) - 1)


def signed_field(words: Words, first: int, width: int) -> NDArray[np.int64]:
    """The two's complement field of ``width`` bits that begins at bit ``first``."""
    shifted = (words << np.uint64(16 + first)).view(np.int64)
    return shifted >> np.int64(64 - width)


def long_displacement(words: Words) -> NDArray[np.int64]:
    """The signed displacement of 20 bits of the formats RXY and RSY."""
    high = signed_field(words, 32, 8) << np.int64(12)
    return high | field(words, 20, 12).astype(np.int64)


# Operation codes, as ``opcodes`` gives them.
BALR, BCTR, BCR, BASSM, BASR = 0x0500, 0x0600, 0x0700, 0x0C00, 0x0D00
BSM, LA, BAL, BC, BAS = 0x0B00, 0x4100, 0x4500, 0x4700, 0x4D00
STM, LM, MC, NILL = 0x9000, 0x9800, 0xAF00, 0xA507
BRC, BRAS, BRCT, BRCTG, AGHI = 0xA704, 0xA705, 0xA706, 0xA707, 0xA70B
BAKR, BSG, BSA = 0xB240, 0xB258, 0xB25A
LDGR, LGDR, LGR, AGR, SGR, ALGR, SLGR = 0xB3C1, 0xB3CD, 0xB904, 0xB908, 0xB909, 0xB90A, 0xB90B
AGRK, SGRK, ALGRK, SLGRK = 0xB9E8, 0xB9E9, 0xB9EA, 0xB9EB
BRCL, BRASL, BRCTH = 0xC004, 0xC005, 0xCC06
SLGFI, AGFI, ALGFI = 0xC204, 0xC208, 0xC20A
LG, BIC, LAY, SG, SLG = 0xE304, 0xE347, 0xE371, 0xE309, 0xE30B
STG, LMG, STMG = 0xE324, 0xEB04, 0xEB24
AGHIK, ALGHSIK, RISBG, RISBGN = 0xECD9, 0xECDB, 0xEC55, 0xEC59

# Branches relative to themselves: by a distance in halves of 16 bits at bit 16, or 32 bits there.
NEAR_BRANCHES = (
    0x8400, 0x8500, BRCT, BRCTG, 0xEC44, 0xEC45, 0xEC64, 0xEC65,
    0xEC76, 0xEC77, 0xEC7C, 0xEC7D, 0xEC7E, 0xEC7F,
)  # fmt: skip
FAR_BRANCHES = (BRCTH,)
# PROGRAM RETURN, LPSW, LPSWE, LPSWEY, PROGRAM TRANSFER.
STOPS = (0x0101, 0x8200, 0xB2B2, 0xEB71, 0xB228)
# BCR 0,%r0 and BCR 0,%r7.
NOPS = (0x0700, 0x0707)
