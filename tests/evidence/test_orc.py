"""ORC tables of every layout that kernels have had."""

import struct

import numpy as np
import pytest

from stackgauge.errors import InputError
from stackgauge.evidence.orc import IRET_FRAME, PT_REGS, orc_rows
from stackgauge.evidence.table import UNKNOWN, Base, Rows
from stackgauge.image.elf import parse_elf
from tests.image.tiny_elf import Section, write_elf

TEXT = 0xFFFF_FFFF_8100_0000
IP = 0xFFFF_FFFF_8200_0000

UNDEFINED, BP, SP, SP_INDIRECT = 0, 4, 5, 9

# The numbers of CALL, REGS and REGS_PARTIAL: up to 6.3 (5.10 has REGS_IRET for the last), and
# since 6.4, which put UNDEFINED and END_OF_STACK before them.
OLD, NEW = (0, 1, 2), (2, 3, 4)


def rows(entries: list[tuple[int, int, int, int]], flags: int = 0) -> Rows:
    """Rows of (offset in the text, sp_offset, sp_reg, type) entries."""
    places = b"".join(
        struct.pack("<i", TEXT + entry[0] - (IP + 4 * at)) for at, entry in enumerate(entries)
    )
    facts = b"".join(
        struct.pack("<hhH", offset, 0, register | kind << 8 | flags)
        for _, offset, register, kind in entries
    )
    sections = [Section(".orc_unwind_ip", places, IP), Section(".orc_unwind", facts, IP + 0x10000)]
    elf = parse_elf(np.frombuffer(write_elf(sections), np.uint8), "made")
    return orc_rows(elf, elf.contents)


@pytest.mark.parametrize(("call", "regs", "partial"), [OLD, NEW])
@pytest.mark.parametrize("flags", [0, 1 << 11], ids=["plain", "signal or end"])
def test_layouts(call: int, regs: int, partial: int, flags: int) -> None:
    found = rows(
        [
            (0, 8, SP, call),
            (1, 16, SP, call),
            (4, 16, BP, call),
            (9, 8, SP, call),
            (10, 0, UNDEFINED, 0),
            (16, 0, SP, regs),
            (20, 8, SP, partial),
            (24, 8, SP_INDIRECT, call),
            (28, 8, SP, call),
        ],
        flags,
    )
    assert (found.start - np.uint64(TEXT)).tolist() == [0, 1, 4, 9, 10, 16, 20, 24, 28]
    assert found.depth.tolist() == [
        8, 16, 16, 8, UNKNOWN, PT_REGS, 8 + IRET_FRAME, 8, 8,
    ]  # fmt: skip
    assert found.base.tolist() == [
        Base.SP, Base.SP, Base.OTHER, Base.SP, Base.OTHER,
        Base.REGISTERS, Base.REGISTERS, Base.OTHER, Base.SP,
    ]  # fmt: skip


def test_registers_numbered_anew() -> None:
    found = rows([(0, 8, 3, 2), (1, 16, 3, 2), (2, 16, 5, 2), (3, 8, 3, 2)])
    assert found.base.tolist() == [Base.SP, Base.SP, Base.OTHER, Base.SP]


def test_an_end_of_the_stack_of_the_new_layout_is_no_call() -> None:
    found = rows([(0, 8, SP, 2), (1, 0, UNDEFINED, 1), (2, 8, SP, 2)])
    assert found.depth.tolist() == [8, UNKNOWN, 8]


def test_a_modules_table_is_sorted_here() -> None:
    found = rows([(8, 24, SP, 0), (0, 8, SP, 0), (4, 16, SP, 0)])
    assert found.depth.tolist() == [8, 16, 24]


def test_negative_depths_are_unknown() -> None:
    assert rows([(0, -8, SP, 0), (1, 8, SP, 0)]).depth.tolist() == [UNKNOWN, 8]


def test_no_orc_is_no_row() -> None:
    elf = parse_elf(np.frombuffer(write_elf([Section(".text", b"\xc3", TEXT)]), np.uint8), "made")
    assert len(orc_rows(elf, elf.contents)) == 0


@pytest.mark.parametrize("size", [6, 13])
def test_tables_of_different_length_are_refused(size: int) -> None:
    sections = [
        Section(".orc_unwind_ip", bytes(8), IP),
        Section(".orc_unwind", bytes(size), IP + 0x10000),
    ]
    elf = parse_elf(np.frombuffer(write_elf(sections), np.uint8), "made")
    with pytest.raises(InputError, match="do not match"):
        orc_rows(elf, elf.contents)
