"""Broken files of every kind: a result or one of our errors, soon and in bounded memory."""

from __future__ import annotations

import resource
import signal
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackgauge.errors import StackgaugeError
from stackgauge.frames.listing import list_frames
from stackgauge.frames.measure import measure
from stackgauge.frames.summary import summarize
from stackgauge.frames.verify import verify
from stackgauge.image.elf import header_dtypes
from stackgauge.image.opening import open_images
from stackgauge.kernel.identity import identify
from tests.image.test_opening import stripped_vmlinux, system_map
from tests.seeds import seeds

# Of files of some 30 KB.
SECONDS = 10
MEMORY = 2 << 30

ELF = {name: data for name, data in seeds().items() if data.startswith(b"\x7fELF")}

# Numbers that are at the edge of something, or beyond it.
EDGES = [0, 1, 4, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32,
         1 << 40, 1 << 63, (1 << 63) - 1, (1 << 64) - 1, (1 << 64) - 16]  # fmt: skip

several = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True, scope="module")
def _bounded() -> Iterator[None]:
    """Allow this process a certain amount of memory more than it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def _late(*_: object) -> None:
    raise TimeoutError


def _measure(path: Path, system_map: Path | None = None) -> None:
    """Everything that a file is asked for; anything but an error of ours is a defect."""
    signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            images = open_images(path, system_map=system_map)
            measured = [measure(image) for image in images]
            for frames in measured:
                identify(frames.image, frames.isa.name, None, frames.isa.red_zone)
            for row in list_frames(measured) + list_frames(measured, pieces=True):
                assert row.frame is None or 0 <= (row.least or 0) <= row.frame
            summarize(measured)
            for image in images:
                verify(image)
    except StackgaugeError as error:
        said = str(error)
    else:
        said = f"{path}: well"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert said.startswith(str(path))
    assert said.isprintable()


def _changed(data: st.DataObject, raw: bytearray, first: int, end: int) -> None:
    """Change a few bytes of ``raw[first:end]``, keeping its length."""
    at = data.draw(st.integers(first, end - 1), "at")
    size = min(data.draw(st.sampled_from([1, 1, 1, 2, 4, 8, 16, 100]), "size"), end - at)
    match data.draw(st.sampled_from(["set", "flip", "fill", "copy", "random"])):
        case "set":
            value = data.draw(st.sampled_from(EDGES)) & ((1 << 8 * size) - 1)
            raw[at : at + size] = value.to_bytes(size, "little")
        case "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        case "fill":
            raw[at : at + size] = bytes([data.draw(st.sampled_from(b"\0\xff\x90\x80"))]) * size
        case "copy":
            source = data.draw(st.integers(first, end - size))
            raw[at : at + size] = raw[source : source + size]
        case "random":
            raw[at : at + size] = data.draw(st.binary(min_size=size, max_size=size))


@pytest.mark.parametrize("name", seeds())
@several
@given(data=st.data())
def test_bytes(tmp_path: Path, name: str, data: st.DataObject) -> None:
    raw = bytearray(seeds()[name])
    for _ in range(data.draw(st.integers(1, 4))):
        match data.draw(st.sampled_from(["change", "insert", "cut", "end"])):
            case "change":
                _changed(data, raw, 0, len(raw))
            case "insert":
                at = data.draw(st.integers(0, len(raw)))
                raw[at:at] = data.draw(st.binary(max_size=32))
            case "cut":
                at = data.draw(st.integers(0, len(raw) - 1))
                del raw[at : at + data.draw(st.sampled_from([1, 4, 16, 1000]))]
            case "end":
                del raw[data.draw(st.integers(1, len(raw))) :]
        raw = raw or bytearray(1)
    path = tmp_path / "file"
    path.write_bytes(raw)
    _measure(path)


@pytest.mark.parametrize("name", ELF)
@several
@given(data=st.data())
def test_sections(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """Each section is as likely as any other, be it ever so small."""
    raw = bytearray(ELF[name])
    spans = [(offset, size) for kind, offset, size in _spans(raw) if kind != 8 and size]
    for offset, size in data.draw(st.lists(st.sampled_from(spans), min_size=1, max_size=3)):
        _changed(data, raw, offset, offset + size)
    path = tmp_path / "file"
    path.write_bytes(raw)
    _measure(path)


@pytest.mark.parametrize("name", ELF)
@several
@given(data=st.data())
def test_headers(tmp_path: Path, name: str, data: st.DataObject) -> None:
    raw = bytearray(ELF[name])
    spans = _spans(raw)
    values = st.sampled_from([*EDGES, len(raw), *(number for span in spans for number in span)])
    file_header, section_header = header_dtypes(64, "<")
    for _ in range(data.draw(st.integers(1, 3))):
        which = data.draw(st.integers(-1, len(spans) - 1), "section")
        kind = file_header if which < 0 else section_header
        base = 16 if which < 0 else struct.unpack_from("<Q", raw, 40)[0] + 64 * which
        # Other machines have tests of their own.
        names = [field for field in kind.names or () if field != "machine"]
        field = data.draw(st.sampled_from(names))
        size, at = kind[field].itemsize, base + _offset(kind, field)
        if at + size <= len(raw):
            value = (data.draw(values) + data.draw(st.integers(-2, 2))) & ((1 << 8 * size) - 1)
            raw[at : at + size] = value.to_bytes(size, "little")
    path = tmp_path / "file"
    path.write_bytes(raw)
    _measure(path)


def _offset(kind: np.dtype[Any], field: str) -> int:
    return int(kind.fields[field][1]) if kind.fields else 0


def _spans(raw: bytearray) -> list[tuple[int, int, int]]:
    """Type, offset and size of each section of a 64-bit file."""
    at, count = struct.unpack_from("<Q", raw, 40)[0], struct.unpack_from("<H", raw, 60)[0]
    headers = [struct.unpack_from("<IIQQQQ", raw, at + 64 * row) for row in range(count)]
    return [(header[1], header[4], header[5]) for header in headers]


@several
@given(data=st.data())
def test_system_maps(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(system_map().encode())
    for _ in range(data.draw(st.integers(1, 3))):
        _changed(data, raw, 0, len(raw))
    image, path = tmp_path / "vmlinux", tmp_path / "vmlinux-System.map"
    image.write_bytes(stripped_vmlinux())
    path.write_bytes(raw)
    _measure(image, path)
