"""Fields of Power instructions, and which register each one writes.

Source: Power ISA, version 3.1B: book I for the instructions, appendices F to H for the opcodes.
Bits are numbered here from the lowest, as everywhere in this program.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

SP, FRAME_POINTER = 1, 31

# Primary opcodes.
PREFIX, TDI, TWI, SUBFIC = 1, 2, 3, 8
ADDI, ADDIS, BC, SC, B, XL, RLWINM, ORI, ORIS, ANDI, RLD, X = (
    14, 15, 16, 17, 18, 19, 21, 24, 25, 28, 30, 31
)  # fmt: skip
LWZ, LBZ, STWU, LHZ, LMW, LD, STD = 32, 34, 37, 40, 46, 58, 62

VECTOR, _MULLI, _NOP = 4, 7, ORI << 26
# And those that end a group of instructions (ORI r1,r1,0 and ORI r2,r2,0).
NOPS = (_NOP, _NOP | 0x210000, _NOP | 0x420000)

# Extended opcodes of X.
SUBFC, MR, ADD, SUBF, NEG, TW, TD, STDUX, STWUX, CMP, CMPL = (
    8,
    444,
    266,
    40,
    104,
    4,
    68,
    181,
    183,
    0,
    32,
)


def field(words: Words, low: int, width: int) -> Words:
    """The unsigned field of ``width`` bits from bit ``low``."""
    return words >> np.uint32(low) & np.uint32((1 << width) - 1)


def signed_field(words: Words, low: int, width: int) -> NDArray[np.int64]:
    """The two's complement field of ``width`` bits from bit ``low``."""
    shifted = (words << np.uint32(32 - low - width)).astype(np.uint32).view(np.int32)
    return (shifted >> np.int32(32 - width)).astype(np.int64)


def op(words: Words) -> Words:
    """The primary opcode."""
    return words >> np.uint32(26)


def extended(words: Words) -> Words:
    """The extended opcode of XL and X."""
    return field(words, 1, 10)


def rt(words: Words) -> Words:
    """RT, RS, TO or BO."""
    return field(words, 21, 5)


def ra(words: Words) -> Words:
    """RA or BI."""
    return field(words, 16, 5)


def rb(words: Words) -> Words:
    """RB."""
    return field(words, 11, 5)


def flags(size: int, *members: int | range) -> NDArray[np.bool_]:
    """A table in which these are set."""
    table = np.zeros(size, bool)
    for member in members:
        table[list(member) if isinstance(member, range) else member] = True
    return table


# By opcode. Arithmetic and loads write RT; logical and rotating instructions RA; and with an
# update (the odd ones of 33 to 55, and some of LD, STD and X) RA has the address.
WRITES_RT = flags(64, 7, 8, range(12, 16), *range(32, 36), *range(40, 44), LMW, 56, LD)
WRITES_RA = flags(64, 20, RLWINM, 23, *range(24, 31))
UPDATES = flags(64, *range(33, 47, 2), *range(49, 57, 2))

# The same of X, by extended opcode: what is not arithmetic, a load or a move to a general register
# is not in the first; book I, 3.3, and book III, 5.4.4.
_ARITHMETIC = (
    8, 9, 10, 11, 40, 73, 75, 104, 136, 138, 200, 202, 232, 233, 234, 235, 266, 393, 395, 425, 427,
    457, 459, 489, 491,
)  # fmt: skip
_LOADS = (
    20, 21, 23, 52, 53, 55, 84, 87, 116, 119, 276, 279, 309, 311, 341, 343, 373, 375, 532, 533, 534,
    582, 597, 614, 789, 790, 821, 853, 885,
)  # fmt: skip
_OTHERS = (
    19, 74, 83, 128, 170, 265, 267, 323, 334, 339, 371, 384, 416, 448, 480, 595, 659, 755, 777, 779,
    851, 915,
)  # fmt: skip
X_RT = flags(1024, *_ARITHMETIC, *(code | 512 for code in _ARITHMETIC), *_LOADS, *_OTHERS,
             *range(15, 1024, 32))  # fmt: skip
