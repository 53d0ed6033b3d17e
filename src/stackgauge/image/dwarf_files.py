"""The tables of files at the beginning of ``.debug_line`` (DWARF 5, section 6.2.4).

A unit has hundreds of files, of which one or two are asked for: rows are read one at a time, at
their place, and only a table of rows of varying size is walked through.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_bytes import Dwarf

# What a row's columns say (DWARF 5, section 7.22).
_PATH = 1
_DIRECTORY = 2

_LEB = rb"([\x80-\xff]*[\0-\x7f])"
_OLD_FILE = re.compile(rb"([^\0]+)\0" + _LEB + _LEB + _LEB)

_LONGEST_NAME = 4096

# Rows of varying size that are walked through; a unit of the kernel has 300 files.
_MOST_WALKED = 4096


class _BrokenError(Exception):
    """The table cannot be read."""


def read_file_table(dwarf: Dwarf, offset: int, most: int) -> FileTable | None:
    """The table of files of the unit whose line numbers begin at ``offset``.

    Returns:
        None where it is not there, broken, longer than ``most`` bytes, or not of DWARF 2 to 5.
    """
    raw, begin, new, old = dwarf.line.data.data, *_HEADERS[dwarf.order]
    try:
        length, version = begin.unpack_from(raw, offset)
        head = new if version >= 5 else old
        at = offset + head.size
        end = at + head.unpack_from(raw, offset)[0]
        size = end - offset
        if not 2 <= version <= 5 or size > min(4 + length, most) or end > len(raw):
            return None
        # Then the numbers of the line machine, the last of which is its first special opcode.
        opcodes = at + (5 if version >= 4 else 4)
        at = opcodes + raw[opcodes]
        if version < 5:
            return _OldTable(size, bytes(raw[at:end]))
        raw = raw[:end]
        directories = _Rows(dwarf, raw, at)
        return _Table(size, directories, _Rows(dwarf, raw, directories.end(), directories.count))
    except (_BrokenError, IndexError, struct.error):
        return None


# Headers: length and version; up to and with the length of what follows, from DWARF 5 and before.
_HEADERS = {
    order: tuple(struct.Struct(order + letters) for letters in ("IH", "8xI", "6xI"))
    for order in "<>"
}


class FileTable:
    """The files of one unit; ``size`` is how many bytes say them."""

    def __init__(self, size: int) -> None:
        """Begin a table."""
        self.size = size

    def name(self, number: int) -> tuple[str, str]:
        """A file's directory, empty where that is the compilation's, and its name.

        Both are empty where there is no such file, or its row is broken.
        """
        try:
            return self._name(number)
        except (_BrokenError, IndexError, struct.error):
            return "", ""

    def _name(self, number: int) -> tuple[str, str]:
        raise NotImplementedError


class _OldTable(FileTable):
    """Up to DWARF 4: strings, and files that say three numbers, the first their directory's."""

    def __init__(self, size: int, raw: bytes) -> None:
        super().__init__(size)
        self._directories: list[bytes] = []
        if not raw.startswith(b"\0"):
            listed, _, raw = raw.partition(b"\0\0")
            self._directories = listed.split(b"\0")
        self._files = _OLD_FILE.findall(raw)

    def _name(self, number: int) -> tuple[str, str]:
        if not 1 <= number <= len(self._files):
            raise _BrokenError
        name, within, _, _ = self._files[number - 1]
        directory = _uleb(within, 0)[0]
        path = self._directories[directory - 1] if directory else b""
        return path.decode("utf-8", "replace"), name.decode("utf-8", "replace")


class _Table(FileTable):
    """DWARF 5: two tables that say themselves which columns they have."""

    def __init__(self, size: int, directories: _Rows, files: _Rows) -> None:
        super().__init__(size)
        self._directories, self._files = directories, files

    def _name(self, number: int) -> tuple[str, str]:
        path, directory = self._files.row(number)
        return (self._directories.row(directory)[0] if directory else ""), path


