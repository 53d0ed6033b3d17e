"""Which code of a section is read, and that any bytes can be."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stackgauge.isa.arm64 import ARM64
from stackgauge.isa.arm64.slots import NOTHING
from stackgauge.isa.model import SLOTS, Code, Effect, Ranges, Steps

BASE = 0xFFFF_8000_0800_0000
PUSH = 0xF81F0FFE  # str x30, [sp, #-16]!


def _pushes(count: int) -> NDArray[np.uint8]:
    return np.full(count, PUSH, "<u4").view(np.uint8)


def _ranges(*limits: tuple[int, int]) -> Ranges:
    start, end = np.array(limits, np.uint64).reshape(-1, 2).T.copy()
    return Ranges(start, end)


def test_only_the_ranges_are_read() -> None:
    steps = ARM64.read(
        Code(_pushes(8), BASE), _ranges((BASE + 4, BASE + 8), (BASE + 16, BASE + 24))
    )
    assert steps.start.tolist() == [BASE + 4, BASE + 16, BASE + 20]
    assert steps.end.tolist() == [BASE + 8, BASE + 20, BASE + 24]


def test_parts_of_words_are_left_out() -> None:
    code = Code(_pushes(8), BASE)
    steps = ARM64.read(code, _ranges((BASE + 1, BASE + 11)))
    assert steps.start.tolist() == [BASE + 4]
    assert len(ARM64.read(code, _ranges((BASE + 5, BASE + 7)))) == 0


def test_what_lies_outside_of_the_section_is_left_out() -> None:
    code = Code(_pushes(2), BASE)
    steps = ARM64.read(code, _ranges((0, BASE + 4), (BASE + 4, (1 << 64) - 1)))
    assert steps.start.tolist() == [BASE, BASE + 4]
    assert len(ARM64.read(code, _ranges((BASE + 8, BASE + 16)))) == 0
    assert len(ARM64.read(code, _ranges())) == 0
    assert len(ARM64.read(Code(_pushes(0), BASE), _ranges((BASE, BASE + 4)))) == 0


def test_a_section_need_not_be_aligned() -> None:
    raw = np.concatenate([np.zeros(3, np.uint8), _pushes(2), np.zeros(1, np.uint8)])
    steps = ARM64.read(Code(raw, BASE + 1), _ranges((BASE, BASE + 64)))
    assert steps.start.tolist() == [BASE + 4, BASE + 8]


def test_targets_wrap_as_addresses_do() -> None:
    back = np.array([0x97FFFFFF], "<u4").view(np.uint8)  # bl .-4
    assert ARM64.read(Code(back, 0), _ranges((0, 4))).target.tolist() == [(1 << 64) - 4]
    there = np.array([0x94000001], "<u4").view(np.uint8)  # bl .+4
    last = (1 << 64) - 4
    assert ARM64.read(Code(there, last), _ranges((last, (1 << 64) - 1))).target.tolist() == []
    at = last - 4
    assert ARM64.read(Code(there, at), _ranges((at, last))).target.tolist() == [last]


def _is_sound(steps: Steps) -> None:
    assert (np.diff(steps.start.astype(np.int64)) >= 0).all()
    assert (steps.end - steps.start == 4).all()
    assert (steps.slot < SLOTS).all()
    writes = np.isin(steps.effect, (Effect.COPY, Effect.MOVE))
    assert (steps.slot[writes] != NOTHING).all()


# Words that make the reader follow registers, so that random code has many of them together.
_SHAPES = st.sampled_from(
    [0xCB2063FF, 0x8B2063FF, 0x9100001F, 0x910003E0, 0x927AE41F, 0xD2800000, 0xF2A00000,
     0x91000400, 0xEB2063FF, 0xD14043FF, 0x54FFFFA1, 0xCB000000, 0xAA0003E0, 0x94000001]
)  # fmt: skip
_WORDS = st.one_of(
    st.integers(0, 0xFFFFFFFF),
    st.builds(
        lambda shape, first, second: shape | first << 5 | second << 16,
        _SHAPES, st.integers(0, 31), st.integers(0, 31),
    ),
)  # fmt: skip


@settings(deadline=None)  # the first run makes tables
@given(st.lists(_WORDS, max_size=64), st.lists(st.integers(0, 64), min_size=1, max_size=5))
def test_any_words_can_be_read(words: list[int], limits: list[int]) -> None:
    raw = np.array(words, "<u4")
    edges = sorted({BASE + 4 * limit for limit in (0, *limits, 64)})
    ranges = _ranges(*itertools.pairwise(edges))
    _is_sound(ARM64.read(Code(raw.view(np.uint8), BASE), ranges))


@settings(deadline=None)  # the first run makes tables
@given(st.binary(max_size=80), st.integers(0, 15))
def test_any_bytes_can_be_read(raw: bytes, address: int) -> None:
    code = Code(np.frombuffer(raw, np.uint8), address)
    _is_sound(ARM64.read(code, _ranges((0, 100))))


@pytest.mark.parametrize(
    "pattern",
    [
        [0xCB2063FF],  # sub sp, sp, x0
        [0x9100013F],  # mov sp, x9
        [0xF2800000] * 8 + [0xCB2063FF],  # movk x0, ...
        [0x92401C00] * 40 + [0xCB2063FF],  # and x0, x0, #255
        [0xD14043FF, 0xF90203FF, 0xEB2963FF, 0x54FFFFA1],  # a loop of probes
    ],
)
def test_code_made_to_be_followed_is_read_in_bounded_time(pattern: list[int]) -> None:
    raw = np.tile(np.array(pattern, "<u4"), 300_000 // len(pattern)).view(np.uint8)
    begun = time.process_time()
    ARM64.read(Code(raw, BASE), _ranges((BASE, BASE + len(raw))))
    assert time.process_time() - begun < 10
