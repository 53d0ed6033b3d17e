"""The scattered distances of Thumb's branches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.image.thumb_branch import distances, with_distances

BL, B_COND = 0xF000D000, 0xF0008000


@pytest.mark.parametrize(
    ("word", "near", "distance"),
    [
        (0xF7FFFFFE, False, -4),  # bl to itself, as an assembler leaves it
        (0xF000F800, False, 0),
        (0xF000F900, False, 0x200),
        (0xF43FAFFE, True, -4),  # beq.w to itself
        (0xF0008000, True, 0),
    ],
)
def test_distances(word: int, near: bool, distance: int) -> None:
    assert distances(np.array([word], np.uint32), near=near).tolist() == [distance]


@given(st.integers(-(1 << 23), (1 << 23) - 1))
def test_a_far_distance_is_read_as_it_was_written(half: int) -> None:
    made = with_distances(np.array([BL], np.uint32), np.array([2 * half]), near=False)
    assert distances(made, near=False).tolist() == [2 * half]
    assert made[0] & 0xF800D000 == BL


@given(st.integers(-(1 << 19), (1 << 19) - 1))
def test_a_near_distance_is_read_as_it_was_written(half: int) -> None:
    made = with_distances(np.array([B_COND | 3 << 22], np.uint32), np.array([2 * half]), near=True)
    assert distances(made, near=True).tolist() == [2 * half]
    assert made[0] & 0xFBC0D000 == B_COND | 3 << 22
