"""Files of a unit by number, in tables as compilers write them and as they might."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from stackgauge.image.dwarf_bytes import Dwarf
from stackgauge.image.dwarf_files import read_file_table
from stackgauge.image.source import Bytes

MACHINE = bytes([1, 1, 1, 0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
STRINGS = b"/src\0fs\0select.c\0"
SRC, FS, SELECT = 0, 5, 8


def uleb(value: int) -> bytes:
    raw = bytearray()
    while value > 0x7F:
        raw.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*raw, value])


def sections(line: bytes, order: str = "<") -> Dwarf:
    held = {".debug_line": b"\x55" * 3 + line, ".debug_line_str": STRINGS, ".debug_str": STRINGS}

    def contents(name: str) -> Bytes:
        return np.frombuffer(held.get(name, b""), np.uint8)

    return Dwarf(order, 8, contents)


def old(tables: bytes, version: int = 4) -> bytes:
    machine = MACHINE if version == 4 else MACHINE[:1] + MACHINE[2:]
    head = struct.pack("<H", version) + struct.pack("<I", len(machine + tables))
    return struct.pack("<I", len(head + machine + tables) + 9) + head + machine + tables + b"\1" * 9


def new(tables: bytes, order: str = "<") -> bytes:
    rest = MACHINE + tables
    head = struct.pack(order + "HBBI", 5, 8, 0, len(rest))
    return struct.pack(order + "I", len(head + rest) + 9) + head + rest + b"\1" * 9


def name(line: bytes, number: int, order: str = "<") -> tuple[str, str]:
    dwarf = sections(line, order)
    table = read_file_table(dwarf, 3, len(dwarf.line))
    assert table is not None
    return table.name(number)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_up_to_dwarf_4(version: int) -> None:
    files = b"select.c\0\1\0\0" + b"main.c\0\0\x80\1\x7f" + b"far.c\0\x80\2\0\0"
    line = old(b"fs\0mm/x\0\0" + files + b"\0", version)
    assert name(line, 1) == ("fs", "select.c")
    assert name(line, 2) == ("", "main.c")
    for missing in (0, 3, 4):
        assert name(line, missing) == ("", "")
    assert name(old(b"\0" + b"main.c\0\0\0\0" + b"\0", version), 1) == ("", "main.c")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", [0x1F, 0x0E])
def test_dwarf_5(form: int, order: str) -> None:
    word = order + "I"
    rows = b"".join(struct.pack(word, at) for at in (SRC, FS))
    directories = bytes([1, 1, form]) + b"\2" + rows
    files = b"".join(
        struct.pack(word, at) + bytes([directory]) for at, directory in ((SELECT, 1), (FS, 0))
    )
    line = new(directories + bytes([2, 1, form, 2, 0x0B]) + b"\2" + files, order)
    assert name(line, 0, order) == ("fs", "select.c")
    assert name(line, 1, order) == ("", "fs")
    assert name(line, 2, order) == ("", "")


def test_dwarf_5_with_checksums_and_strings_in_place() -> None:
    directories = bytes([1, 1, 0x08]) + b"\2" + b"/src\0" + b"fs\0"
    columns = bytes([3, 1, 0x08, 2, 0x0F, 5, 0x1E])
    files = b"a.c\0\0" + b"m" * 16 + b"select.c\0\1" + b"n" * 16
    line = new(directories + columns + b"\2" + files)
    assert name(line, 0) == ("", "a.c")
    assert name(line, 1) == ("fs", "select.c")


def test_more_directories_than_a_byte_can_say() -> None:
    many = 200
    directories = bytes([1, 1, 0x1F]) + uleb(many) + struct.pack("<I", FS) * many
    rows = b"".join(struct.pack("<I", SELECT) + uleb(each) for each in (1, 199, 2))
    line = new(directories + bytes([2, 1, 0x1F, 2, 0x0F]) + b"\3" + rows)
    assert [name(line, number) for number in range(3)] == [("fs", "select.c")] * 3
    assert name(line, 3) == ("", "")


@pytest.mark.parametrize(
    "tables",
    [
        b"",
        bytes([1, 1]),
        bytes([0]),
        bytes([1, 1, 0x1F]) + b"\xff" * 12,
        bytes([1, 1, 0x1F]) + b"\x80\x80\x80\1",
        bytes([1, 0x81, 0x1F, 0]),
        bytes([1, 1, 0x1F, 0]) + bytes([2, 1, 0x7F, 2, 0x0B]) + b"\1\0\0",
    ],
)
def test_broken_tables(tables: bytes) -> None:
    dwarf = sections(new(tables))
    table = read_file_table(dwarf, 3, len(dwarf.line))
    assert table is None or table.name(0) == ("", "")


def test_tables_that_are_not_there() -> None:
    line = new(bytes([1, 1, 0x1F, 0]) * 2)
    dwarf = sections(line)
    assert read_file_table(dwarf, 3, len(dwarf.line)) is not None
    for at in (0, 4, len(dwarf.line) - 2, len(dwarf.line), 1 << 40):
        assert read_file_table(dwarf, at, len(dwarf.line)) is None
    assert read_file_table(dwarf, 3, 20) is None
    assert read_file_table(sections(line[:-20]), 3, 999) is None
