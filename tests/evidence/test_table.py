"""Looking rows up: the deepest in a range, the row at an address, the deeper of two tables."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.evidence.table import (
    UNKNOWN,
    Base,
    Evidence,
    Rows,
    deeper,
    make_rows,
    no_rows,
    peaks,
    sample,
)


def table(
    *spans: tuple[int, int, int], base: Base = Base.SP, evidence: Evidence = Evidence.CFI
) -> Rows:
    """Rows of (start, end, depth); an UNKNOWN depth has base OTHER."""
    start, end, depth = (np.array(column) for column in zip(*spans, strict=True))
    bases = np.where(depth == UNKNOWN, Base.OTHER, base).astype(np.uint8)
    return make_rows(
        start.astype(np.uint64), end.astype(np.uint64), depth.astype(np.int32), evidence, base=bases
    )


def at(*addresses: int) -> np.ndarray:
    return np.array(addresses, np.uint64)


def test_the_deepest_row_of_each_range() -> None:
    rows = table((0, 4, 8), (4, 8, 48), (8, 12, 8), (16, 20, 16))
    found = peaks(rows, at(0, 8, 16), at(8, 12, 20))
    assert found.depth.tolist() == [48, 8, 16]
    assert found.settled.tolist() == [True, True, True]


def test_a_row_may_reach_over_several_ranges() -> None:
    found = peaks(table((0, 100, 8)), at(0, 40), at(40, 100))
    assert (found.depth.tolist(), found.settled.tolist()) == ([8, 8], [True, True])


def test_gaps_leave_a_range_open() -> None:
    rows = table((0, 4, 8), (6, 10, 16))
    found = peaks(rows, at(0, 0, 4, 6, 8, 12), at(4, 10, 6, 10, 12, 14))
    assert found.depth.tolist() == [8, 16, UNKNOWN, 16, 16, UNKNOWN]
    assert found.settled.tolist() == [True, False, False, True, False, False]


def test_an_unknown_row_leaves_a_range_open() -> None:
    found = peaks(table((0, 4, 8), (4, 8, UNKNOWN), (8, 12, 8)), at(0, 8), at(8, 12))
    assert found.settled.tolist() == [False, True]


def test_unreached_code_and_padding_leave_nothing_open() -> None:
    rows = table((0, 4, 8), (4, 8, UNKNOWN), (8, 12, 8))
    for base, depth in ((Base.UNREACHED, UNKNOWN), (Base.PADDING, 0)):
        rows.base[1], rows.depth[1] = base, depth
        assert peaks(rows, at(0), at(12)).settled.tolist() == [True]


def test_another_registers_depth_does_not_count() -> None:
    rows = table((0, 4, 8), (4, 8, 400))
    rows.base[1] = Base.OTHER
    found = peaks(rows, at(0), at(8))
    assert (found.depth.tolist(), found.settled.tolist()) == ([8], [False])


def test_no_rows_settle_nothing() -> None:
    found = peaks(no_rows(), at(0), at(8))
    assert (found.depth.tolist(), found.settled.tolist()) == ([UNKNOWN], [False])


SPANS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 6), st.sampled_from([UNKNOWN, 8, 16, 24, 400])),
    min_size=1,
    max_size=20,
)


def made(steps: list[tuple[int, int, int]]) -> tuple[Rows, dict[int, int]]:
    """A table of (gap before, length, depth) rows, and the depth at each address."""
    place, spans, depth_at = 0, [], {}
    for gap, length, depth in steps:
        place += gap
        spans.append((place, place + length, depth))
        depth_at.update(dict.fromkeys(range(place, place + length), depth))
        place += length
    return table(*spans), depth_at


@given(SPANS, st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), min_size=1, max_size=8))
def test_peaks_are_those_of_looking_at_each_address(
    steps: list[tuple[int, int, int]], ranges: list[tuple[int, int]]
) -> None:
    rows, depth_at = made(steps)
    start = at(*(a for a, _ in ranges))
    found = peaks(rows, start, start + at(*(size for _, size in ranges)))
    for index, (low, size) in enumerate(ranges):
        depths = [depth_at.get(address, UNKNOWN) for address in range(low, low + size)]
        assert found.depth[index] == max(depths)
        assert found.settled[index] == (UNKNOWN not in depths)


@given(SPANS, SPANS)
def test_the_deeper_of_two_tables_at_each_address(
    one: list[tuple[int, int, int]], two: list[tuple[int, int, int]]
) -> None:
    rows, first = made(one)
    other, second = made(two)
    merged = deeper(rows, other)
    assert (merged.start[1:] >= merged.end[:-1]).all()
    for address in range(200):
        row = int(sample(merged, at(address))[0])
        assert (row >= 0) == (address in first)
        if row >= 0:
            assert merged.depth[row] == max(first[address], second.get(address, UNKNOWN))
