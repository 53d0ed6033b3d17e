"""Where instructions begin, over a whole section at once.

Each instruction says where the next one begins, so a stretch of code has to be stepped through from
its start. Here it is cut into parts that are stepped through side by side, all of them as if an
instruction began at their first byte. Wherever one is entered, x86 code soon falls into step: so
what a part says of its own end is nearly always right, and a second turn, in which each part is
entered where the one before it says, finds all boundaries. Where it was wrong, and where a stretch
begins that what comes before it does not end at, they are put right one by one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Bytes in a part.
_PART = 128
# How many parts are turned on their side at once, so that they stay in the cache.
_PARTS = 256


def instruction_starts(
    length: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """At which bytes an instruction begins when stepping from each ``begin`` until its ``end``.

    Args:
        length: of the instruction at each byte, 1 to 15, shape (n,).
        begin: offsets of the first instruction of each stretch, ascending, shape (m,).
        end: the offsets after their last bytes, at most n and the next ``begin``, shape (m,).

    Returns:
        A mask, shape (n,); what it says of bytes outside the stretches is of no meaning.
    """
    if not len(length):
        return np.zeros(0, bool)
    rows = _on_side(length)
    parts = rows.shape[1]
    guessed = _step(rows, np.zeros(parts, np.uint8), None)
    marks = np.empty(rows.shape, bool)
    entered = np.append(np.uint8(0), guessed[:-1])
    left = _step(rows, entered, marks)
    starts = np.empty((parts, _PART), bool)
    for at in range(0, parts, _PARTS):
        starts[at : at + _PARTS] = marks[:, at : at + _PARTS].T
    result = starts.reshape(-1)[: len(length)]
    done = -1
    # Loops over what was guessed wrong: few places, and each byte is stepped over once.
    for part in np.flatnonzero(left != guessed).tolist():
        place = (part + 1) * _PART
        # Else the part was stepped through just now, up to its end and on.
        if place > done:
            result[place : place + int(left[part])] = False
            done = _correct(result, length, place + int(left[part]), len(length))
    some = begin < end
    unmet = ~result[begin[some]]
    for place, last in zip(begin[some][unmet].tolist(), end[some][unmet].tolist(), strict=True):
        _correct(result, length, place, last)
    return result


def _on_side(length: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The lengths as rows to step through: by place in a part, then by part."""
    parts = -(-len(length) // _PART)
    padded = np.ones(parts * _PART, np.uint8)
    padded[: len(length)] = length
    across = padded.reshape(parts, _PART)
    rows = np.empty((_PART, parts), np.uint8)
    for at in range(0, parts, _PARTS):
        rows[:, at : at + _PARTS] = across[at : at + _PARTS].T
    return rows


def _step(
    rows: NDArray[np.uint8], left: NDArray[np.uint8], marks: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Step through all parts.

    Args:
        rows: as of ``_on_side``.
        left: how many bytes of the last instruction are left at each part's start.
        marks: where an instruction begins, set here; shape of ``rows``.

    Returns:
        How many bytes are left at each part's end.
    """
    left = left.copy()
    begins, added = np.empty(len(left), bool), np.empty(len(left), np.uint8)
    for place, lengths in enumerate(rows):
        if marks is not None:
            begins = marks[place]
        np.equal(left, 0, out=begins)
        np.multiply(lengths, begins.view(np.uint8), out=added)
        left += added
        left -= 1
    return left


def _correct(starts: NDArray[np.bool_], length: NDArray[np.uint8], begin: int, end: int) -> int:
    """Let an instruction begin at ``begin``, and step on until in step with the rest or at ``end``.

    Returns:
        Where that is.
    """
    here, path = begin, []
    while here < end and not starts[here]:
        path.append(here)
        here += int(length[here])
    starts[begin : min(here, end)] = False
    starts[path] = True
    return here
