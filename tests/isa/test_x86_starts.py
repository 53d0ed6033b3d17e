"""Where x86 instructions begin: the same as by stepping from each beginning one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.isa.x86.starts import instruction_starts


def by_stepping(length: list[int], begin: list[int], end: list[int]) -> list[int]:
    expected = set()
    for first, last in zip(begin, end, strict=True):
        at = first
        while at < last:
            expected.add(at)
            at += length[at]
    return sorted(expected)


def starts(length: list[int], begin: list[int], end: list[int]) -> list[int]:
    mask = instruction_starts(
        np.array(length, np.uint8), np.array(begin, np.int64), np.array(end, np.int64)
    )
    inside = np.zeros(len(length), bool)
    for first, last in zip(begin, end, strict=True):
        inside[first:last] = True
    return np.flatnonzero(mask & inside).tolist()


@given(
    st.lists(st.integers(1, 15), min_size=1, max_size=900),
    st.lists(st.integers(0, 890), min_size=1, max_size=200, unique=True),
    st.integers(1, 5),
)
def test_random_lengths(length: list[int], begins: list[int], most: int) -> None:
    length = [min(one, most) for one in length]
    begin = sorted(one for one in begins if one < len(length))
    end = [*begin[1:], len(length)][: len(begin)]
    assert starts(length, begin, end) == by_stepping(length, begin, end)


@given(st.integers(2, 15), st.integers(0, 14), st.integers(100, 2000))
def test_code_that_never_falls_into_step(each: int, begin: int, size: int) -> None:
    # From every byte one comes to other bytes, all through the text.
    length = [each] * size
    assert starts(length, [begin], [size]) == by_stepping(length, [begin], [size])


@given(st.integers(2, 5), st.lists(st.integers(1, 300), min_size=2, max_size=20))
def test_many_beginnings_out_of_step(each: int, sizes: list[int]) -> None:
    begin = np.cumsum([0, *sizes[:-1]]).tolist()
    end = np.cumsum(sizes).tolist()
    length = [each] * end[-1]
    assert starts(length, begin, end) == by_stepping(length, begin, end)


@pytest.mark.parametrize("gap", [0, 1, 7])
def test_an_instruction_may_reach_over_the_end(gap: int) -> None:
    length = [3] * 20
    assert starts(length, [0, 10 + gap], [10, 20]) == by_stepping(length, [0, 10 + gap], [10, 20])


def test_nothing() -> None:
    assert starts([], [], []) == []
