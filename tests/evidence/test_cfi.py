"""Call frame information made by hand: what each instruction does to the rows."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.evidence.cfi import cfi_rows
from stackgauge.evidence.table import UNKNOWN, Base, Evidence
from tests.evidence.cfi_sections import (
    SP,
    Frames,
    advance,
    def_cfa,
    def_cfa_offset,
    def_cfa_register,
    elf_file,
    isa,
    listed,
    read,
    sleb,
    uleb,
)

REMEMBER, RESTORE = b"\x0a", b"\x0b"


def one(program: bytes, *, size: int = 100, frames: Frames | None = None) -> Frames:
    """A section with one function at 0x1000."""
    frames = frames or Frames()
    frames.fde(frames.cie(), 0x1000, size, program)
    return frames


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("eh", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_advances_of_all_widths_in_all_formats(order: str, bits: int, eh: bool, wide: bool) -> None:
    frames = Frames(order=order, bits=bits, eh=eh, wide=wide)
    program = (
        advance(1)
        + def_cfa_offset(16)
        + b"\x02\xc8"  # advance_loc1 200
        + def_cfa_offset(1000)
        + b"\x03"
        + frames.pack("H", 0x1234)
        + def_cfa_offset(24)
        + b"\x04"
        + frames.pack("I", 0x123456)
        + def_cfa_offset(40)
        + b"\x1d"
        + frames.pack("Q", 0x1000000)
        + def_cfa_offset(8)
    )
    cfi = read(one(program, size=0x2000000, frames=frames))
    at = np.cumsum([0x1000, 1, 200, 0x1234, 0x123456, 0x1000000]).tolist()
    assert listed(cfi) == list(zip(at, [*at[1:], 0x2001000], [8, 16, 1000, 24, 40, 8], strict=True))
    assert set(cfi.rows.base.tolist()) == {Base.SP}
    assert set(cfi.rows.evidence.tolist()) == {Evidence.CFI}
    assert cfi.rows.most.tolist() == cfi.rows.depth.tolist()
    assert (cfi.fde_start.tolist(), cfi.fde_end.tolist()) == ([0x1000], [0x2001000])
    assert cfi.skipped == {}


def test_a_state_is_remembered_and_restored_nested_and_again() -> None:
    program = (
        advance(1) + def_cfa_offset(16) + REMEMBER
        + advance(1) + def_cfa_offset(24) + REMEMBER
        + advance(1) + def_cfa(6, 32)
        + advance(1) + RESTORE  # to 24
        + advance(1) + RESTORE + REMEMBER  # to 16
        + advance(1) + def_cfa_offset(99)
        + advance(1) + RESTORE  # to what was restored
    )  # fmt: skip
    cfi = read(one(program))
    assert cfi.rows.depth.tolist() == [8, 16, 24, 32, 24, 16, 99, 16]
    assert cfi.register.tolist() == [SP, SP, SP, 6, SP, SP, SP, SP]


def test_where_the_cfa_is_not_on_the_stack_pointer_the_depth_is_no_depth() -> None:
    program = (
        advance(1) + def_cfa_offset(16)
        + advance(3) + def_cfa_register(6)
        + advance(4) + b"\x0f" + uleb(3) + b"\x76\x78\x06"  # def_cfa_expression
        + advance(4) + def_cfa(SP, 8)
    )  # fmt: skip
    cfi = read(one(program))
    assert cfi.rows.depth.tolist() == [8, 16, 16, UNKNOWN, 8]
    assert cfi.rows.base.tolist() == [Base.SP, Base.SP, Base.OTHER, Base.OTHER, Base.SP]
    assert cfi.register.tolist() == [SP, SP, 6, -1, SP]


def test_an_offset_alone_says_nothing_after_an_expression() -> None:
    expression = b"\x0f" + uleb(1) + b"\x76"
    offset = one(expression + advance(1) + def_cfa_offset(16))
    assert read(offset).rows.depth.tolist() == [UNKNOWN, UNKNOWN]
    register = one(expression + advance(1) + def_cfa_register(SP))
    assert read(register).rows.depth.tolist() == [UNKNOWN, UNKNOWN]


def test_factored_operands() -> None:
    frames = Frames()
    cie = frames.cie(code_factor=4, data_factor=-8)
    frames.fde(
        cie,
        0x1000,
        100,
        advance(2) + b"\x13" + sleb(-25) + advance(3) + b"\x12" + uleb(SP) + sleb(-3),
    )
    assert listed(read(frames)) == [
        (0x1000, 0x1008, 8),
        (0x1008, 0x1014, 200),
        (0x1014, 0x1064, 24),
    ]


def test_the_bias_of_an_architecture_is_taken_off_on_the_stack_pointer_only() -> None:
    frames = Frames()
    frames.fde(
        frames.cie(def_cfa(15, 160)),
        0x1000,
        100,
        advance(4) + def_cfa_offset(360) + advance(4) + def_cfa_register(11),
    )
    cfi = read(frames, like=isa(sp_register=15, cfa_bias=160))
    assert cfi.rows.depth.tolist() == [0, 200, 360]


@pytest.mark.parametrize(
    "instruction",
    [
        b"\x00",  # nop
        b"\x86\x02",  # offset
        b"\x86\x82\x02",  # the same with a number of two bytes
        b"\xc6",  # restore
        b"\x05\x86\x01\x82\x01",  # offset_extended
        b"\x06\x86\x01",  # restore_extended
        b"\x07\x0e",  # undefined
        b"\x08\x0b",  # same_value
        b"\x09\x0a\x0e",  # register
        b"\x10\x06\x02\x0e\x63",  # expression
        b"\x10\x06\xc8\x01" + b"\x0e" * 200,
        b"\x11\x0e\x0f",  # offset_extended_sf
        b"\x14\x0e\x0f",  # val_offset
        b"\x15\x0e\x0f",  # val_offset_sf
        b"\x16\x06\x02\x0e\x63",  # val_expression
        b"\x2c",  # AARCH64_negate_ra_state_with_pc
        b"\x2d",  # AARCH64_negate_ra_state
        b"\x2e\x8e\x01",  # GNU_args_size
        b"\x2f\x0e\x0f",  # GNU_negative_offset_extended
    ],
)
def test_other_registers_rules_are_stepped_over(instruction: bytes) -> None:
    cfi = read(one(instruction + advance(4) + instruction + def_cfa_offset(32) + instruction))
    assert listed(cfi) == [(0x1000, 0x1004, 8), (0x1004, 0x1064, 32)]
    assert cfi.skipped == {}


@pytest.mark.parametrize(
    "instruction",
    [
        b"\x3f",  # of a vendor not known
        b"\x01" + b"\x10" * 8,  # set_loc
        RESTORE,  # without a state to restore
        REMEMBER + RESTORE + RESTORE,
        b"\x10\x06\xac\x02" + b"\0" * 300,  # an expression longer than any
        b"\x0e" + b"\x80" * 11 + b"\x01",  # a number longer than any
        b"\x0f\x60",  # an expression that reaches beyond the entry
    ],
)
def test_a_program_that_can_not_be_followed_says_nothing(instruction: bytes) -> None:
    frames = one(def_cfa_offset(16) + advance(4) + instruction)
    frames.fde(0, 0x2000, 16, advance(1) + def_cfa_offset(24))
    cfi = read(frames)
    assert listed(cfi) == [(0x1000, 0x1064, UNKNOWN), (0x2000, 0x2001, 8), (0x2001, 0x2010, 24)]
    assert cfi.rows.base.tolist() == [Base.OTHER, Base.SP, Base.SP]
    assert cfi.skipped == {"program": 1}


@pytest.mark.parametrize("functions", [1, 100])  # walked one at a time, and in lockstep
@pytest.mark.parametrize("cut", [b"\x0e", b"\x03\x01", b"\x0c\x07", b"\x0f\x02\x77"])
def test_an_instruction_that_ends_beyond_its_entry_says_nothing(functions: int, cut: bytes) -> None:
    frames = Frames()
    cie = frames.cie()
    for number in range(1, functions + 1):
        frames.fde(cie, number << 12, 16, bytes(8 - len(cut)) + cut)
    cfi = read(frames)
    assert cfi.rows.depth.tolist() == [UNKNOWN] * functions
    assert cfi.skipped == {"program": functions}


def test_a_cie_that_can_not_be_followed_takes_its_fdes_along() -> None:
    frames = Frames()
    frames.fde(frames.cie(def_cfa(SP, 8) + b"\x3f"), 0x1000, 16, def_cfa_offset(24))
    assert listed(read(frames)) == [(0x1000, 0x1010, UNKNOWN)]


@pytest.mark.parametrize("register", [SP + (1 << 32), SP + (1 << 16)])
def test_a_register_that_can_not_be_is_not_taken_for_another(register: int) -> None:
    assert read(one(def_cfa(register, 24))).rows.depth.tolist() == [UNKNOWN]


@pytest.mark.parametrize("offset", [1 << 30, 1 << 32, (1 << 32) + 8, (1 << 63) - 1])
def test_an_offset_that_can_not_be_is_unknown(offset: int) -> None:
    cfi = read(one(def_cfa_offset(offset)))
    assert cfi.rows.depth.tolist() == [UNKNOWN]
    assert cfi.rows.base.tolist() == [Base.SP]


def test_a_negative_offset_is_unknown() -> None:
    assert read(one(b"\x13" + sleb(1))).rows.depth.tolist() == [UNKNOWN]


def test_rows_do_not_reach_beyond_the_function() -> None:
    cfi = read(one(advance(60) + def_cfa_offset(16) + advance(60) + def_cfa_offset(24)))
    assert listed(cfi) == [(0x1000, 0x103C, 8), (0x103C, 0x1064, 16)]


def test_a_rule_that_is_told_again_is_one_row() -> None:
    program = advance(4) + def_cfa_offset(8) + advance(4) + def_cfa_offset(16) + def_cfa_offset(8)
    assert listed(read(one(program))) == [(0x1000, 0x1064, 8)]


def test_functions_come_by_address() -> None:
    frames = Frames()
    cie = frames.cie()
    for start in (0x3000, 0x1000, 0x2000):
        frames.fde(cie, start, 16, advance(4) + def_cfa_offset(start))
    cfi = read(frames)
    assert cfi.fde_start.tolist() == [0x1000, 0x2000, 0x3000]
    assert cfi.rows.depth.tolist() == [8, 0x1000, 8, 0x2000, 8, 0x3000]


def test_a_file_without_any_has_no_rows() -> None:
    cfi = read(Frames())
    assert len(cfi.rows) == len(cfi.fde_start) == len(cfi.register) == 0
    terminator = Frames(eh=True, raw=bytearray(4))
    assert len(read(terminator).rows) == 0


def test_the_contents_that_are_given_are_read_not_the_file() -> None:
    elf = elf_file(one(b""))
    relocated = np.frombuffer(bytes(one(def_cfa_offset(64)).raw), np.uint8)
    cfi = cfi_rows(elf, isa(), lambda name: relocated if name == ".debug_frame" else relocated[:0])
    assert cfi.rows.depth.tolist() == [64]


def test_a_cie_that_names_a_register_alone_means_no_offset() -> None:
    # GCC's of MIPS.
    frames = Frames(bits=32)
    cie = frames.cie(def_cfa_register(SP))
    frames.fde(cie, 0x1000, 16, advance(4) + def_cfa_offset(24))
    assert listed(read(frames)) == [(0x1000, 0x1004, 0), (0x1004, 0x1010, 24)]
