"""What the reader of operands says of A64 instructions, against capstone's decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.isa.arm64.operands import ARM64_CALLS, read_operands
from stackgauge.isa.model import Code, Flow, Ranges
from stackgauge.isa.operands import NO_REGISTER, Op, Operands
from tests.frames.programs import LINKED, compiled, opened

capstone = pytest.importorskip("capstone")

BASE = 0x1000_0000
SP = 31
NAMES = {**{name: number for number, name in enumerate(ARM64_CALLS.names)}, "fp": 29, "lr": 30}


def read(code: bytes) -> Operands:
    ranges = Ranges(np.array([BASE], np.uint64), np.array([BASE + len(code)], np.uint64))
    return read_operands(Code(np.frombuffer(code, np.uint8), BASE), ranges)


def compare(code: bytes) -> int:
    """Loads and stores of capstone's against ours; how many there were."""
    machine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    machine.detail, machine.skipdata = True, True
    rows, met = read(code), 0
    for instruction in machine.disasm(code, BASE):
        row = int(rows.find(np.array([instruction.address], np.uint64))[0])
        if instruction.id == 0 or rows.op[row] not in (Op.LOAD, Op.STORE):
            continue
        places = [
            one.mem for one in instruction.operands if one.type == capstone.arm64.ARM64_OP_MEM
        ]
        if not places:
            continue
        met += 1
        assert rows.base[row] == NAMES[instruction.reg_name(places[0].base)], str(instruction)
        assert rows.indexed[row] == (places[0].index != 0), str(instruction)
        # What is added afterwards is no part of the address.
        assert rows.disp[row] == places[0].disp or instruction.post_index, str(instruction)
    return met


def test_compiled_code(tmp_path: Path) -> None:
    path = compiled(tmp_path, "-O2", "-g", *LINKED, compiler="aarch64-linux-gnu-gcc")
    assert compare(opened(path).contents(".text").tobytes()) > 20


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_words(words: list[int]) -> None:
    # Bits that make a load or a store of 64 bits or of a pair likely.
    likely = [word & 0x00FF_FFFF | top << 24 for word in words for top in (0xF9, 0xF8, 0xA9, 0xA8)]
    compare(np.array(likely, "<u4").tobytes())


@pytest.mark.parametrize(
    ("word", "op", "target", "base", "disp"),
    [
        (0xF9400C02, Op.LOAD, 2, 0, 24),
        (0xF85F8062, Op.LOAD, 2, 3, -8),
        (0xF8408C62, Op.LOAD, 2, 3, 8),
        (0xF8408462, Op.LOAD, 2, 3, 0),
        (0xF8627861, Op.LOAD, 1, 3, 0),
        (0x58000041, Op.LOAD, 1, NO_REGISTER, BASE + 8),
        (0xC8DFFC20, Op.LOAD, 0, 1, 0),
        (0x91002020, Op.ADDRESS, 0, 1, 8),
        (0xD1002020, Op.ADDRESS, 0, 1, -8),
        (0x91402020, Op.ADDRESS, 0, 1, 0x8000),
        (0x10000020, Op.ADDRESS, 0, NO_REGISTER, BASE + 4),
        (0xB0000013, Op.PAGE, 19, NO_REGISTER, BASE + 0x1000),
        (0xAA0203E1, Op.COPY, 1, 2, 0),
        (0xAA1F03E1, Op.ADDRESS, 1, NO_REGISTER, 0),
        (0x9A821020, Op.SELECT, 0, 1, 0),
        (0x9A9F1020, Op.COPY, 0, 1, 0),
        (0x52800081, Op.ADDRESS, 1, NO_REGISTER, 4),
        (0x92800000, Op.ADDRESS, 0, NO_REGISTER, -1),
        (0xF9000441, Op.STORE, NO_REGISTER, 2, 8),
        (0xF900045F, Op.STORE_CONSTANT, NO_REGISTER, 2, 8),
        (0xC89FFC20, Op.STORE, NO_REGISTER, 1, 0),
        (0xB90007E0, Op.CHANGE, NO_REGISTER, SP, 0),
        (0xD63F0060, Op.GO, NO_REGISTER, 3, 0),
        (0xD61F0060, Op.GO, NO_REGISTER, 3, 0),
        (0x94000002, Op.GO, NO_REGISTER, NO_REGISTER, BASE + 8),
        (0x8B010000, Op.OTHER, NO_REGISTER, NO_REGISTER, 0),
    ],
)
def test_what_instructions_compute(word: int, op: Op, target: int, base: int, disp: int) -> None:
    rows = read(word.to_bytes(4, "little"))
    assert (rows.op[0], rows.target[0], rows.base[0], rows.disp[0]) == (op, target, base, disp)


def test_pairs_are_two_rows() -> None:
    rows = read((0xA94107E0).to_bytes(4, "little") + (0xA9007C41).to_bytes(4, "little"))
    assert rows.op.tolist() == [Op.LOAD, Op.LOAD, Op.STORE, Op.STORE_CONSTANT]
    assert rows.target.tolist()[:2] == [0, 1]
    assert rows.source.tolist()[2] == 1
    assert rows.writes.tolist() == [1, 2, 0, 0]
    assert rows.disp.tolist() == [16, 24, 0, 8]
    assert (rows.start - np.uint64(BASE)).tolist() == [0, 2, 4, 6]
    assert rows.find(np.array([BASE + 4], np.uint64)).tolist() == [2]


@pytest.mark.parametrize(
    ("word", "flow"),
    [
        (0x94000001, Flow.CALL),
        (0x14000001, Flow.JUMP),
        (0x54000020, Flow.BRANCH),
        (0xB4000020, Flow.BRANCH),
        (0x36000020, Flow.BRANCH),
        (0xD63F0000, Flow.CALL),
        (0xD61F0000, Flow.INDIRECT),
        (0xD65F03C0, Flow.STOP),
        (0xD4210000, Flow.TRAP),
        (0xD503201F, Flow.NEXT),
    ],
)
def test_flows(word: int, flow: Flow) -> None:
    assert read(word.to_bytes(4, "little")).flow[0] == flow
