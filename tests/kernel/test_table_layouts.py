"""Tables of control flow in the layouts that they have on different architectures."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.symbols import no_symbols
from stackgauge.kernel.tables import table_jumps
from tests.image.tiny_elf import ALLOC, EXEC, Section, write_elf

TEXT, TABLE = 0x10_0000, 0x20_0000
EDGES = [(TEXT + 4 * at, TEXT + 0x800 + 8 * at) for at in range(6)]

X86_64, MIPS, POWERPC64, AARCH64, ARM = 62, 8, 21, 183, 40


def image(name: str, table: bytes, machine: int, bits: int, order: str) -> Elf:
    sections = [
        Section(".text", bytes(0x1000), address=TEXT, flags=ALLOC | EXEC),
        Section(name, table, address=TABLE),
    ]
    data = write_elf(sections, bits=bits, order=order, machine=machine)
    return parse_elf(np.frombuffer(data, np.uint8), "image")


def jumps(elf: Elf) -> list[tuple[int, int]]:
    found = table_jumps(elf, no_symbols(), elf.contents)
    return list(zip(found.source.tolist(), found.target.tolist(), strict=True))


def relative(rest: str, *values: int) -> Callable[[str], bytes]:
    """Entries of two words relative to themselves and a rest."""

    def pack(order: str) -> bytes:
        size = struct.calcsize(order + "ii" + rest)
        table = b""
        for number, (source, target) in enumerate(EDGES):
            at = TABLE + number * size
            table += struct.pack(order + "ii" + rest, source - at, target - at - 4, *values)
        return table

    return pack


def absolute(word: str, *values: int) -> Callable[[str], bytes]:
    """Entries of two addresses and a rest, all words."""

    def pack(order: str) -> bytes:
        code = order + word * (2 + len(values))
        return b"".join(struct.pack(code, source, target, *values) for source, target in EDGES)

    return pack


@pytest.mark.parametrize(
    ("name", "machine", "bits", "order", "pack"),
    [
        # A handler that lies in the code, too (x86 up to 5.14).
        ("__ex_table", X86_64, 64, "<", relative("i", TEXT + 0x900 - TABLE)),
        ("__ex_table", AARCH64, 64, "<", relative("hh", 2, 0)),
        ("__ex_table", AARCH64, 64, "<", relative("")),  # up to 5.15
        ("__ex_table", POWERPC64, 64, ">", relative("")),
        ("__ex_table", MIPS, 32, "<", absolute("I")),
        ("__ex_table", MIPS, 64, ">", absolute("Q")),
        ("__ex_table", ARM, 32, "<", absolute("I")),
        ("__jump_table", X86_64, 64, "<", relative("q", 0x300000)),
        ("__jump_table", POWERPC64, 64, "<", relative("q", 0x300001)),
        ("__jump_table", MIPS, 32, ">", absolute("I", 0x300000)),
        ("__jump_table", MIPS, 64, "<", absolute("Q", 0x300001)),
    ],
)
def test_a_table_is_understood_by_where_it_leads(
    name: str, machine: int, bits: int, order: str, pack: Callable[[str], bytes]
) -> None:
    assert jumps(image(name, pack(order), machine, bits, order)) == EDGES


def test_a_table_that_leads_nowhere_says_nothing() -> None:
    for machine in (MIPS, POWERPC64, X86_64):
        assert jumps(image("__ex_table", b"\x55" * 48, machine, 64, "<")) == []
    assert jumps(image("__ex_table", b"\0" * 7, MIPS, 64, "<")) == []
