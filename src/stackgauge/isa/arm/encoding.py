"""Fields of A32 instructions, and the numbers that stand in them.

Source: Arm Architecture Reference Manual for ARMv7-A and ARMv7-R (DDI 0406C), A5 ("ARM Instruction
Set Encoding") and, for each instruction, A8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

FP_THUMB, FP, IP, SP, LR, PC = 7, 11, 12, 13, 14, 15

# The condition "always", and what stands in its place in instructions that have none (A5.2, A5.7).
ALWAYS, NONE = 14, 15

NOP = 0xE320F000
# MOV R0, R0, before there was another.
OLD_NOP = 0xE1A00000

# The condition of what has none in Thumb code, where IT gives it one.
UNCONDITIONAL = ALWAYS << 28


def field(words: Words, low: int, width: int) -> Words:
    """The unsigned field of ``width`` bits from bit ``low``."""
    return words >> np.uint32(low) & np.uint32((1 << width) - 1)


def signed_field(words: Words, low: int, width: int) -> NDArray[np.int64]:
    """The two's complement field of ``width`` bits from bit ``low``."""
    shifted = (words << np.uint32(32 - low - width)).astype(np.uint32).view(np.int32)
    return (shifted >> np.int32(32 - width)).astype(np.int64)


def matches(words: Words, mask: int, value: int) -> NDArray[np.bool_]:
    """Which words have ``value`` in the bits of ``mask``."""
    found: NDArray[np.bool_] = words & np.uint32(mask) == np.uint32(value)
    return found


def bit(words: Words, number: int) -> NDArray[np.bool_]:
    """Whether a bit is set."""
    found: NDArray[np.bool_] = words & np.uint32(1 << number) != 0
    return found


def condition(words: Words) -> Words:
    """The condition, ALWAYS or NONE."""
    return words >> np.uint32(28)


def _has_condition(words: Words) -> NDArray[np.bool_]:
    """Whether an instruction is of the kinds that have one."""
    found: NDArray[np.bool_] = condition(words) != NONE
    return found


def rn(words: Words) -> Words:
    """The first operand or the base."""
    return field(words, 16, 4)


def rd(words: Words) -> Words:
    """The destination, or what is loaded or stored."""
    return field(words, 12, 4)


def rm(words: Words) -> Words:
    """The second operand."""
    return field(words, 0, 4)


def registers_in_list(words: Words) -> NDArray[np.int64]:
    """How many registers an instruction that loads or stores several names."""
    low = words & np.uint32(0xFFFF)
    return _ONES.take(low & np.uint32(0xFF)) + _ONES.take(low >> np.uint32(8))


_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.int64)


def is_arithmetic(words: Words) -> NDArray[np.bool_]:
    """Data processing that writes Rd: not the tests, nor what shares their encodings (A5.2)."""
    found = matches(words, 0x0C000000, 0) & ~matches(words, 0x01800000, 0x01000000)
    return found & ~matches(words, 0x02000090, 0x00000090) & _has_condition(words)


def is_single(words: Words) -> NDArray[np.bool_]:
    """LDR, STR, LDRB and STRB, and not the media instructions (A5.3)."""
    single = matches(words, 0x0C000000, 0x04000000) & ~matches(words, 0x02000010, 0x02000010)
    return single & _has_condition(words)


def is_extra(words: Words) -> NDArray[np.bool_]:
    """LDRH, STRH, LDRSB, LDRSH, LDRD and STRD (A5.2.8)."""
    extra = matches(words, 0x0E000090, 0x00000090) & ~matches(words, 0x60, 0)
    return extra & _has_condition(words)


def is_multiple(words: Words) -> NDArray[np.bool_]:
    """LDM and STM (A5.5)."""
    return matches(words, 0x0E000000, 0x08000000) & _has_condition(words)


def writes_back(words: Words) -> NDArray[np.bool_]:
    """Of LDR, STR and their kin: whether the base is moved (post-indexed, or pre-indexed)."""
    return ~matches(words, 0x01200000, 0x01000000)


def signed(words: Words, number: NDArray[np.int64]) -> NDArray[np.int64]:
    """A distance of a load or store, whose sign is bit 23 (U)."""
    return np.where(bit(words, 23), number, -number)


def rotated(words: Words) -> NDArray[np.int64]:
    """The immediate of data processing: ARMExpandImm (A5.2.4)."""
    value = (words & np.uint32(0xFF)).astype(np.int64)
    turn = field(words, 8, 4).astype(np.int64) * 2
    return (value >> turn | value << 32 - turn) & 0xFFFFFFFF


def distances(words: Words) -> NDArray[np.int64]:
    """How far from the PC each of B, BL and BLX leads."""
    halfword = matches(words, 0xFF000000, 0xFB000000)  # of BLX, to a Thumb instruction
    return signed_field(words, 0, 24) * 4 + 2 * halfword


def numbers(words: Words) -> NDArray[np.int64]:
    """The number in each word: an immediate, a distance from a base or from the PC; else 0."""
    found = np.zeros(len(words), np.int64)
    # In the order of the encoding; the last that fits stands.
    immediate = matches(words, 0x0E000000, 0x02000000)
    found[immediate] = rotated(words[immediate])
    wide = matches(words, 0x0FB00000, 0x03000000)  # MOVW, MOVT
    found[wide] = field(words[wide], 4, 16) & np.uint32(0xF000) | words[wide] & np.uint32(0xFFF)
    single = matches(words, 0x0E000000, 0x04000000)
    found[single] = signed(words[single], field(words[single], 0, 12).astype(np.int64))
    extra = is_extra(words) & bit(words, 22)
    low = field(words[extra], 8, 4) << np.uint32(4) | words[extra] & np.uint32(0xF)
    found[extra] = signed(words[extra], low.astype(np.int64))
    branch = matches(words, 0x0E000000, 0x0A000000)
    found[branch] = distances(words[branch])
    coprocessor = matches(words, 0x0E000000, 0x0C000000)
    found[coprocessor] = signed(
        words[coprocessor], (words[coprocessor] & np.uint32(0xFF)).astype(np.int64) * 4
    )
    return found
