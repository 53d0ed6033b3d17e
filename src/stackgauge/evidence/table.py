"""The common table: where the stack pointer is at every instruction, whatever says it.

Each kind of evidence makes rows; frames and call depths are computed from rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import sorted_unique

# ``depth`` of a row whose evidence cannot say it, and ``most`` of one without a limit.
UNKNOWN = -1
NO_LIMIT = 1 << 30


class Base(IntEnum):
    """From what a row's depth is counted."""

    SP = 0
    """Evidence ties the depth to the stack pointer itself, so it is exact at every instruction."""
    OTHER = 1
    """The evidence follows another register: ``depth`` says only where the caller's frame is."""
    REGISTERS = 2
    """An entry from user or interrupt: ``depth`` reaches to the end of its saved registers."""
    ELSEWHERE = 3
    """The stack pointer is on another stack; ``depth`` is what this one holds meanwhile."""
    UNREACHED = 4
    """No path leads here from where the function is entered, and nothing here takes stack, so
    the frame cannot be larger for it; ``depth`` is UNKNOWN."""
    PADDING = 5
    """No code runs here; ``depth`` is 0."""


class Evidence(IntEnum):
    """What a row rests on; the names are the ones that users see, in lower case."""

    NONE = 0
    CFI = 1
    ORC = 2
    EHABI = 3
    INSTRUCTIONS = 4


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows sorted by ``start``, without overlap inside a function; gaps are rows of UNKNOWN.

    Attributes:
        start: first address, uint64.
        end: the address after the last, uint64.
        depth: bytes on the stack, at least, from the caller's stack pointer before the call down
            to the stack pointer; UNKNOWN where not known; int32.
        most: the same, at most; equal to ``depth`` where the stack is static, NO_LIMIT where it
            is dynamic and no limit is known; int32.
        base: Base, uint8.
        evidence: Evidence, uint8.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    depth: NDArray[np.int32]
    most: NDArray[np.int32]
    base: NDArray[np.uint8]
    evidence: NDArray[np.uint8]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.start)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rows:
        """The rows at an index, a mask or a slice."""
        return Rows(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


def no_rows() -> Rows:
    """A table without a row."""
    return make_rows(
        np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int32), Evidence.NONE
    )


def make_rows(
    start: NDArray[np.uint64],
    end: NDArray[np.uint64],
    depth: NDArray[np.int32],
    evidence: Evidence,
    *,
    most: NDArray[np.int32] | None = None,
    base: NDArray[np.uint8] | None = None,
) -> Rows:
    """Rows of one kind of evidence; static and SP-based unless told otherwise."""
    return Rows(
        start=start,
        end=end,
        depth=depth,
        most=depth if most is None else most,
        base=np.full(len(start), Base.SP, np.uint8) if base is None else base,
        evidence=np.full(len(start), evidence, np.uint8),
    )


def in_order(parts: list[Rows]) -> Rows:
    """Tables over different code made one."""
    columns = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Rows)}
    rows = Rows(**columns)
    return rows if len(parts) == 1 else rows.take(np.argsort(rows.start, kind="stable"))


@dataclass(frozen=True, eq=False)
class Peaks:
    """The deepest row of each of n address ranges.

    Attributes:
        depth, most: the largest of the known rows, int32; UNKNOWN where none is known.
        settled: whether the rows cover the whole range and none of them is deeper for all that
            is known, bool.
        evidence: the last in Evidence's order of those that the range's rows rest on, uint8.
    """

    depth: NDArray[np.int32]
    most: NDArray[np.int32]
    settled: NDArray[np.bool_]
    evidence: NDArray[np.uint8]


def known(rows: Rows) -> NDArray[np.bool_]:
    """Which rows say where the stack pointer itself is."""
    says: NDArray[np.bool_] = (rows.depth != UNKNOWN) & (rows.base != Base.OTHER)
    return says


