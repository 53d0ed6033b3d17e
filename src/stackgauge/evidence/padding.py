"""Where code begins in stretches that may be padding only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import UNKNOWN, Base, Rows
from stackgauge.image.elf import Elf
from stackgauge.isa.model import Isa

Addresses = NDArray[np.uint64]


def first_code(elf: Elf, isa: Isa, start: Addresses, end: Addresses) -> Addresses:
    """The first byte of each stretch that no padding has, or its end where all is padding.

    Args:
        elf: the image; stretches outside its sections of code count as padding.
        isa: says which bytes padding consists of.
        start, end: n addresses each, ascending, (n,) uint64.

    Returns:
        Addresses, (n,) uint64, a multiple of the instruction alignment above ``start``.
    """
    result = end.copy()
    allowed = np.zeros(256, bool)
    allowed[list(isa.filler)] = True
    for index in elf.executable.tolist():
        base, data = int(elf.headers["addr"][index]), elf.contents(index)
        low = int(np.searchsorted(start, np.uint64(base)))
        high = int(np.searchsorted(start, np.uint64(base + len(data))))
        first = (start[low:high] - np.uint64(base)).astype(np.int64)
        size = (np.minimum(end[low:high], np.uint64(base + len(data))) - start[low:high]).astype(
            np.int64
        )
        size[end[low:high] <= start[low:high]] = 0
        if not size.any():
            continue
        # All bytes of all stretches one after the other, and where each stretch begins in them.
        before = np.cumsum(size) - size
        offset = np.repeat(first - before, size)
        offset += np.arange(len(offset))
        code = np.flatnonzero(~allowed[data[offset]])
        found = np.searchsorted(code, before)
        hit = (size > 0) & (found < len(code))
        hit[hit] = code[found[hit]] < (before + size)[hit]
        at = offset[code[found[hit]]]
        at -= (at - first[hit]) % isa.instruction_alignment
        result[low:high][hit] = at.astype(np.uint64) + np.uint64(base)
    return result


# Most padding is shorter than a cache line; what is longer is looked through one by one.
_SHORT = 64


def code_end(elf: Elf, isa: Isa, start: Addresses, end: Addresses) -> Addresses:
    """The end of each stretch without the padding at it; a stretch of padding alone is kept.

    Arguments and result as ``first_code``.
    """
    result = end.copy()
    allowed = np.zeros(256, bool)
    allowed[list(isa.filler)] = True
    for index in elf.executable.tolist():
        base, data = int(elf.headers["addr"][index]), elf.contents(index)
        low = int(np.searchsorted(start, np.uint64(base)))
        high = int(np.searchsorted(start, np.uint64(base + len(data))))
        first = (start[low:high] - np.uint64(base)).astype(np.int64)
        at = np.minimum((end[low:high] - np.uint64(base)).astype(np.int64), len(data))
        live = np.flatnonzero(at > first)
        for _ in range(_SHORT):
            live = live[(at[live] > first[live]) & allowed[data[at[live] - 1]]]
            if not len(live):
                break
            at[live] -= 1
        for lane in live.tolist():
            code = np.flatnonzero(~allowed[data[first[lane] : at[lane]]])
            at[lane] = first[lane] + (int(code[-1]) + 1 if len(code) else 0)
        at += -(at - first) % isa.instruction_alignment
        result[low:high] = np.where(
            at > first, at.astype(np.uint64) + np.uint64(base), end[low:high]
        )
    return result


def without_padding(rows: Rows, elf: Elf, isa: Isa) -> Rows:
    """The table with unknown rows over padding marked as such: no code runs there."""
    unknown = np.flatnonzero(rows.depth == UNKNOWN)
    start, end = rows.start[unknown], rows.end[unknown]
    padding = unknown[first_code(elf, isa, start, end) >= end]
    depth, most, base = rows.depth.copy(), rows.most.copy(), rows.base.copy()
    depth[padding] = most[padding] = 0
    base[padding] = Base.PADDING
    return Rows(rows.start, rows.end, depth, most, base, rows.evidence)
