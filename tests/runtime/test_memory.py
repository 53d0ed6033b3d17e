"""Free bytes of stacks, as the kernel counts them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.runtime.memory import untouched

MAGIC = 0x57AC6E9D


def _kernels_way(words: list[int], size: int) -> int:
    """include/linux/sched/task_stack.h, stack_not_used."""
    n = 0
    while True:
        n += 1
        if n == len(words) or words[n]:
            return n * size


@given(st.integers(0, 30), st.lists(st.integers(0, 3), max_size=9), st.sampled_from("48"))
def test_as_the_kernel_counts(zeros: int, rest: list[int], size: str) -> None:
    words = [MAGIC, *[0] * zeros, *rest]
    stack = np.array(words, f"u{size}")
    assert untouched(stack) == (_kernels_way(words, int(size)), True)


@pytest.mark.parametrize(("first", "whole"), [(MAGIC, True), (0, False), (MAGIC << 32, False)])
def test_the_end_magic(first: int, whole: bool) -> None:
    assert untouched(np.array([first, 0, 5], np.uint64)) == (16, whole)


def test_thread_info_at_the_end() -> None:
    stack = np.array([1, 2, 3, MAGIC, 0, 0, 9, 9], np.uint32)
    assert untouched(stack, 3) == (12, True)
