from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import lz4.block
import lz4.frame
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.image.decompress import COMPRESSIONS, LIMIT, Budget, compression

# Parts that pack well and parts that do not, over several of every format's blocks.
PLAIN = b"stack frame " * 20_000 + np.random.default_rng(1).bytes(150_000) + bytes(150_000)


def lz4_legacy(data: bytes) -> bytes:
    """As `lz4 -l` writes it."""
    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[at : at + (8 << 20)], store_size=False)
        out += struct.pack("<I", len(block)) + block
    return out


def lzop(data: bytes, sums: int = 0x1 | 0x2, name: bytes = b"vmlinux") -> bytes:
    """As `lzop` writes it: checksums of the plain (0x1) and of the packed bytes (0x2)."""
    lzallright = pytest.importorskip("lzallright", reason="lzallright, the lzo extra, is missing")
    header = struct.pack(">HHHBBIIII", 0x1030, 0x20A0, 0x0940, 3, 9, sums, 0o644, 0, 0)
    header += bytes([len(name)]) + name
    out = b"\x89LZO\0\r\n\x1a\n" + header + struct.pack(">I", zlib.adler32(header))
    for at in range(0, len(data), 1 << 18):
        plain = data[at : at + (1 << 18)]
        packed = lzallright.LZOCompressor().compress(plain)
        if len(packed) >= len(plain):
            packed = plain
        out += struct.pack(">II", len(plain), len(packed))
        out += struct.pack(">I", zlib.adler32(plain)) if sums & 1 else b""
        if sums & 2 and len(packed) < len(plain):
            out += struct.pack(">I", zlib.adler32(packed))
        out += packed
    return out + bytes(4)


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lzma": lzma_alone,
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor(level=3, write_content_size=False).compress,
    "lz4": lz4.frame.compress,
    "lz4-legacy": lz4_legacy,
    "lzo": lzop,
    "lzo-no-sums": lambda data: lzop(data, 0, b""),
}


@cache
def packed(name: str) -> bytes:
    return PACKERS[name](PLAIN)


def unpack(data: bytes, budget: Budget | None = None) -> bytes:
    array = np.frombuffer(data, np.uint8)
    kind = compression(array)
    assert kind is not None
    return kind.decompress(array, "file", budget or Budget(len(data))).tobytes()


@pytest.mark.parametrize("name", PACKERS)
def test_every_format_unpacks(name: str) -> None:
    kind = compression(np.frombuffer(packed(name), np.uint8))
    assert kind is not None
    assert kind.name == name.partition("-")[0]
    assert unpack(packed(name)) == PLAIN


@pytest.mark.parametrize("name", PACKERS)
def test_bytes_after_the_stream_are_left_alone(name: str) -> None:
    size = struct.pack("<I", len(PLAIN))  # what a kernel's build appends
    assert unpack(packed(name) + size) == PLAIN
    assert unpack(packed(name) + size + bytes(100)) == PLAIN


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.98])
def test_a_cut_off_stream_is_an_error(name: str, part: float) -> None:
    with pytest.raises(InputError, match=r"^file: cannot be unpacked \(\w+\): .+"):
        unpack(packed(name)[: int(len(packed(name)) * part)])


def test_lz4_legacy_of_full_blocks_ends_with_them() -> None:
    plain = bytes(16 << 20)
    assert unpack(lz4_legacy(plain)) == plain
    assert unpack(lz4_legacy(plain) + struct.pack("<I", len(plain))) == plain


@pytest.mark.parametrize("name", PACKERS)
def test_no_more_comes_out_than_the_budget(name: str) -> None:
    budget = Budget(0)
    budget.left = len(PLAIN) - 1
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack(packed(name), budget)
    budget.left = len(PLAIN)
    assert unpack(packed(name), budget) == PLAIN


@pytest.mark.parametrize("name", ["gzip", "zstd", "lz4-legacy"])
def test_a_bomb_is_stopped_in_time(name: str) -> None:
    bomb = PACKERS[name](bytes(160 << 20))
    assert len(bomb) < 1 << 20
    start = time.process_time()
    with pytest.raises(InputError, match=r"unpacks to more than \d+ MiB"):
        unpack(bomb)
    assert time.process_time() - start < 5


def test_the_budget_grows_with_the_file_up_to_the_limit() -> None:
    assert Budget(0).left == 64 << 20
    assert Budget(10 << 20).left == 384 << 20
    assert Budget(1 << 40).left == LIMIT


def test_a_huge_dictionary_is_refused() -> None:
    filters: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    with pytest.raises(InputError, match=r"cannot be unpacked \(xz\): memory usage limit"):
        unpack(lzma.compress(b"small", filters=filters))


def test_without_the_lzo_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = lzop(b"kernel")
    monkeypatch.setitem(sys.modules, "lzallright", None)
    with pytest.raises(InputError, match=r"pip install stackgauge\[lzo\]"):
        unpack(data)


def test_other_bytes_are_of_no_format() -> None:
    for data in (b"", b"\x7fELF", b"BZ", b"\x1f\x8b", PLAIN):
        assert compression(np.frombuffer(data, np.uint8)) is None


SMALL = b"a kernel, " * 300


@given(st.sampled_from(sorted(PACKERS)), st.data())
def test_broken_streams_raise_nothing_else(name: str, data: st.DataObject) -> None:
    broken = bytearray(PACKERS[name](SMALL))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(1, len(broken))) :]
    array = np.frombuffer(broken, np.uint8)
    # All readers, whatever the magic number has become.
    for kind in COMPRESSIONS:
        try:
            kind.decompress(array, "file", Budget(len(broken)))
        except InputError:
            continue