X_RA = flags(
    1024, 24, 26, 27, 28, 51, 58, 59, 60, 115, 122, 124, 154, 155, 156, 186, 187, 188, 219, 220,
    252, 282, 284, 307, 314, 316, 378, 412, 444, 476, 506, 508, 536, 538, 539, 570, 571, 792, 794,
    824, 826, 827, 890, 891, 922, 954, 986,
)  # fmt: skip
X_UPDATES = flags(
    1024, 53, 55, 119, 181, 183, 247, 311, 373, 375, 439, 567, 631, 695, 759,
)  # fmt: skip
# Stores, loads of other registers, compares, cache and system instructions: none is written.
X_NONE = flags(
    1024, 0, 4, 6, 7, 22, 32, 38, 39, 54, 68, 71, 86, 102, 103, 131, 134, 135, 144, 146, 149, 150,
    151, 163, 166, 167, 178, 181, 182, 183, 199, 210, 214, 215, 231, 242, 246, 247, 274, 278, 306,
    338, 359, 402, 403, 407, 434, 439, 467, 470, 487, 498, 535, 567, 566, 598, 599, 631, 654, 660,
    661, 662, 663, 694, 695, 710, 725, 726, 727, 742, 758, 759, 791, 854, 855, 887, 912, 917, 918,
    919, 949, 981, 982, 983, 1013, 1014,
)  # fmt: skip

# ELF ABIs: a call may change r0, r3 to r12; a system call does no more. r2 is restored.
BY_CALL = np.uint32(1 | 0x1FF8)


def unprefixed(words: Words, prefixes: NDArray[np.intp]) -> Words:
    """Code without prefixed instructions (book I, 1.6.3), which have two words.

    PLI of 32 bits becomes LIS and ORI, PADDI becomes ADDIS and ADDI. Of another, the second word
    becomes an instruction that writes the same general register, if any, but is not followed.

    Args:
        words: the code.
        prefixes: indices of the words with that opcode, ascending.
    """
    # What comes after another is a second half, which never has this opcode in sound code.
    prefixes = prefixes[~np.isin(prefixes, prefixes + 1) & (prefixes + 1 < len(words))]
    words = words.copy()
    first, second = words[prefixes], words[prefixes + 1]
    code, kind, target = op(second), field(first, 24, 2), rt(second) << np.uint32(21)
    # PADDI, PLWZ, PLBZ, PLHZ, PLHA with a modified one; PLWA, PLQ, PLD with one of their own.
    writes = (kind == 2) & np.isin(code, (ADDI, 32, 34, 40, 42))
    writes |= (kind == 0) & np.isin(code, (41, 56, 57))
    words[prefixes + 1] = np.where(writes, np.uint32(_MULLI << 26) | target, np.uint32(_NOP))
    # Not relative to the instruction (R), and the highest bits are all the sign.
    low, base = second & np.uint32(0xFFFF), second & np.uint32(31 << 16)
    high = signed_field(first, 0, 18)
    plain = (kind == 2) & (code == ADDI) & (field(first, 20, 1) == 0) & (np.abs(high) < 1 << 15)
    constant = plain & (base == 0)
    words[prefixes[constant]] = (_upper(ADDIS, target, high))[constant]
    same = target >> np.uint32(5)
    words[prefixes[constant] + 1] = (np.uint32(ORI << 26) | target | same | low)[constant]
    # The lower half is signed in ADDI; r0 would be no base there.
    added = plain & (base != 0) & (target != 0) & (rt(second) != SP)
    high += low >> np.uint32(15)
    words[prefixes[added]] = (_upper(ADDIS, target, high) | base)[added]
    words[prefixes[added] + 1] = (np.uint32(ADDI << 26) | target | same | low)[added]
    return words


def _upper(code: int, target: Words, number: NDArray[np.int64]) -> Words:
    """An instruction with a 16-bit number, whose base is still to be put in."""
    return np.uint32(code << 26) | target | number.astype(np.uint32) & np.uint32(0xFFFF)


def written_registers(words: Words) -> NDArray[np.uint32]:
    """The set of registers that each instruction writes, bit r for register r.

    A register too many is harmless: a value that could have been followed is then not.
    """
    code, low = op(words), extended(words)
    to_rt, to_ra = WRITES_RT[code], WRITES_RA[code] | UPDATES[code]
    indexed = code == X
    to_rt |= indexed & ~X_NONE[low] & ~X_RA[low]
    to_ra |= indexed & (X_RA[low] | X_UPDATES[low])
    to_ra |= ((code == LD) | (code == STD)) & (words & np.uint32(3) == 1)
    to_rt |= (code == XL) & (field(words, 1, 5) == 2)  # ADDPCIS
    to_rt |= (code == VECTOR) & (field(words, 4, 2) == 3)  # MADDLD and MADDHD among others
    one = np.uint32(1)
    found = np.where(to_rt, one << rt(words), np.uint32(0))
    found |= np.where(to_ra, one << ra(words), np.uint32(0))
    several = code == LMW
    found[several] = np.uint32(0xFFFFFFFF) << rt(words[several])
    called = (code == B) | (code == BC) | (code == XL) & (low & np.uint32(15) == 0)
    called &= words & one == 1
    called |= code == SC
    found[called] = BY_CALL
    return found
