"""Where instructions begin in code whose instructions have a few different lengths.

An instruction's first unit (a byte, two, ...) tells its length, so where one begins depends on all
that comes before it in its stretch. Here that is found for a whole section at once: the code is cut
into parts of one length; each part says, for every way in which the part before it can end, how it
ends itself; and then the parts are put together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Units in a part. All parts are stepped through together, and then put together one by one.
_PART = 256


def instruction_starts(
    length: NDArray[np.uint8], begin: NDArray[np.intp], longest: int
) -> NDArray[np.bool_]:
    """Which units an instruction begins at.

    Args:
        length: of the instruction that would begin at each unit, in units, 1 to ``longest``;
            shape (n,).
        begin: units at which one begins for certain, as at the start of a function.
        longest: the largest length there is; a few units.

    Returns:
        A mask, shape (n,).
    """
    parts = -(-len(length) // _PART)
    # By place in a part, then by part: rows that are stepped through one after the other.
    rows = np.ones((parts, _PART), np.uint8)
    rows.reshape(-1)[: len(length)] = length
    rows = np.ascontiguousarray(rows.T)
    # 0 where an instruction begins for certain, else a mask that keeps all bits.
    keep = np.full((_PART, parts), 0xFF, np.uint8)
    keep[begin % _PART, begin // _PART] = 0
    # How many units of the last instruction are left at the end of a part, by how many were left
    # at its start.
    left = np.repeat(np.arange(longest, dtype=np.uint8)[:, None], parts, axis=1)
    for units, kept in zip(rows, keep, strict=True):
        _step(left, units, kept)
    entered = np.zeros(parts, np.uint8)
    now = 0
    for part, ways in enumerate(left.T.tolist()):
        entered[part] = now
        now = ways[now]
    starts = np.empty((_PART, parts), bool)
    for place, (units, kept) in enumerate(zip(rows, keep, strict=True)):
        starts[place] = _step(entered, units, kept)
    return np.ascontiguousarray(starts.T).reshape(-1)[: len(length)]


def _step(
    left: NDArray[np.uint8], length: NDArray[np.uint8], keep: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Go one unit on in every part; whether an instruction began at it."""
    left &= keep
    begins: NDArray[np.bool_] = left == 0
    left += length * begins
    left -= 1
    return begins
