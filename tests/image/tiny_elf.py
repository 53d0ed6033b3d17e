"""A writer of small ELF files, for tests; independent of the reader that it tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass

EM_X86_64 = 62
ET_REL, ET_EXEC = 1, 2
PROGBITS, SYMTAB, STRTAB, RELA, NOBITS = 1, 2, 3, 4, 8
WRITE, ALLOC, EXEC = 1, 2, 4


@dataclass
class Section:
    name: str
    data: bytes
    address: int = 0
    type: int = PROGBITS
    flags: int = ALLOC
    link: int = 0
    info: int = 0
    entry_size: int = 0


def write_elf(
    sections: list[Section],
    bits: int = 64,
    order: str = "<",
    machine: int = EM_X86_64,
    kind: int = ET_EXEC,
) -> bytes:
    """An ELF file of a null section, ``sections`` and the section names' table, in this order."""
    names = b"\0"
    word = "Q" if bits == 64 else "I"
    header_size = 64 if bits == 64 else 52
    body = bytearray(header_size)
    headers = struct.pack(f"{order}2I4{word}2I2{word}", *[0] * 10)
    everything = [*sections, Section(".shstrtab", b"", type=STRTAB, flags=0)]
    for section in everything:
        name = len(names)
        names += section.name.encode() + b"\0"
        if section.name == ".shstrtab":
            section.data = names
        while len(body) % 16:
            body += b"\0"
        offset = len(body)
        if section.type != NOBITS:
            body += section.data
        headers += struct.pack(
            f"{order}2I4{word}2I2{word}",
            name,
            section.type,
            section.flags,
            section.address,
            offset,
            len(section.data),
            section.link,
            section.info,
            16,
            section.entry_size,
        )
    while len(body) % 8:
        body += b"\0"
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    body[:header_size] = ident + struct.pack(
        f"{order}2HI3{word}I6H",
        kind,
        machine,
        1,
        0,
        0,
        len(body),
        0,
        header_size,
        0,
        0,
        64 if bits == 64 else 40,
        len(everything) + 1,
        len(everything),
    )
    return bytes(body) + headers


def write_symbols(rows: list[tuple[str, int, int, int]], link: int) -> list[Section]:
    """``.symtab`` and ``.strtab`` of 64-bit little-endian (name, value, section, info) rows.

    ``link`` is the index that ``.strtab`` will have in the file.
    """
    names = b"\0"
    table = bytes(24)
    for name, value, section, info in rows:
        table += struct.pack("<IBBHQQ", len(names), info, 0, section, value, 0)
        names += name.encode() + b"\0"
    return [
        Section(".symtab", table, type=SYMTAB, flags=0, link=link, info=1, entry_size=24),
        Section(".strtab", names, type=STRTAB, flags=0),
    ]
