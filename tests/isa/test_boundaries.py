"""Where instructions of several lengths begin, held against walking from one to the next."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.isa.boundaries import instruction_starts


def _walked(length: list[int], begin: set[int]) -> list[bool]:
    starts, following = [False] * len(length), 0
    for here in range(len(length)):
        if here in begin:
            following = here
        if here == following:
            starts[here] = True
            following += length[here]
    return starts


@st.composite
def _code(draw: st.DrawFn) -> tuple[list[int], set[int], int]:
    longest = draw(st.integers(1, 4))
    # More than two of the parts that the code is cut into.
    pattern = draw(st.lists(st.integers(1, longest), min_size=1, max_size=40))
    length = (pattern * 600)[: draw(st.integers(1, 600))]
    begin = draw(st.sets(st.integers(0, len(length) - 1), max_size=8))
    return length, begin, longest


@given(_code())
def test_as_walking(code: tuple[list[int], set[int], int]) -> None:
    length, begin, longest = code
    found = instruction_starts(
        np.array(length, np.uint8), np.array(sorted(begin), np.intp), longest
    )
    assert found.tolist() == _walked(length, begin)


def test_no_code() -> None:
    assert not len(instruction_starts(np.zeros(0, np.uint8), np.zeros(0, np.intp), 3))
