"""Members of an ``ar`` archive, thin ones included: the kernel's ``built-in.a`` and ``vmlinux.a``.

The format is that of the System V ABI's draft ("Archive File"), with GNU's thin variant, whose
members are files beside the archive (binutils' ``ar``, option ``T``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from stackgauge.errors import InputError
from stackgauge.image.source import Bytes, map_file

_MAGIC = b"!<arch>\n"
_THIN_MAGIC = b"!<thin>\n"
_HEADER = 60


def is_archive(data: Bytes) -> bool:
    """Whether the bytes begin as an archive does."""
    return data[:8].tobytes() in (_MAGIC, _THIN_MAGIC)


def archive_members(data: Bytes, path: str | os.PathLike[str]) -> Iterator[tuple[str, Bytes]]:
    """Name and bytes of each member, but for the index and the table of long names.

    Args:
        data: the archive's bytes.
        path: its path; a thin archive's members are found from there.

    Raises:
        InputError: the archive is broken, or a thin one's member cannot be read.
    """
    thin = data[:8].tobytes() == _THIN_MAGIC
    folder = os.path.dirname(path)
    long_names = b""
    at = len(_MAGIC)
    # A member takes 60 bytes at least, so the file's size bounds this loop.
    while at < len(data):
        header = data[at : at + _HEADER].tobytes()
        if len(header) < _HEADER or not header.endswith(b"`\n"):
            raise InputError(path, f"is broken: no archive member begins at {at:#x}")
        digits = header[48:58].strip()
        if not digits.isdigit():
            raise InputError(path, f"is broken: the archive member at {at:#x} has no size")
        size = int(digits)
        name = header[:16].rstrip()
        start = at + _HEADER
        index = name in (b"/", b"/SYM64/")
        inside = not thin or index or name == b"//"
        if inside and size > len(data) - start:
            raise InputError(path, f"is cut off: the archive member at {at:#x} is longer than it")
        at = start + (size + size % 2 if inside else 0)
        if index:
            continue
        if name == b"//":
            long_names = data[start : start + size].tobytes()
            continue
        text = _name(name, long_names)
        if not text:
            raise InputError(path, f"is broken: the archive member before {at:#x} has no name")
        yield text, map_file(os.path.join(folder, text)) if thin else data[start : start + size]


def _name(field: bytes, long_names: bytes) -> str:
    """A member's name: in the header up to a slash, or at an offset in the table of long names.

    binutils ends the header's field with a slash, after the offset and spaces, where the long
    name has 15 characters.
    """
    if offset := re.match(rb"/(\d+) */?$", field):
        start = int(offset[1])
        end = long_names.find(b"\n", start)
        field = long_names[start : end if end >= 0 else None]
    return os.fsdecode(field.removesuffix(b"/"))
