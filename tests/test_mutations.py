"""Broken files of every kind: a result or one of our errors, soon and in bounded memory."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.image.elf import header_dtypes
from tests.image.test_opening import stripped_vmlinux, system_map
from tests.mutating import EDGES, ask_everything, bounded, change, several
from tests.seeds import seeds

__all__ = ["bounded"]

pytestmark = pytest.mark.usefixtures("bounded")

ELF = {name: data for name, data in seeds().items() if data.startswith(b"\x7fELF")}


@pytest.mark.parametrize("name", seeds())
@several
@given(data=st.data())
def test_bytes(tmp_path: Path, name: str, data: st.DataObject) -> None:
    raw = bytearray(seeds()[name])
    for _ in range(data.draw(st.integers(1, 4))):
        match data.draw(st.sampled_from(["change", "insert", "cut", "end"])):
            case "change":
                change(data, raw, 0, len(raw))
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
    ask_everything(path)


@pytest.mark.parametrize("name", ELF)
@several
@given(data=st.data())
def test_sections(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """Each section is as likely as any other, be it ever so small."""
    raw = bytearray(ELF[name])
    spans = [(offset, size) for kind, offset, size in _spans(raw) if kind != 8 and size]
    for offset, size in data.draw(st.lists(st.sampled_from(spans), min_size=1, max_size=3)):
        change(data, raw, offset, offset + size)
    path = tmp_path / "file"
    path.write_bytes(raw)
    ask_everything(path)


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
    ask_everything(path)


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
        change(data, raw, 0, len(raw))
    image, path = tmp_path / "vmlinux", tmp_path / "vmlinux-System.map"
    image.write_bytes(stripped_vmlinux())
    path.write_bytes(raw)
    ask_everything(image, path)
