"""Decompression with a limit, by the stream's magic number: every format that kernels ship in.

The formats are those of the kernel's ``KERNEL_*`` and ``MODULE_COMPRESS_*`` options. What follows
a stream is left alone: a kernel's build appends the size of the data (scripts/Makefile.lib,
"size_append"), and a module may carry a signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stackgauge.errors import InputError
from stackgauge.image.source import Bytes

# The most that a file may unpack to: a little for any file, and for each of its bytes no more than
# this many; over these it is taken for a bomb. Kernels pack to a third or a sixth of their size.
_FREE = 64 << 20
_RATIO = 32

# And never more than this. A distribution's largest vmlinux with debug information has under
# 900 MB, a kernel without it under 100 MB.
LIMIT = 1 << 30

# Largest dictionary (xz, lzma) or window (zstd) accepted: what `zstd --ultra -22` and the
# kernel's xz_wrap.sh use at most. liblzma counts its own state as well, hence the second.
_WINDOW = 1 << 27
_LZMA_MEMORY = _WINDOW + (1 << 24)

_CHUNK = 1 << 18
_PIECE = 1 << 22


class Budget:
    """How many bytes a file may unpack to, over all the streams in it, broken ones included."""

    def __init__(self, size: int) -> None:
        """That of a file of ``size`` bytes."""
        self.total = min(_FREE + _RATIO * size, LIMIT)
        self.left = self.total


class _BrokenError(Exception):
    """The stream is not what its magic number promised."""


class _Engine(Protocol):
    """The interface that bz2, lzma and lz4.frame share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: memoryview | bytes, max_length: int) -> bytes: ...


def _pieces(engine: _Engine, data: memoryview, *errors: type[Exception]) -> Iterator[bytes]:
    """Feed ``data`` to an engine and yield what it makes of it, at most _PIECE bytes at a time."""
    at = 0
    while not engine.eof:
        chunk: memoryview | bytes = b""
        if engine.needs_input:
            chunk = data[at : at + _CHUNK]
            at += len(chunk)
        try:
            piece = engine.decompress(chunk, _PIECE)
        except errors as error:
            raise _BrokenError(str(error).lower()) from error
        if not piece and not len(chunk) and not engine.eof:
            raise _BrokenError("it is cut off")
        yield piece


def _gzip(data: memoryview) -> Iterator[bytes]:
    import zlib

    class Inflate:
        """Gives zlib's object, which hands unused input back, the interface of the others."""

        def __init__(self) -> None:
            self._zlib = zlib.decompressobj(wbits=31)

        @property
        def eof(self) -> bool:
            return self._zlib.eof

        @property
        def needs_input(self) -> bool:
            return not self._zlib.unconsumed_tail

        def decompress(self, data: memoryview | bytes, max_length: int) -> bytes:
            return self._zlib.decompress(self._zlib.unconsumed_tail or data, max_length)

    return _pieces(Inflate(), data, zlib.error)


def _lzma(data: memoryview) -> Iterator[bytes]:
    import lzma

    engine = lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_LZMA_MEMORY)
    return _pieces(engine, data, lzma.LZMAError)


def _bzip2(data: memoryview) -> Iterator[bytes]:
    import bz2

    return _pieces(bz2.BZ2Decompressor(), data, OSError, ValueError)


def _lz4_frame(data: memoryview) -> Iterator[bytes]:
    import lz4.frame

    return _pieces(lz4.frame.LZ4FrameDecompressor(), data, RuntimeError, ValueError)


def _zstd(data: memoryview) -> Iterator[bytes]:
    import zstandard

    engine = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
    # There is no limit on what comes out at once, so little goes in: a block of 4 bytes makes at
    # most 128 KiB (RFC 8878, section 3.1.1.2.4), so that this much makes at most 128 MiB.
    step = 1 << 12
    try:
        for at in range(0, len(data), step):
            yield engine.decompress(data[at : at + step])
            if engine.eof:
                return
    except zstandard.ZstdError as error:
        raise _BrokenError(str(error).lower()) from error
    raise _BrokenError("it is cut off")


