"""Fields of A64 instructions, of one word or of an array of them.

Source: Arm Architecture Reference Manual for A-profile architecture (DDI 0487), C4 ("A64
Instruction Set Encoding") and, for each instruction, C6 and C7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

# As a base or, in some instructions, a destination, register 31 is the stack pointer; elsewhere
# it is the zero register (C1.2.5).
SP = 31
FRAME_POINTER = 29


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


def destination(words: Words) -> Words:
    """Rd, or Rt of a load or store."""
    return words & np.uint32(31)


def base(words: Words) -> Words:
    """Rn."""
    return field(words, 5, 5)


def bitmask_immediate(word: int) -> int | None:
    """The immediate of a logical instruction: ``DecodeBitMasks`` (shared pseudocode, J1.3).

    Returns:
        64 bits, or 32 where the instruction is of that width; None where it is not allocated.
    """
    size = 64 if word >> 31 else 32
    n, rotation, ones = word >> 22 & 1, word >> 16 & 63, word >> 10 & 63
    length = ((n << 6) | (~ones & 63)).bit_length() - 1
    if length < 1 or 1 << length > size:
        return None
    element = 1 << length
    rotation, ones = rotation & element - 1, ones & element - 1
    if ones == element - 1:
        return None
    run = (1 << ones + 1) - 1
    run = (run >> rotation | run << element - rotation) & (1 << element) - 1
    return int(sum(run << at for at in range(0, size, element)))
