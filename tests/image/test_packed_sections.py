"""Sections that are compressed inside the file, as ``gcc -gz`` writes them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import zstandard

from stackgauge.errors import InputError
from stackgauge.image.elf import Elf, parse_elf
from tests.image.tiny_elf import Section, write_elf

COMPRESSED = 0x800
CONTENTS = bytes(range(256)) * 40
ZLIB, ZSTD = 1, 2


def header(kind: int, size: int, bits: int = 64, order: str = "<") -> bytes:
    """Elf32_Chdr and Elf64_Chdr."""
    if bits == 64:
        return struct.pack(f"{order}IIQQ", kind, 0, size, 1)
    return struct.pack(f"{order}III", kind, size, 1)


def made(raw: bytes, bits: int = 64, order: str = "<") -> Elf:
    data = write_elf([Section(".debug_info", raw, flags=COMPRESSED)], bits, order)
    return parse_elf(np.frombuffer(data, np.uint8), "file")


@pytest.mark.parametrize(("kind", "pack"), [(ZLIB, zlib.compress), (ZSTD, zstandard.compress)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_both_kinds(kind: int, pack: Callable[[bytes], bytes], bits: int, order: str) -> None:
    elf = made(header(kind, len(CONTENTS), bits, order) + pack(CONTENTS), bits, order)
    assert elf.contents(".debug_info").tobytes() == CONTENTS
    # It is unpacked once.
    assert elf.contents(".debug_info") is elf.contents(1)
    assert elf.words(".debug_info", "u2")[1] == (0x0302 if order == "<" else 0x0203)


def test_the_file_stays_as_it_is() -> None:
    elf = made(header(ZLIB, len(CONTENTS)) + zlib.compress(CONTENTS))
    section = elf.section(".debug_info")
    assert section is not None
    assert section.size < len(CONTENTS)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is cut off inside its compression header"),
        (header(ZLIB, 9)[:-1], "is cut off inside its compression header"),
        (header(7, 9) + b"123456789", r"is compressed in a way not known here \(7\)"),
        (header(ZLIB, 9) + b"123456789", "cannot be unpacked: "),
        (header(ZLIB, 99) + zlib.compress(bytes(9)), "unpacks to 9 bytes instead of 99"),
        (header(ZLIB, 9) + zlib.compress(bytes(99)), "unpacks to 10 bytes instead of 9"),
        (header(ZLIB, 99) + zlib.compress(bytes(99))[:-8], "unpacks to .* bytes instead of 99"),
        (header(ZLIB, 1 << 40) + zlib.compress(bytes(9)), "unpacks to more than 64 MiB"),
        (header(ZLIB, (1 << 64) - 1) + zlib.compress(bytes(9)), "unpacks to more than 64 MiB"),
        (header(ZSTD, 9) + b"123456789", r"cannot be unpacked \(zstd\): "),
        (header(ZSTD, 99) + zstandard.compress(bytes(9)), "unpacks to 9 bytes instead of 99"),
        (header(ZSTD, 9) + zstandard.compress(bytes(9))[:-3], r"cannot be unpacked \(zstd\): "),
        (
            header(ZSTD, 9) + zstandard.compress(bytes(1 << 27)),
            r"unpacks to more than 64 MiB \(zstd\)",
        ),
    ],
)
def test_broken_sections(raw: bytes, message: str) -> None:
    elf = made(raw)
    with pytest.raises(InputError, match=rf"^file: \.debug_info: {message}"):
        elf.contents(".debug_info")