class _Rows:
    """Rows of directories or files in DWARF 5."""

    def __init__(self, dwarf: Dwarf, raw: memoryview, at: int, directories: int = 0) -> None:
        """Read how the rows are laid out.

        Args:
            dwarf: the sections.
            raw: ``.debug_line`` up to the end of this unit's header.
            at: where the description of the columns begins.
            directories: of files, how many directories there are.
        """
        first = at + 1
        at = first + 2 * raw[first - 1]
        self.count, self._first = _uleb(raw, at)
        self._dwarf, self._raw = dwarf, raw
        self._columns, fixed, short = _columns(bytes(raw[first:at]), dwarf.order, dwarf.width)
        # A directory's number is one byte where there are no more than one byte can say.
        self._fixed = short if directories <= 0x80 else fixed
        if self.count > len(raw):
            raise _BrokenError

    def end(self) -> int:
        """Where the rows end."""
        return self._at(self.count)

    def row(self, number: int) -> tuple[str, int]:
        """A row's path and its directory."""
        if number >= self.count:
            raise _BrokenError
        at = self._at(number)
        values = self._fixed.unpack_from(self._raw, at) if self._fixed else self._values(at)[0]
        path, directory = "", 0
        for (content, form), value in zip(self._columns, values, strict=True):
            if content == _DIRECTORY:
                directory = value
            elif content == _PATH:
                path = self._text(form, value)
        return path, directory

    def _at(self, number: int) -> int:
        if self._fixed:
            return self._first + number * self._fixed.size
        if number > _MOST_WALKED:
            raise _BrokenError
        at = self._first
        for _ in range(number):
            at = self._values(at)[1]
        return at

    def _values(self, at: int) -> tuple[list[int], int]:
        """The columns of the row at ``at``, of strings and blocks where they begin; its end."""
        values = []
        for _, form in self._columns:
            size = _size(form, self._dwarf.width)
            value = at
            if size == forms.LEB:
                value, at = _uleb(self._raw, at)
            elif size == forms.STRING:
                at += len(_terminated(self._raw, at)) + 1
            elif size == forms.BLOCK:
                length, at = _uleb(self._raw, at)
                at += length
            elif size > 0:
                number = bytes(self._raw[at : at + size])
                value, at = _number(number, self._dwarf.order), at + size
            else:
                raise _BrokenError
            values.append(value)
        return values, at

    def _text(self, form: int, value: int) -> str:
        if form == forms.FORM_LINE_STRP:
            return self._dwarf.line_strings.text(value)
        if form == forms.FORM_STRP:
            return self._dwarf.strings.text(value)
        if form == forms.FORM_STRING:
            return self._dwarf.line.text(value)
        raise _BrokenError


_Columns = tuple[tuple[int, int], ...]


@lru_cache(maxsize=64)
def _columns(
    described: bytes, order: str, width: int
) -> tuple[_Columns, struct.Struct | None, struct.Struct | None]:
    """Columns as (content, form); a row of them, where its size is fixed.

    The second row is for directories' numbers of one byte.
    """
    columns = tuple(zip(described[::2], described[1::2], strict=True))
    if not columns or max(described) >= 0x80:  # vendors' columns take more bytes
        raise _BrokenError
    letters = ""
    for content, form in columns:
        numbered = content == _DIRECTORY and _size(form, width) == forms.LEB
        letters += "L" if numbered else _LETTERS.get(_size(form, width), "?")
    if "?" in letters:
        return columns, None, None
    short = struct.Struct(order + letters.replace("L", "B"))
    return columns, None if "L" in letters else short, short


# Letters of the module ``struct``, by size.
_LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q", 16: "16s"}


def _size(form: int, width: int) -> int:
    return int(forms.FORM_SIZES[width][form]) if form < 0x30 else 0


def _number(raw: bytes, order: str) -> int:
    return int.from_bytes(raw, "little" if order == "<" else "big")


def _terminated(raw: memoryview, at: int) -> bytes:
    text, end, _ = bytes(raw[at : at + _LONGEST_NAME]).partition(b"\0")
    if not end:
        raise _BrokenError
    return text


def _uleb(raw: memoryview | bytes, at: int) -> tuple[int, int]:
    byte = raw[at]
    if byte < 0x80:
        return byte, at + 1
    value = shift = 0
    while shift < 64:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _BrokenError
