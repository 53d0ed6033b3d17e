"""The distance of Thumb's long branches, whose bits lie scattered over two halfwords.

Source: Arm Architecture Reference Manual (DDI 0406C), A8.8.18 (B, encodings T3 and T4) and A8.8.25
(BL and BLX). Instructions are given as words with the first halfword in the upper half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Distances = NDArray[np.int64]

# Where the lowest bit of a field stands in the instruction and in the distance, and its width.
_LOW = (0, 1, 11)
_NEAR = (_LOW, (16, 12, 6), (13, 18, 1), (11, 19, 1), (26, 20, 1))
_FAR = (_LOW, (16, 12, 10), (13, 23, 1), (11, 22, 1), (26, 24, 1))

# Of the far ones, bits 23 and 22 are as the instruction says unless the sign (bit 24) is clear.
_INVERTED = 0b11 << 22


def distances(words: Words, *, near: bool) -> Distances:
    """How far from the instruction and 4 bytes on each branch leads.

    Args:
        words: the instructions.
        near: whether they are branches with a condition (T3), which reach less far.
    """
    value = np.zeros(len(words), np.int64)
    for place, low, width in _NEAR if near else _FAR:
        field = words >> np.uint32(place) & np.uint32((1 << width) - 1)
        value |= field.astype(np.int64) << low
    sign = 1 << (20 if near else 24)
    if not near:
        value ^= np.where(value & sign == 0, _INVERTED, 0)
    return (value ^ sign) - sign


def with_distances(words: Words, values: Distances, *, near: bool) -> Words:
    """The branches made to lead so far; what does not fit is cut off."""
    if not near:
        values = values ^ np.where(values & 1 << 24 == 0, _INVERTED, 0)
    out = words.copy()
    for place, low, width in _NEAR if near else _FAR:
        mask = np.uint32((1 << width) - 1)
        field = (values >> low).astype(np.uint32) & mask
        out = out & ~(mask << np.uint32(place)) | field << np.uint32(place)
    return out
