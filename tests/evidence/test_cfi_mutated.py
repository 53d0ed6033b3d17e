"""Broken call frame information: one clear error or sound rows, never anything else."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.errors import InputError
from tests.evidence.cfi_sections import Frames, advance, def_cfa_offset, read, uleb


def _sound(eh: bool, bits: int, order: str) -> Frames:
    frames = Frames(eh=eh, bits=bits, order=order, address=0x4000)
    plain = frames.cie()
    augmented = frames.cie(augmentation=b"zRS", data=b"\0")
    for number in range(1, 5):
        body = advance(2) + b"\x86\x02" + def_cfa_offset(16 * number) + b"\x0a" + b"\x02\x20"
        body += def_cfa_offset(300) + b"\x0f\x02\x77\x08" + advance(3) + b"\x0b"
        frames.fde(plain, number << 12, 100, body)
        frames.fde(augmented, (number << 12) + 0x100, 100, uleb(0) + body)
    return frames


def _read_or_refuse(frames: Frames) -> None:
    begun = time.process_time()
    try:
        cfi = read(frames)
    except InputError:
        return
    finally:
        assert time.process_time() - begun < 5
    rows = cfi.rows
    assert len(rows) <= len(frames.raw)
    assert (rows.start < rows.end).all()
    assert (rows.end[:-1] <= rows.start[1:]).all()
    assert (rows.depth >= -1).all()
    assert (cfi.fde_end[:-1] <= cfi.fde_start[1:]).all()
    # Every function is covered from end to end, and nothing else is.
    assert np.isin(cfi.fde_start, rows.start).all()
    assert np.isin(cfi.fde_end, rows.end).all()
    within = np.searchsorted(cfi.fde_start, rows.start, side="right") - 1
    assert (rows.end <= cfi.fde_end[within]).all()
    covered = (rows.end - rows.start).sum()
    assert covered == (cfi.fde_end - cfi.fde_start).sum()


@settings(max_examples=400, deadline=None)
@given(
    data=st.data(),
    eh=st.booleans(),
    bits=st.sampled_from([32, 64]),
    order=st.sampled_from(["<", ">"]),
)
def test_mutated_bytes(data: st.DataObject, eh: bool, bits: int, order: str) -> None:
    frames = _sound(eh, bits, order)
    changes = st.tuples(st.integers(0, len(frames.raw) - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(changes, max_size=8)):
        frames.raw[at] = value
    del frames.raw[data.draw(st.integers(0, len(frames.raw))) :]
    _read_or_refuse(frames)


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=300), eh=st.booleans(), bits=st.sampled_from([32, 64]))
def test_random_bytes(raw: bytes, eh: bool, bits: int) -> None:
    _read_or_refuse(Frames(raw=bytearray(raw), eh=eh, bits=bits))


@settings(max_examples=200, deadline=None)
@given(programs=st.lists(st.binary(max_size=60), max_size=100))
def test_random_programs(programs: list[bytes]) -> None:
    frames = Frames()
    cie = frames.cie()
    for number, program in enumerate(programs, 1):
        frames.fde(cie, number << 12, 100, program)
    _read_or_refuse(frames)


@pytest.mark.parametrize(
    "program",
    [
        b"\x41" * 900_000,
        b"\x0a" * 900_000,
        (b"\x0a\x0e\x10\x41\x0b") * 180_000,
        b"\x80" * 900_000,
        b"\x41" * 3_000_000,  # longer than what is executed
    ],
    ids=["advances", "remembered", "restored", "endless numbers", "too long"],
)
@pytest.mark.parametrize("copies", [1, 100])
def test_long_programs_are_done_soon(program: bytes, copies: int) -> None:
    frames = Frames()
    cie = frames.cie()
    for number in range(1, copies + 1):
        frames.fde(cie, number << 12, 100, program[: len(program) // copies])
    _read_or_refuse(frames)


def test_megabytes_of_tiny_entries_are_done_soon() -> None:
    frames = Frames(bits=32)
    cie = frames.cie(b"")
    frames.fde(cie, 0x1000, 4)
    entry = frames.raw[-16:]
    frames.raw += entry * 200_000
    _read_or_refuse(frames)
    _read_or_refuse(Frames(eh=True, raw=bytearray(4_000_000)))
