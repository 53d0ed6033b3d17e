"""Where code begins in stretches that may be padding only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import UNKNOWN, Base, Rows
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
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
        base, data = np.uint64(elf.headers["addr"][index]), elf.contents(index)
        stop = base + np.uint64(len(data))
        low, high = (int(np.searchsorted(start, bound)) for bound in (base, stop))
        first = (start[low:high] - base).astype(np.int64)
        size = (np.minimum(end[low:high], stop) - base).astype(np.int64) - first
        near = (size <= _NEAR) & (first + _NEAR <= len(data))
        at = np.full(len(first), -1, np.int64)
        at[near] = _first_near(data, allowed, first[near], size[near])
        at[~near] = _first_far(data, allowed, first[~near], size[~near])
        hit = np.flatnonzero(at >= 0)
        at = first[hit] + at[hit] // isa.instruction_alignment * isa.instruction_alignment
        result[low + hit] = at.astype(np.uint64) + base
    return result


# Most stretches are no longer: functions are aligned to so many bytes.
_NEAR = 16


def _first_near(
    data: Bytes, allowed: NDArray[np.bool_], first: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How far into each short stretch code begins, or -1."""
    if not len(first):
        return first
    windows = np.ndarray((len(data) - _NEAR + 1, _NEAR), np.uint8, data.data, 0, (1, 1))
    code = ~allowed[windows[first]] & (np.arange(_NEAR) < size[:, None])
    place: NDArray[np.int64] = code.argmax(axis=1)
    return np.where(code[np.arange(len(first)), place], place, -1)


def _first_far(
    data: Bytes, allowed: NDArray[np.bool_], first: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The same of stretches of any length."""
    if not len(first):
        return first
    result = np.full(len(first), -1, np.int64)
    live = np.flatnonzero(size > 0)
    # Code mostly begins soon.
    for ahead in range(_SHORT):
        live = live[size[live] > ahead]
        code = ~allowed[data[first[live] + ahead]]
        result[live[code]] = ahead
        live = live[~code]
    # A loop over the few that are left: large holes between parts of the kernel.
    for lane in live.tolist():
        rest = data[first[lane] + _SHORT : first[lane] + size[lane]]
        found = np.flatnonzero(~allowed[rest])
        if len(found):
            result[lane] = _SHORT + int(found[0])
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
        limit = np.minimum((end[low:high] - np.uint64(base)).astype(np.int64), len(data))
        at = limit.copy()
        live = np.flatnonzero(at > first)
        for _ in range(_SHORT):
            live = live[(at[live] > first[live]) & allowed[data[at[live] - 1]]]
            if not len(live):
                break
            at[live] -= 1
        for lane in live.tolist():
            code = np.flatnonzero(~allowed[data[first[lane] : at[lane]]])
            at[lane] = first[lane] + (int(code[-1]) + 1 if len(code) else 0)
        at = np.minimum(at + -(at - first) % isa.instruction_alignment, limit)
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
