"""Small files that unpack to much, and large ones of nothing: memory and time stay bounded."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from tests.cli.conftest import run_limited
from tests.image.containers import bzimage
from tests.image.tiny_elf import ALLOC, EXEC, Section, write_elf
from tests.seeds import kernel


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


_ZEROS = bytes(1 << 24)


def _packed_zeros(kind: str) -> bytes:
    """A small file that unpacks to much more than it may, by far where that is soon made."""
    match kind:
        case "gzip":
            packer = zlib.compressobj(9, wbits=31)
            head = packer.compress(_ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
            # After a full flush the same input gives the same output.
            return head + (packer.compress(_ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)) * 250
        case "zstd":
            stream = zstandard.ZstdCompressor(level=1).compressobj()
            return b"".join(stream.compress(_ZEROS) for _ in range(250)) + stream.flush()
        case "xz":
            return lzma.compress(_ZEROS * 8, preset=0)
        case "bzip2":
            return bz2.compress(_ZEROS * 8, 9)
        case "lz4":
            return bytes(lz4.frame.compress(_ZEROS * 20))
    raise ValueError(kind)


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        ("gzip", bytes),
        ("xz", bytes),
        ("zstd", bytes),
        ("bzip2", bytes),
        ("lz4", bytes),
        ("zstd", bzimage),
        ("xz", gzip.compress),
    ],
)
def test_bombs(tmp_path: Path, kind: str, wrap: Callable[[bytes], bytes]) -> None:
    path = _written(tmp_path, wrap(_packed_zeros(kind)))
    said = run_limited("frames", path).refused()
    assert said.startswith(f"{path}: unpacks to more than ")


def test_a_section_that_is_a_bomb(tmp_path: Path) -> None:
    packed = struct.pack("<IIQQ", 1, 0, 1 << 30, 1) + zlib.compress(_ZEROS * 16, 9)
    sections = [
        Section(".text", b"\xc3" * 16, 0x1000, flags=ALLOC | EXEC),
        Section(".debug_frame", packed, flags=0x800),
    ]
    path = _written(tmp_path, write_elf(sections))
    said = run_limited("frames", path).refused()
    assert said.startswith(f"{path}: .debug_frame: unpacks to ")


def test_a_large_file_of_nothing(tmp_path: Path) -> None:
    # Sparse: its size is what bounds the memory, and it must not be read more than it takes.
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    assert run_limited("frames", path).refused().endswith("an archive or a kernel image")
    with path.open("r+b") as file:
        file.write(kernel())
    run_limited("frames", path).answered()
