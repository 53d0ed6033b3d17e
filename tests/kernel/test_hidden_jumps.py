"""The table of static branches, found in kernels that have neither its section nor its symbols."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from stackgauge.image.elf import Elf, parse_elf
from stackgauge.kernel.hidden_jumps import hidden_jumps
from tests.image.tiny_elf import ALLOC, EXEC, Section, write_elf

CODE, DATA = 0x10_0000, 0x20_0000


def kernel(table: bytes, bits: int) -> Elf:
    """Code, and data with a table amid other words."""
    rest = bytes(range(256)) * 8
    sections = [
        Section(".text", bytes(0x4000), CODE, flags=ALLOC | EXEC),
        Section(".data", rest + table + rest, DATA),
    ]
    return parse_elf(np.frombuffer(write_elf(sections, bits=bits), np.uint8), "made")


def branches(count: int) -> list[tuple[int, int, int]]:
    return [(CODE + 16 * row, CODE + 16 * row + 8, DATA + 8 * (row % 50)) for row in range(count)]


def relative(entries: list[tuple[int, int, int]], bits: int) -> bytes:
    """Each field relative to itself, as on x86 and arm64; the key's low bits are flags."""
    raw, at = b"", DATA + 2048
    for source, target, key in entries:
        place = at + len(raw)
        raw += struct.pack("<ii", source - place, target - place - 4)
        raw += struct.pack("<q" if bits == 64 else "<i", key + 1 - place - 8)
    return raw


@pytest.mark.parametrize("bits", [32, 64])
def test_relative_entries(bits: int) -> None:
    entries = branches(200)
    found = hidden_jumps(kernel(relative(entries, bits), bits))
    assert found.tolist() == [[source, target] for source, target, _ in entries]


def test_addresses() -> None:
    entries = branches(100)
    table = b"".join(struct.pack("<III", *entry) for entry in entries)
    found = hidden_jumps(kernel(table, 32))
    assert found.tolist() == [[source, target] for source, target, _ in entries]


def test_branches_of_code_that_is_not_told_are_left_out() -> None:
    entries = branches(200)
    entries[90] = (0x900_0000, CODE, DATA)
    found = hidden_jumps(kernel(relative(entries, 64), 64))
    assert len(found) == 199


def test_few_in_a_row_are_none() -> None:
    assert not len(hidden_jumps(kernel(relative(branches(40), 64), 64)))


def test_pointers_to_functions_are_none() -> None:
    # A table of system calls: the third of three words is code as well.
    table = b"".join(struct.pack("<I", CODE + 16 * row) for row in range(400))
    assert not len(hidden_jumps(kernel(table, 32)))
