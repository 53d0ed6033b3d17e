"""Which code the readers of s390x, RISC-V and LoongArch read, and that any bytes can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.isa.followed import NOTHING
from stackgauge.isa.loongarch.reader import read_loongarch
from stackgauge.isa.model import SLOTS, Code, Effect, Ranges, Steps
from stackgauge.isa.riscv.reader import read_riscv
from stackgauge.isa.s390.reader import read_s390

BASE = 0xFFFF_FFFF_8010_0000

READERS: dict[str, Callable[[Code, Ranges], Steps]] = {
    "s390": read_s390,
    "riscv64": partial(read_riscv, bits=64, pushes=False),
    "riscv64 pushes": partial(read_riscv, bits=64, pushes=True),
    "riscv32": partial(read_riscv, bits=32, pushes=True),
    "loongarch": read_loongarch,
}

# What takes 16 bytes: AGHI, ADDI (of 32 bits), ADDI.D.
PUSHES = {"s390": "a7fbfff0", "riscv": "130101ff", "loongarch": "63c0ff02"}


@pytest.fixture(params=sorted(READERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _ranges(*limits: tuple[int, int]) -> Ranges:
    start, end = np.array(limits, np.uint64).reshape(-1, 2).T.copy()
    return Ranges(start, end)


def _push(name: str) -> str:
    return next(word for begin, word in PUSHES.items() if name.startswith(begin))


def test_only_what_is_in_the_ranges_and_the_section_is_read(name: str) -> None:
    code = Code(np.frombuffer(bytes.fromhex(_push(name) * 8), np.uint8), BASE)

    def taking(*limits: tuple[int, int]) -> list[int]:
        steps = READERS[name](code, _ranges(*limits))
        assert (steps.end - steps.start == 4).all()
        found = steps.start[steps.effect == Effect.ADD] - np.uint64(BASE)
        return [int(offset) for offset in found]

    assert taking((BASE, BASE + 32)) == list(range(0, 32, 4))
    assert taking((BASE + 8, BASE + 16), (BASE + 24, BASE + 28)) == [8, 12, 24]
    assert taking((BASE - 64, BASE + 4), (BASE + 28, BASE + 64)) == [0, 28]
    assert taking((BASE + 8, BASE + 8)) == taking() == taking((BASE + 32, BASE + 40)) == []


@given(data=st.binary(max_size=80), name=st.sampled_from(sorted(READERS)), low=st.integers(0, 15))
def test_addresses_at_either_end(data: bytes, name: str, low: int) -> None:
    for address in (low, (1 << 64) - 96 + low):
        READERS[name](Code(np.frombuffer(data, np.uint8), address), _ranges((0, (1 << 64) - 1)))


def test_no_code(name: str) -> None:
    steps = READERS[name](Code(np.zeros(0, np.uint8), BASE), _ranges((BASE, BASE + 16)))
    assert not len(steps)


def _assert_sound(steps: Steps, size: int) -> None:
    start, end = steps.start - np.uint64(BASE), steps.end - np.uint64(BASE)
    assert (np.diff(start.astype(np.int64)) >= 0).all()
    assert (start < size).all()
    assert (end > start).all()
    assert (end - start <= 64).all()
    assert (steps.slot < SLOTS).all()
    writes = (steps.effect == Effect.COPY) | (steps.effect == Effect.MOVE)
    assert (steps.slot[writes] != NOTHING).all()
    added = steps.value[steps.effect == Effect.ADD].astype(np.int64)
    assert (np.abs(added) <= 1 << 30).all()
    moves = steps.effect == Effect.MOVE
    assert (steps.value[moves] >> 24 < SLOTS).all()
    assert (steps.value[moves] >> 24 >= 0).all()


@given(data=st.binary(max_size=200), name=st.sampled_from(sorted(READERS)), cut=st.integers(0, 99))
def test_any_bytes(data: bytes, name: str, cut: int) -> None:
    code = Code(np.frombuffer(data, np.uint8), BASE)
    limit = min(cut * 2, len(data))
    steps = READERS[name](code, _ranges((BASE, BASE + limit), (BASE + limit, BASE + len(data))))
    _assert_sound(steps, len(data))


@settings(max_examples=20)
@given(seed=st.integers(0, 1 << 32), name=st.sampled_from(sorted(READERS)))
def test_much_of_what_is_taken_for_code(seed: int, name: str) -> None:
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, 20_000, np.uint8)
    # Pushes between, so that there is a stack pointer to be followed.
    words = data.view("<u4")
    words[::3] = np.frombuffer(bytes.fromhex(_push(name)), "<u4")
    _assert_sound(READERS[name](Code(data, BASE), _ranges((BASE, BASE + len(data)))), len(data))


@pytest.mark.parametrize(
    ("name", "move"),
    # SGR %r15,%r1; SUB sp,sp,t0; SUB.D $sp,$sp,$t0; MV sp,a0; MOVE $sp,$a0.
    [
        ("s390", "b90900f1"),
        ("riscv64", "33015140"),
        ("loongarch", "63b01100"),
        ("riscv64", "13010500"),
        ("loongarch", "83001500"),
    ],
)
def test_the_time_that_a_made_up_file_can_take(name: str, move: str) -> None:
    code = Code(np.frombuffer(bytes.fromhex(move * 100_000), np.uint8), BASE)
    before = time.process_time()
    READERS[name](code, _ranges((BASE, BASE + len(code.data))))
    assert time.process_time() - before < 10
