"""Symbol tables of both classes and byte orders, sound and broken."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from stackgauge.errors import InputError
from stackgauge.image.elf import LAYOUT_BASE, Elf, parse_elf
from stackgauge.image.symbols import (
    NO_SECTION,
    STB_WEAK,
    STT_FILE,
    STT_FUNC,
    Strings,
    elf_symbols,
    no_symbols,
)
from tests.image.tiny_elf import ALLOC, ET_REL, EXEC, STRTAB, SYMTAB, Section, write_elf

TEXT = 0x10_0000
ABSOLUTE, COMMON, EXTENDED = 0xFFF1, 0xFFF2, 0xFFFF
SYMTAB_SHNDX = 18

# name, value, size, type, binding, section
ROWS = [
    ("", 0, 0, 0, 0, 0),
    ("a.c", 0, 0, STT_FILE, 0, ABSOLUTE),
    ("f", TEXT + 4, 16, STT_FUNC, 1, 1),
    ("weak_f", TEXT + 4, 16, STT_FUNC, STB_WEAK, 1),
    ("printk", 0, 0, 0, 1, 0),
    ("_f", TEXT + 20, 3, STT_FUNC, 0, 1),
]


def table(rows: list[tuple[str, int, int, int, int, int]], bits: int, order: str) -> bytes:
    raw, names = b"", _strings(rows)
    for name, value, size, kind, binding, section in rows:
        at = names.find(b"\0" + name.encode() + b"\0") + 1 if name else 0
        info = binding << 4 | kind
        if bits == 64:
            raw += struct.pack(f"{order}IBBHQQ", at, info, 0, section, value, size)
        else:
            raw += struct.pack(f"{order}IIIBBH", at, value, size, info, 0, section)
    return raw


def _strings(rows: list[tuple[str, int, int, int, int, int]]) -> bytes:
    return b"\0" + b"".join(name.encode() + b"\0" for name, *_ in rows if name)


def made(
    raw: bytes,
    bits: int = 64,
    order: str = "<",
    *,
    kind: int = 2,
    link: int = 3,
    wide: bytes | None = None,
) -> Elf:
    sections = [
        Section(".text", bytes(64), TEXT if kind != ET_REL else 0, flags=ALLOC | EXEC),
        Section(".symtab", raw, type=SYMTAB, flags=0, link=link),
        Section(".strtab", _strings(ROWS), type=STRTAB, flags=0),
    ]
    if wide is not None:
        sections.append(Section(".symtab_shndx", wide, type=SYMTAB_SHNDX, flags=0))
    data = write_elf(sections, bits, order, kind=kind)
    return parse_elf(np.frombuffer(data, np.uint8), "file")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_both_classes_and_byte_orders(bits: int, order: str) -> None:
    symbols = elf_symbols(made(table(ROWS, bits, order), bits, order))
    assert symbols.source == "symtab"
    columns = (symbols.value, symbols.size, symbols.type, symbols.binding)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        row[1:5] for row in ROWS
    ]
    assert symbols.section.tolist() == [-1, -1, 1, 1, -1, 1]
    assert [symbols.strings[at] for at in symbols.name.tolist()] == [row[0] for row in ROWS]
    assert symbols.strings.slices(symbols.name) == [row[0].encode() for row in ROWS]


def test_find() -> None:
    symbols = elf_symbols(made(table(ROWS, 64, "<")))
    assert symbols.find("f") == TEXT + 4
    assert symbols.find("_f") == TEXT + 20
    # It is the end of another name's string, which is no symbol of that name.
    assert symbols.find("eak_f") is None
    assert symbols.find("a.c") is None
    assert symbols.find("nothing") is None
    assert no_symbols().find("f") is None


def test_the_symbols_of_an_object_are_where_its_sections_are() -> None:
    rows = [ROWS[0], ("f", 4, 16, STT_FUNC, 1, 1), ("printk", 0, 0, 0, 1, 0)]
    symbols = elf_symbols(made(table(rows, 64, "<"), kind=ET_REL))
    assert symbols.value.tolist() == [0, LAYOUT_BASE + 4, 0]


def test_extended_section_indices() -> None:
    rows = [ROWS[0], ("f", TEXT, 16, STT_FUNC, 1, EXTENDED), ("printk", 0, 4, 0, 1, COMMON)]
    raw = table(rows, 64, "<")
    symbols = elf_symbols(made(raw, wide=struct.pack("<3I", 0, 1, 0)))
    assert symbols.section.tolist() == [NO_SECTION, 1, NO_SECTION]
    for wide in (None, b"", struct.pack("<2I", 0, 1)):
        with pytest.raises(InputError, match="extended section indices are missing"):
            elf_symbols(made(raw, wide=wide))
    with pytest.raises(InputError, match="in a section that does not exist"):
        elf_symbols(made(raw, wide=struct.pack("<3I", 0, 1 << 31, 0)))


def test_no_table() -> None:
    elf = parse_elf(np.frombuffer(write_elf([Section(".text", b"x")]), np.uint8), "file")
    symbols = elf_symbols(elf)
    assert (len(symbols), symbols.source, symbols.strings[0]) == (0, "none", "")
    assert len(elf_symbols(made(b""))) == 0


@pytest.mark.parametrize(
    ("raw", "link", "message"),
    [
        (table(ROWS, 64, "<")[:-1], 3, "ends inside a symbol"),
        (table(ROWS, 64, "<"), 99, "has no string table"),
        (table(ROWS, 64, "<"), 0, "name lies beyond the string table"),
        (struct.pack("<IBBHQQ", 1 << 31, 2, 0, 1, 0, 0), 3, "name lies beyond the string table"),
        (struct.pack("<IBBHQQ", 0, 2, 0, 77, 0, 0), 3, "in a section that does not exist"),
    ],
)
def test_broken_tables(raw: bytes, link: int, message: str) -> None:
    with pytest.raises(InputError, match=rf"^file: is broken: .*{message}"):
        elf_symbols(made(raw, link=link))


def test_strings_without_an_end() -> None:
    strings = Strings(b"\0one\0two")
    assert [strings[at] for at in (0, 1, 5, 8, 99)] == ["", "one", "two", "", ""]
    at = np.array([1, 5, 2], np.int64)
    assert strings.slices(at) == [b"one", b"two", b"ne"]
    assert strings.places(b"o").tolist() == [1, 7]
    assert strings.offsets("one") == [1]
    assert Strings(b"\xff\0")[0] == "\ufffd"


def test_fingerprints_tell_names_apart() -> None:
    names = [b"", b"a", b"b", b"ab", b"ba", b"abcdefgh", b"abcdefgi", b"zbcdefgh",
             b"abcdefgh_abcdefgh", b"abcdefgh_zbcdefgh", b"abcdefgh__abcdefgh"]  # fmt: skip
    raw = b"".join(name + b"\0" for name in names) * 2
    strings = Strings(raw)
    begin = np.cumsum([0] + [len(name) + 1 for name in names * 2])[:-1]
    prints = strings.fingerprints(begin, strings.ends(begin)).tolist()
    assert prints[: len(names)] == prints[len(names) :]
    assert len(set(prints)) == len(names)
