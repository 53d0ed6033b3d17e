"""Sections that are compressed inside the file (SHF_COMPRESSED, as ``gcc -gz`` writes them)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from stackgauge.errors import InputError
from stackgauge.image.decompress import COMPRESSIONS, Budget
from stackgauge.image.source import Bytes

if TYPE_CHECKING:
    from stackgauge.image.elf import Elf

# System V ABI (gABI 4.3), "Section compression".
_ELFCOMPRESS_ZLIB, _ELFCOMPRESS_ZSTD = 1, 2


def unpacked(elf: Elf, raw: Bytes, name: str) -> Bytes:
    """A compressed section's contents.

    Args:
        elf: the file.
        raw: the section as it stands there: a compression header and a stream.
        name: what to call the section in messages.

    Raises:
        InputError: the stream is broken, of a kind not known, or larger than any such file's.
    """
    where = f"{elf.where}: {name}"
    fields = [("type", "u4"), ("size", "u4"), ("align", "u4")]
    if elf.bits == 64:
        fields = [("type", "u4"), ("reserved", "u4"), ("size", "u8"), ("align", "u8")]
    kind = np.dtype([(field, elf.order + size) for field, size in fields])
    if len(raw) < kind.itemsize:
        raise InputError(where, "is cut off inside its compression header")
    header = np.frombuffer(raw, kind, 1)[0]
    stream, size = raw[kind.itemsize :], int(header["size"])
    budget = Budget(len(elf.data))
    if size > budget.total:
        raise InputError(where, f"unpacks to more than {budget.total >> 20} MiB")
    if header["type"] == _ELFCOMPRESS_ZSTD:
        zstd = next(one for one in COMPRESSIONS if one.name == "zstd")
        data = zstd.decompress(stream, where, budget)
    elif header["type"] == _ELFCOMPRESS_ZLIB:
        try:
            data = np.frombuffer(zlib.decompressobj().decompress(stream.data, size + 1), np.uint8)
        except zlib.error as error:
            raise InputError(where, f"cannot be unpacked: {error}") from error
    else:
        raise InputError(where, f"is compressed in a way not known here ({int(header['type'])})")
    if len(data) != size:
        raise InputError(where, f"unpacks to {len(data)} bytes instead of {size}")
    return data