def peaks(rows: Rows, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> Peaks:
    """The deepest known row in each range.

    Args:
        rows: the table.
        start, end: n addresses, (n,) uint64, of non-empty ranges.
    """
    count = len(start)
    if not len(rows) or not count:
        nothing = np.full(count, UNKNOWN, np.int32)
        return Peaks(nothing, nothing, np.zeros(count, bool), np.zeros(count, np.uint8))
    says = known(rows)
    depth = np.where(says, rows.depth, np.int32(UNKNOWN))
    most = np.where(says, rows.most, np.int32(UNKNOWN))
    # Rows that overlap each range: from the one that holds its start (or the next) on.
    first = np.searchsorted(rows.end, start, side="right")
    last = np.searchsorted(rows.start, end, side="left")
    some = first < last
    bounds = np.column_stack([first, np.maximum(last, first)]).reshape(-1)
    # A sentinel row, so that every bound is a valid index for reduceat.
    deepest = np.maximum.reduceat(np.append(depth, np.int32(UNKNOWN)), bounds)[::2]
    limit = deepest
    if not np.array_equal(depth, most):
        limit = np.maximum.reduceat(np.append(most, np.int32(UNKNOWN)), bounds)[::2]
    unknown_before = _counts(~says & (rows.base != Base.UNREACHED))
    gaps_before = _counts(rows.end[:-1] < rows.start[1:])
    at_first = np.minimum(first, len(rows) - 1)
    at_last = np.maximum(last - 1, 0)
    settled = (
        some
        & (unknown_before[last] == unknown_before[first])
        & (gaps_before[at_last] == gaps_before[at_first])
        & (rows.start[at_first] <= start)
        & (rows.end[at_last] >= end)
    )
    kinds = np.maximum.reduceat(np.append(rows.evidence, np.uint8(0)), bounds)[::2]
    return Peaks(
        depth=np.where(some, deepest, UNKNOWN).astype(np.int32),
        most=np.where(some, limit, UNKNOWN).astype(np.int32),
        settled=settled,
        evidence=np.where(some, kinds, 0).astype(np.uint8),
    )


def _counts(marks: NDArray[np.bool_]) -> NDArray[np.int32]:
    """How many are set before each place, the one after the last included."""
    result = np.zeros(len(marks) + 1, np.int32)
    np.cumsum(marks, out=result[1:])
    return result


def sample(rows: Rows, address: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The row that holds each address, or -1."""
    if not len(rows):
        return np.full(len(address), -1, np.intp)
    found = np.searchsorted(rows.start, address, side="right") - 1
    return np.where((found >= 0) & (address < rows.end[np.maximum(found, 0)]), found, -1)


def deeper(one: Rows, two: Rows) -> Rows:
    """Two tables over the same code made one: the deeper where both know, else the one that does.

    Args:
        one: rows that say which code is meant: the result covers theirs alone.
        two: the other table.
    """
    # Only where the other says more is anything to be done; mostly that is nowhere.
    two = two.take(_touching(two, one))
    two = two.take(known(two))
    if not len(one) or not len(two):
        return one
    first = np.searchsorted(one.end, two.start, side="right")
    last = np.searchsorted(one.start, two.end, side="left")
    some = np.flatnonzero(first < last)
    bounds = np.column_stack([first[some], last[some]]).reshape(-1)
    more = np.zeros(len(some), bool)
    says = known(one)
    for ours, theirs in ((one.depth, two.depth), (one.most, two.most)):
        # A sentinel row, so that every bound is a valid index for reduceat.
        lowest = np.append(np.where(says, ours, UNKNOWN), NO_LIMIT)
        more |= np.minimum.reduceat(lowest, bounds)[::2] < theirs[some] if len(some) else False
    some = some[more]
    touched = np.zeros(len(one) + 1, np.int32)
    np.add.at(touched, first[some], 1)
    np.add.at(touched, last[some], -1)
    inside = np.cumsum(touched[:-1]) > 0
    if not inside.any():
        return one
    return in_order([one.take(~inside), _deeper(one.take(inside), two.take(some))])


def _deeper(one: Rows, two: Rows) -> Rows:
    bounds = np.concatenate([two.start, two.end])
    bounds = bounds[sample(one, bounds) >= 0]
    cuts = sorted_unique(np.concatenate([one.start, one.end, bounds]))
    at = sample(one, cuts)
    cuts, at = cuts[at >= 0], at[at >= 0]
    other = sample(two, cuts)
    other_row = np.maximum(other, 0)
    end = np.minimum(one.end[at], np.append(cuts[1:], one.end[-1:]))
    other_knows = other >= 0
    prefer = other_knows & (~known(one)[at] | (two.depth[other_row] > one.depth[at]))
    columns = {
        name: np.where(prefer, getattr(two, name)[other_row], getattr(one, name)[at])
        for name in ("depth", "base", "evidence")
    }
    most = np.where(other_knows, two.most[other_row], UNKNOWN)
    most = np.maximum(most, np.where(known(one)[at], one.most[at], UNKNOWN))
    most = np.where(other_knows | known(one)[at], most, UNKNOWN).astype(np.int32)
    return Rows(cuts, end, columns["depth"], most, columns["base"], columns["evidence"])


def _touching(rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """Which rows share code with any of the others, which are the fewer."""
    first = np.searchsorted(rows.end, others.start, side="right")
    last = np.searchsorted(rows.start, others.end, side="left")
    some = first < last
    change = np.bincount(first[some], minlength=len(rows) + 1)
    change -= np.bincount(last[some], minlength=len(rows) + 1)
    touched: NDArray[np.bool_] = np.cumsum(change)[:-1] > 0
    return touched