def _lz4_legacy(data: memoryview) -> Iterator[bytes]:
    """The format of ``lz4 -l`` (lz4_Frame_format.md, "Legacy frame"), blocks up to the last.

    Nothing marks its end. The last block is the one that is not full; after a full one, a size
    that is 0, or that does not fit, is none.
    """
    import lz4.block

    full = 8 << 20
    at, length = 4, full
    while length == full and at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if at > 8 and not 0 < size <= len(data) - at:
            return
        if not 0 < size <= full + full // 255 + 16:
            raise _BrokenError(f"a block of {size} bytes cannot be")
        if size > len(data) - at:
            raise _BrokenError("it is cut off")
        try:
            piece = lz4.block.decompress(data[at : at + size], uncompressed_size=full)
        except (lz4.block.LZ4BlockError, ValueError) as error:
            raise _BrokenError(str(error).lower()) from error
        yield piece
        length = len(piece)
        at += size


def _lzo(data: memoryview) -> Iterator[bytes]:
    """The container that lzop writes, read as the kernel does (lib/decompress_unlzo.c)."""
    try:
        import lzallright
    except ImportError as error:
        raise _BrokenError("its reader is missing: pip install stackgauge[lzo]") from error

    at = 0

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(data):
            raise _BrokenError("it is cut off")
        at += size
        return int.from_bytes(data[at - size : at], "big")

    at = 9
    version = number(2)
    number(2)  # the library's version
    modern = version >= 0x0940
    if modern:
        number(2)  # the version needed
    number(2 if modern else 1)  # method and, since 0.94, level
    flags = number(4)
    number(8 + (4 if flags & 0x800 else 0) + (4 if modern else 0))  # filter, mode, mtime
    number(number(1) + 4)  # name, checksum of the header
    plain_sums = 4 * ((flags & 0x1 != 0) + (flags & 0x100 != 0))
    packed_sums = 4 * ((flags & 0x2 != 0) + (flags & 0x200 != 0))
    while length := number(4):
        size = number(4)
        if length > 1 << 18 or not 0 < size <= length:
            raise _BrokenError(f"a block of {size} bytes for {length} cannot be")
        number(plain_sums + (packed_sums if size < length else 0))
        start = at
        number(size)
        piece = bytes(data[start:at])
        if size < length:
            try:
                piece = lzallright.LZOCompressor.decompress(piece, output_size_hint=length)
            except lzallright.LZOError as error:
                raise _BrokenError(str(error).lower()) from error
        if len(piece) != length:
            raise _BrokenError(f"a block has {len(piece)} bytes for {length}")
        yield piece


@dataclass(frozen=True)
class Compression:
    """A format: what to call it, what a stream of it begins with, and its reader."""

    name: str
    magic: bytes
    _read: Callable[[memoryview], Iterator[bytes]]

    def decompress(self, data: Bytes, where: object, budget: Budget) -> Bytes:
        """Unpack the stream that ``data`` begins with.

        Args:
            data: the stream, and anything after it.
            where: what to call it in messages.
            budget: what may come out; what does is taken from it.

        Returns:
            A read-only array of the bytes, shape (size,).

        Raises:
            InputError: the stream is broken or cut off, or unpacks to more than the budget.
        """
        out = bytearray()
        try:
            for piece in self._read(np.ascontiguousarray(data).data):
                budget.left -= len(piece)
                if budget.left < 0:
                    most = f"{budget.total >> 20} MiB"
                    raise InputError(where, f"unpacks to more than {most} ({self.name})")
                out += piece
        except _BrokenError as error:
            raise InputError(where, f"cannot be unpacked ({self.name}): {error}") from error
        array = np.frombuffer(out, np.uint8)
        array.flags.writeable = False
        return array


COMPRESSIONS = (
    Compression("gzip", b"\x1f\x8b\x08", _gzip),
    Compression("xz", b"\xfd7zXZ\0", _lzma),
    Compression("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    Compression("lz4", b"\x02\x21\x4c\x18", _lz4_legacy),
    Compression("lz4", b"\x04\x22\x4d\x18", _lz4_frame),
    Compression("lzo", b"\x89LZO\0\r\n\x1a\n", _lzo),
    Compression("bzip2", b"BZh", _bzip2),
    # lzma has no magic number; this is how the kernel tells it (lib/decompress.c): the usual
    # properties, and a dictionary of at least 64 KiB.
    Compression("lzma", b"\x5d\0\0", _lzma),
)


def compression(data: Bytes) -> Compression | None:
    """The format of the stream that ``data`` begins with, or None."""
    start = data[:16].tobytes()
    return next((kind for kind in COMPRESSIONS if start.startswith(kind.magic)), None)
