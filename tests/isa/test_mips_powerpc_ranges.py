"""Which code of a section the readers of MIPS and PowerPC read, and that any bytes can be."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.isa.followed import NOTHING
from stackgauge.isa.mips.encoding import Dialect
from stackgauge.isa.mips.reader import read_mips
from stackgauge.isa.model import SLOTS, Code, Effect, Ranges, Steps
from stackgauge.isa.powerpc.reader import read_powerpc

BASE = 0xFFFF_FFFF_8010_0000

Read = Callable[[Code, Ranges], Steps]

READERS: dict[str, tuple[str, Read]] = {}
for _order, _dialect in itertools.product("<>", Dialect):
    READERS[f"mips {_order} {_dialect.name}"] = (
        _order,
        partial(read_mips, order=_order, dialect=_dialect, stack_alignment=8),
    )
for _order, _bits in itertools.product("<>", (32, 64)):
    READERS[f"powerpc {_order} {_bits}"] = (
        _order,
        partial(read_powerpc, order=_order, bits=_bits, alignment=16),
    )

# A push of 16 bytes, by architecture.
PUSHES = {"mips": 0x27BDFFF0, "powerpc": 0xF821FFF1}


def _ranges(*limits: tuple[int, int]) -> Ranges:
    start, end = np.array(limits, np.uint64).reshape(-1, 2).T.copy()
    return Ranges(start, end)


@pytest.fixture(params=sorted(READERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_only_whole_words_in_the_ranges_and_the_section_are_read(name: str) -> None:
    order, read = READERS[name]
    push = PUSHES[name.split(maxsplit=1)[0]] if "32" not in name else 0x9421FFF0
    code = Code(np.full(8, push, f"{order}u4").view(np.uint8), BASE)

    def taking(*limits: tuple[int, int]) -> list[int]:
        steps = read(code, _ranges(*limits))
        found = steps.start[steps.effect == Effect.ADD] - np.uint64(BASE)
        return [int(offset) for offset in found]

    assert taking((BASE + 4, BASE + 8), (BASE + 16, BASE + 24)) == [4, 16, 20]
    assert taking((BASE + 1, BASE + 11)) == [4]
    assert taking((0, BASE + 4), (BASE + 28, (1 << 64) - 1)) == [0, 28]
    assert taking((BASE + 32, BASE + 64)) == []
    assert taking() == []


# Words that make the readers follow registers, so that random code has many of them together.
_SHAPES = st.sampled_from(
    [0x27BD0000, 0x03A0F025, 0x03C0E825, 0x03A2E823, 0x3C010000, 0x34210000, 0x0C000000,
     0x50000000, 0x17A3FFFE, 0x27BDFFF8, 0x03E00825, 0x03E00008,
     0xF8210001, 0x38210000, 0x7C21016A, 0xE8210000, 0x7C3F0B78, 0x7FE1FB78, 0x3C000000,
     0x60000000, 0x7C2300D0, 0x06000000, 0x7C216000, 0x4082FFF8, 0x0FE00000, 0x4BFFFFF1]
)  # fmt: skip
_WORDS = st.one_of(
    st.integers(0, 0xFFFFFFFF),
    st.builds(
        lambda shape, first, second: shape | first << 16 | second << 21,
        _SHAPES, st.integers(0, 31), st.integers(0, 31),
    ),
    _SHAPES,
)  # fmt: skip


@settings(deadline=None)  # the first run makes tables
@given(
    st.sampled_from(sorted(READERS)),
    st.lists(_WORDS, max_size=64),
    st.lists(st.integers(0, 64), min_size=1, max_size=5),
    st.sampled_from([0, BASE, (1 << 64) - 256]),
)
def test_any_words_can_be_read(name: str, words: list[int], limits: list[int], base: int) -> None:
    order, read = READERS[name]
    edges = sorted({min(base + 4 * limit, (1 << 64) - 1) for limit in (0, *limits, 64)})
    raw = np.array(words, f"{order}u4").view(np.uint8)
    steps = read(Code(raw, base), _ranges(*itertools.pairwise(edges)))
    assert (np.diff(steps.start.astype(object)) >= 0).all()
    assert (steps.end > steps.start).all()
    assert (steps.slot < SLOTS).all()
    writes = np.isin(steps.effect, (Effect.COPY, Effect.MOVE))
    assert (steps.slot[writes] != NOTHING).all()
    assert (np.abs(steps.value[steps.effect == Effect.ADD].astype(np.int64)) <= 1 << 30).all()


@settings(deadline=None)  # the first run makes tables
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=80), st.integers(0, 15))
def test_any_bytes_can_be_read(name: str, raw: bytes, address: int) -> None:
    _, read = READERS[name]
    read(Code(np.frombuffer(raw, np.uint8), address), _ranges((0, 100)))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("mips < CLASSIC", [0x03A2E823]),  # subu sp, sp, v0
        ("mips < CLASSIC", [0x0080E825]),  # move sp, a0
        ("mips < CLASSIC", [0x304203FF] * 40 + [0x03A2E823]),  # andi v0, v0, 0x3ff
        ("mips < CLASSIC", [0x27BDF000, 0x17A3FFFE, 0xAFA00FFC]),  # a loop of probes
        ("powerpc < 64", [0x7C21016A]),  # stdux r1, r1, r0
        ("powerpc < 64", [0x7D615B78]),  # mr r1, r11
        ("powerpc < 64", [0x60000001] * 40 + [0x7C21016A]),  # ori r0, r0, 1
        ("powerpc < 64", [0xF801F001, 0x7C216000, 0x4082FFF8]),  # a loop of probes
        ("powerpc < 64", [0x06000000]),  # prefixes
    ],
)
def test_code_made_to_be_followed_is_read_in_bounded_time(name: str, pattern: list[int]) -> None:
    order, read = READERS[name]
    raw = np.tile(np.array(pattern, f"{order}u4"), 300_000 // len(pattern)).view(np.uint8)
    begun = time.process_time()
    read(Code(raw, 0x1000), _ranges((0x1000, 0x1000 + len(raw))))
    assert time.process_time() - begun < 10
