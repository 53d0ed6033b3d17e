"""ELF files of both classes and byte orders, sound and broken."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from stackgauge.errors import InputError
from stackgauge.image.elf import LAYOUT_BASE, Elf, is_elf, parse_elf
from tests.image.tiny_elf import ALLOC, ET_REL, EXEC, NOBITS, WRITE, Section, write_elf

TEXT, DATA, BSS = 0x10_0000, 0x20_0000, 0x30_0000


def parse(data: bytes) -> Elf:
    return parse_elf(np.frombuffer(data, np.uint8), "file")


def sections() -> list[Section]:
    return [
        Section(".text", b"\x55\x5d\xc3", TEXT, flags=ALLOC | EXEC),
        Section(".data", bytes(range(40)), DATA, flags=ALLOC | WRITE, link=3, info=4, entry_size=8),
        Section(".bss", bytes(500), BSS, type=NOBITS, flags=ALLOC | WRITE),
        Section(".comment", b"GCC\0", flags=0),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_both_classes_and_byte_orders(bits: int, order: str) -> None:
    elf = parse(write_elf(sections(), bits, order, machine=8))
    assert (elf.bits, elf.order, elf.machine, elf.type, elf.relocatable) == (
        bits, order, 8, 2, False
    )  # fmt: skip
    assert elf.names == ["", ".text", ".data", ".bss", ".comment", ".shstrtab"]
    data = elf.section(".data")
    assert data == elf.section(2)
    assert data is not None
    assert (data.address, data.size, data.link, data.info, data.entry_size) == (DATA, 40, 3, 4, 8)
    assert elf.contents(".data").tolist() == list(range(40))
    assert elf.contents(".data").tolist() == elf.contents(2).tolist() == elf.contents(data).tolist()
    assert elf.words(".data", "u4")[:2].tolist() == list(
        struct.unpack(f"{order}2I", bytes(range(8)))
    )
    assert len(elf.words(".text", "u2")) == 1  # a ragged end is left off
    assert elf.executable.tolist() == [1]


def test_what_is_not_there_is_empty() -> None:
    elf = parse(write_elf(sections()))
    for which in (".nothing", 77, -1, 0, ".bss"):
        assert len(elf.contents(which)) == 0
        assert len(elf.words(which, "u8")) == 0
    for which in (".nothing", 77, -1):
        assert elf.section(which) is None


def test_bytes_at_addresses() -> None:
    elf = parse(write_elf(sections()))
    assert elf.at_addresses(DATA + 2, DATA + 5).tolist() == [2, 3, 4]
    assert len(elf.at_addresses(DATA, DATA + 40)) == 40
    for start, end in (
        (DATA, DATA + 41),
        (DATA - 1, DATA + 1),
        (DATA + 5, DATA + 2),
        (BSS, BSS + 4),
        (0, 1 << 64),
        (-1, 4),
        ((1 << 64) - 1, (1 << 64) + 9),
    ):
        assert len(elf.at_addresses(start, end)) == 0


def test_the_sections_of_an_object_are_laid_out_apart() -> None:
    code = [Section(f".text.f{number}", b"\xc3" * size, flags=ALLOC | EXEC)
            for number, size in enumerate([1, 4095, 4096, 4097, 70000])]  # fmt: skip
    for bits in (32, 64):
        elf = parse(write_elf([*code, *sections()], bits, kind=ET_REL))
        held = np.flatnonzero(elf.headers["flags"] & ALLOC)
        start = elf.headers["addr"][held].astype(np.int64)
        end = start + elf.headers["size"][held].astype(np.int64)
        assert start[0] >= LAYOUT_BASE
        assert (start % elf.headers["addralign"][held] == 0).all()
        # A branch past the end of one lands in none.
        assert (start[1:] - end[:-1] >= 1).all()
        assert elf.headers["addr"][-2:].tolist() == [0, 0]  # .comment and the names


def test_data_that_may_be_executed_is_no_code() -> None:
    elf = parse(
        write_elf(
            [
                Section(".init.text", b"\xc3", DATA, flags=ALLOC | EXEC),
                Section(".text", b"\xc3", TEXT, flags=ALLOC | EXEC),
                Section(".data", b"\xc3", TEXT + 0x1000, flags=ALLOC | EXEC),
                Section(".data.more", b"\xc3", TEXT + 0x2000, flags=ALLOC | EXEC),
                Section(".note", b"\xc3", 0, flags=EXEC),
                Section(".bss", b"\xc3", BSS, type=NOBITS, flags=ALLOC | EXEC),
                Section(".null", b"\xc3", BSS + 0x1000, type=0, flags=ALLOC | EXEC),
                Section(".empty", b"", BSS + 0x2000, flags=ALLOC | EXEC),
            ]
        )
    )
    assert elf.executable.tolist() == [2, 1]
    assert elf.overlaid.tolist() == []


def test_of_code_at_one_address_the_first_counts() -> None:
    # As an ARM kernel has its table of vectors.
    places = [(TEXT, 64), (DATA, 32), (DATA, 32), (DATA + 31, 8), (DATA + 32, 8), (TEXT + 8, 8)]
    elf = parse(
        write_elf([Section(".text", bytes(size), place, flags=ALLOC | EXEC)
                   for place, size in places])
    )  # fmt: skip
    assert elf.executable.tolist() == [1, 2, 5]
    assert sorted(elf.overlaid.tolist()) == [3, 4, 6]


def test_more_sections_than_the_header_has_room_for() -> None:
    many = [Section(f".s{number}", b"x") for number in range(300)]
    data = bytearray(write_elf(many))
    (at,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<2H", data, 60)
    struct.pack_into("<Q", data, at + 32, count)  # sh_size of the first
    struct.pack_into("<I", data, at + 40, names)  # sh_link of the first
    struct.pack_into("<2H", data, 60, 0, 0xFFFF)
    elf = parse(bytes(data))
    assert elf.names == ["", *(f".s{number}" for number in range(300)), ".shstrtab"]


def test_a_file_without_section_headers() -> None:
    data = bytearray(write_elf(sections()))
    struct.pack_into("<Q", data, 40, 0)
    elf = parse(bytes(data))
    assert (elf.names, elf.executable.tolist(), len(elf.contents(".text"))) == ([], [], 0)
    assert elf.section(".text") is None


def _set(number: int, field: str, value: int) -> bytes:
    """The file with a field of a section header set."""
    data = bytearray(write_elf(sections()))
    (at,) = struct.unpack_from("<Q", data, 40)
    form, place = {
        "name": ("<I", 0), "type": ("<I", 4), "flags": ("<Q", 8), "addr": ("<Q", 16),
        "offset": ("<Q", 24), "size": ("<Q", 32),
    }[field]  # fmt: skip
    struct.pack_into(form, data, at + 64 * number + place, value)
    return bytes(data)


def _header(at: int, form: str, value: int) -> bytes:
    data = bytearray(write_elf(sections()))
    struct.pack_into(form, data, at, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ELF", "is not an ELF file"),
        (b"\x7fELF", "class or byte order"),
        (write_elf(sections())[:63], "is cut off: 63 bytes, shorter than its ELF header"),
        (_header(4, "B", 3), "class or byte order"),
        (_header(5, "B", 0), "class or byte order"),
        (_header(40, "<Q", 1 << 62), "its section headers begin at 0x4000000000000000"),
        (_header(58, "<H", 40), "has section headers of 40 bytes"),
        (_header(60, "<H", 0xFFFF), "65535 section headers do not fit"),
        (_set(1, "offset", 1 << 40), "section 1 reaches beyond its end"),
        (_set(1, "size", 1 << 30), "section 1 reaches beyond its end"),
        (_set(4, "size", (1 << 64) - 1), "section 4 reaches beyond its end"),
        (_set(2, "offset", 64), "sections 1 and 2 overlap"),
        (_set(1, "addr", (1 << 64) - 2), "section 1 reaches beyond all addresses"),
        (_set(3, "size", (1 << 64) - 1), "section 3 reaches beyond all addresses"),
        (_set(2, "flags", ALLOC | 0x800), "section 2 is compressed"),
    ],
)
def test_broken_headers(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"^file: .*{message}"):
        parse(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_set(1, "name", 1 << 20), "section name at 1048576 lies beyond its table"),
        # The table of names is compressed, and asks for its own name.
        (_set(5, "flags", 0x800), "section names: "),
    ],
)
def test_broken_names(data: bytes, message: str) -> None:
    elf = parse(data)
    with pytest.raises(InputError, match=rf"^file: {message}"):
        elf.section(".text")


def test_no_table_of_names() -> None:
    elf = parse(_header(62, "<H", 99))
    assert elf.names == [""] * 6


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", 1 << 50, "size or alignment cannot be"),
        ("addralign", 1 << 50, "size or alignment cannot be"),
    ],
)
def test_an_object_that_cannot_be_laid_out(field: str, value: int, message: str) -> None:
    data = bytearray(write_elf(sections(), kind=ET_REL))
    (at,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<Q", data, at + 64 + {"size": 32, "addralign": 48}[field], value)
    with pytest.raises(InputError, match=message):
        parse(bytes(data))


def test_an_object_too_large_for_32_bits() -> None:
    data = bytearray(write_elf(sections(), 32, kind=ET_REL))
    (at,) = struct.unpack_from("<I", data, 32)
    struct.pack_into("<I", data, at + 40 + 20, 0xFFFF_FF00)
    with pytest.raises(InputError, match="is too large for a 32-bit object"):
        parse(bytes(data))


def test_is_elf() -> None:
    def view(data: bytes) -> Any:
        return np.frombuffer(data, np.uint8)

    assert is_elf(view(b"\x7fELF\2"))
    assert not any(is_elf(view(data)) for data in (b"", b"\x7fEL", b"\x7fELG", b" \x7fELF"))
