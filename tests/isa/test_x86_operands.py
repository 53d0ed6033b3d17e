"""What the reader of operands says of x86-64 instructions, against iced's decoder."""

from __future__ import annotations

import itertools
from pathlib import Path

import iced_x86
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.isa.model import Code, Flow, Ranges
from stackgauge.isa.operands import NO_REGISTER, Op, Operands
from stackgauge.isa.x86.operands import X86_64_CALLS, read_operands
from tests.frames.programs import LINKED, compiled, opened

BASE = 0x1000_0000
RSP = 4
NUMBERS = {
    getattr(iced_x86.Register, name.upper()): number
    for number, name in enumerate(X86_64_CALLS.names)
}
WRITES = (
    iced_x86.OpAccess.WRITE,
    iced_x86.OpAccess.COND_WRITE,
    iced_x86.OpAccess.READ_WRITE,
    iced_x86.OpAccess.READ_COND_WRITE,
)
IN_MEMORY = (Op.LOAD, Op.STORE, Op.STORE_CONSTANT, Op.GO_LOADED, Op.CHANGE)


def read(code: bytes) -> Operands:
    ranges = Ranges(np.array([BASE], np.uint64), np.array([BASE + len(code)], np.uint64))
    return read_operands(Code(np.frombuffer(code, np.uint8), BASE), ranges)


INFORMATION = iced_x86.InstructionInfoFactory()
PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3, *range(0x40, 0x50)}


def idle_rex(code: bytes) -> bool:
    """Whether a REX prefix stands before another prefix, where it is without effect."""
    return any(a & 0xF0 == 0x40 and b in PREFIXES for a, b in itertools.pairwise(code))


def changed(instruction: iced_x86.Instruction) -> int:
    """The registers that iced says are written, the stack pointer left out."""
    used = INFORMATION.info(instruction).used_registers()
    full = (
        iced_x86.RegisterExt.full_register(one.register) for one in used if one.access in WRITES
    )
    return sum({1 << NUMBERS[one] for one in full if one in NUMBERS}) & ~(1 << RSP)


def address(instruction: iced_x86.Instruction) -> tuple[int, int]:
    disp = instruction.memory_displacement
    base = NUMBERS.get(instruction.memory_base, NO_REGISTER)
    return base, disp - (1 << 64) if disp >= 1 << 63 else disp


def compare(code: bytes) -> None:
    rows = read(code)
    at = {start: row for row, start in enumerate(rows.start.tolist())}
    for instruction in iced_x86.Decoder(64, code, ip=BASE):
        row = at.get(instruction.ip)
        if row is None or instruction.code == iced_x86.Code.INVALID:
            return
        if not instruction.is_call_near and not instruction.is_call_near_indirect:
            ours = int(rows.writes[row]) & ~(1 << RSP)
            assert changed(instruction) & ~ours == 0, str(instruction)
        if rows.op[row] in IN_MEMORY and instruction.memory_base != iced_x86.Register.EIP:
            assert (rows.base[row], rows.disp[row]) == address(instruction), str(instruction)
            assert rows.indexed[row] == (instruction.memory_index != 0), str(instruction)


@given(st.lists(st.binary(min_size=15, max_size=15), min_size=1, max_size=10))
@settings(max_examples=100, deadline=None)
def test_any_bytes(pieces: list[bytes]) -> None:
    for piece in pieces:
        first = next(iter(iced_x86.Decoder(64, piece)))
        if first.code != iced_x86.Code.INVALID and not idle_rex(piece[: first.len]):
            compare(piece[: first.len])


def test_compiled_code(tmp_path: Path) -> None:
    elf = opened(compiled(tmp_path, "-O2", "-g", *LINKED))
    compare(elf.contents(".text").tobytes())


@pytest.mark.parametrize(
    ("text", "op", "target", "base", "disp"),
    [
        ("488b4710", Op.LOAD, 0, 7, 16),
        ("4c8b2d04000000", Op.LOAD, 13, NO_REGISTER, BASE + 11),
        ("65488b042500fe0100", Op.LOAD, 0, NO_REGISTER, 0x1FE00),
        ("4889fb", Op.COPY, 3, 7, 0),
        ("4c8be7", Op.COPY, 12, 7, 0),
        ("488d7b08", Op.ADDRESS, 7, 3, 8),
        ("4883c720", Op.ADDRESS, 7, 7, 32),
        ("4883ef20", Op.ADDRESS, 7, 7, -32),
        ("4805e8030000", Op.ADDRESS, 0, 0, 1000),
        ("48c7c700000081", Op.ADDRESS, 7, NO_REGISTER, -0x7F000000),
        ("bf10000000", Op.ADDRESS, 7, NO_REGISTER, 16),
        ("31c0", Op.ADDRESS, 0, NO_REGISTER, 0),
        ("480f44c2", Op.SELECT, 0, 0, 0),
        ("48894708", Op.STORE, NO_REGISTER, 7, 8),
        ("48c7470800000081", Op.STORE_CONSTANT, NO_REGISTER, 7, 8),
        ("ffd0", Op.GO, NO_REGISTER, 0, 0),
        ("ff5008", Op.GO_LOADED, NO_REGISTER, 0, 8),
        ("e805000000", Op.GO, NO_REGISTER, NO_REGISTER, BASE + 10),
        ("6548030530000000", Op.COPY, 0, 0, 0),
        ("480304c500000081", Op.COPY, 0, 0, 0),
        ("48034708", Op.OTHER, NO_REGISTER, NO_REGISTER, 0),
        ("89fb", Op.OTHER, NO_REGISTER, NO_REGISTER, 0),
        ("48830424ff", Op.CHANGE, NO_REGISTER, RSP, 0),
    ],
)
def test_what_instructions_compute(text: str, op: Op, target: int, base: int, disp: int) -> None:
    rows = read(bytes.fromhex(text))
    assert (rows.op[0], rows.target[0], rows.base[0], rows.disp[0]) == (op, target, base, disp)


@pytest.mark.parametrize(
    ("text", "flow"),
    [
        ("c3", Flow.STOP),
        ("cc", Flow.STOP),
        ("7405", Flow.BRANCH),
        ("0f8405000000", Flow.BRANCH),
        ("eb05", Flow.JUMP),
        ("ffe0", Flow.INDIRECT),
        ("ff2500000000", Flow.INDIRECT),
        ("ffd0", Flow.CALL),
        ("0f0b", Flow.TRAP),
        ("90", Flow.NEXT),
    ],
)
def test_flows(text: str, flow: Flow) -> None:
    assert read(bytes.fromhex(text)).flow[0] == flow


def test_find_is_by_exact_address() -> None:
    rows = read(bytes.fromhex("4889fb90"))
    assert rows.find(np.array([BASE, BASE + 1, BASE + 3, BASE + 4], np.uint64)).tolist() == [
        0, -1, 1, -1,
    ]  # fmt: skip
