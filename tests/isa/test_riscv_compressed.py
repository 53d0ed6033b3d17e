"""All compressed RISC-V instructions, held against how capstone reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

import capstone
import numpy as np
import pytest

from stackgauge.isa.model import Code, Flow, Ranges
from stackgauge.isa.riscv import encoding as e
from stackgauge.isa.riscv.compressed import NOTHING, expanded
from stackgauge.isa.riscv.encoding import signed, written_registers
from stackgauge.isa.riscv.reader import read_riscv

_NAMES = "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11"
NUMBERS = {name: number for number, name in enumerate([*_NAMES.split(), "t3", "t4", "t5", "t6"])}

# By mnemonic: opcode and funct3 of the instruction of 32 bits; of C.LUI there is no funct3.
_ADDI, _IMMEDIATE = (e.OP_IMM, 0), ("slli", "srli", "srai", "andi", "addi", "addi16sp", "li")
FORMS: dict[str, tuple[int, int | None]] = {
    "addi": _ADDI, "addi16sp": _ADDI, "addi4spn": _ADDI, "li": _ADDI, "mv": _ADDI,
    "addiw": (e.OP_IMM_32, 0), "lui": (e.LUI, None), "slli": (e.OP_IMM, 1),
    "srli": (e.OP_IMM, 5), "srai": (e.OP_IMM, 5), "andi": (e.OP_IMM, 7), "add": (e.OP, 0),
    "sub": (e.OP, 0), "xor": (e.OP, 4), "or": (e.OP, 6), "and": (e.OP, 7),
    "lw": (e.LOAD, 2), "lwsp": (e.LOAD, 2), "ld": (e.LOAD, 3), "ldsp": (e.LOAD, 3),
}  # fmt: skip


def _read(bits: int) -> dict[int, tuple[str, list[str]]]:
    """Mnemonic, without ``c.``, and operands of the instructions that capstone knows."""
    mode = capstone.CS_MODE_RISCV64 if bits == 64 else capstone.CS_MODE_RISCV32
    engine = capstone.Cs(capstone.CS_ARCH_RISCV, mode | capstone.CS_MODE_RISCVC)
    found = {}
    # Over all instructions of 16 bits.
    for half in range(1 << 16):
        if half & 3 == 3:
            continue
        for _, size, mnemonic, operands in engine.disasm_lite(half.to_bytes(2, "little"), 0):
            # C.LUI of 0 is reserved, and Zcmop's instructions are there, which do nothing.
            reserved = mnemonic == "c.lui" and operands.endswith(", 0")
            if size == 2 and mnemonic.startswith("c.") and not reserved:
                found[half] = mnemonic[2:], re.split(r"[\s,()]+", operands.strip("()"))
    return found


@pytest.fixture(params=[64, 32], scope="module")
def bits(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def known(bits: int) -> dict[int, tuple[str, list[str]]]:
    return _read(bits)


def _number(text: str) -> int:
    return int(text, 0)


def _expected(mnemonic: str, operands: list[str]) -> tuple[int, int, int]:
    """Destination, first source, and number or second source."""
    into = NUMBERS[operands[0]]
    if mnemonic == "lui":
        return into, 0, _number(operands[1]) & 0xFFFFF
    if mnemonic == "li":
        return into, 0, _number(operands[1])
    if mnemonic == "addi4spn":
        return into, e.SP, _number(operands[2])
    if mnemonic == "mv":
        return into, NUMBERS[operands[1]], 0
    if mnemonic in (*_IMMEDIATE, "addiw"):
        return into, into, _number(operands[-1])
    if mnemonic in ("add", "sub", "xor", "or", "and"):
        return into, into, NUMBERS[operands[-1]]
    return into, NUMBERS[operands[2]], 0  # a load, whose distance does not count


def test_as_instructions_of_32_bits(bits: int, known: dict[int, tuple[str, list[str]]]) -> None:
    assert len(known) > 40_000
    words = expanded(np.arange(1 << 16, dtype=np.uint32), bits, False)
    checked = 0
    for half, (mnemonic, operands) in known.items():
        form = FORMS.get(mnemonic)
        if form is None:
            continue
        word = int(words[half])
        into, first, number = _expected(mnemonic, operands)
        opcode, funct3 = form
        if not into and opcode != e.OP_IMM:  # a hint
            continue
        checked += 1
        said = f"{half:04x} {mnemonic} {operands} {word:08x}"
        assert (word & 0x7F, word >> 7 & 31) == (opcode, into), said
        if funct3 is None:
            assert word >> 12 == number, said
            continue
        assert (word >> 12 & 7, word >> 15 & 31) == (funct3, first), said
        if opcode == e.OP:
            assert word >> 20 & 31 == number, said
            assert word >> 30 == (mnemonic == "sub"), said
        elif opcode in (e.OP_IMM, e.OP_IMM_32) and mnemonic not in ("srli", "srai", "slli"):
            assert int(signed(np.array([word >> 20], np.uint32), 12)[0]) == number, said
        elif opcode == e.OP_IMM:
            assert word >> 20 & 0x3F == number, said
    assert checked > 15_000


def test_the_rest_writes_what_it_has_for_a_destination(
    bits: int, known: dict[int, tuple[str, list[str]]]
) -> None:
    words = expanded(np.arange(1 << 16, dtype=np.uint32), bits, False)
    written = written_registers(words)
    stores = re.compile(r"f?s[wd](sp)?|fl[wd](sp)?|j|jal|jr|jalr|b\w+|ebreak|nop|unimp")
    for half, (mnemonic, operands) in known.items():
        if stores.fullmatch(mnemonic):
            assert not written[half] or words[half] == e.UNIMP, mnemonic
        else:
            assert written[half] == 1 << NUMBERS[operands[0]] & ~1, (half, mnemonic, operands)


_LEADS: dict[str, Callable[[list[str]], tuple[Flow, int | None]]] = {
    "j": lambda operands: (Flow.JUMP, _number(operands[0])),
    "jal": lambda operands: (Flow.CALL, _number(operands[0])),
    "beqz": lambda operands: (Flow.BRANCH, _number(operands[1])),
    "bnez": lambda operands: (Flow.BRANCH, _number(operands[1])),
    "jr": lambda operands: (Flow.STOP if operands[0] in ("ra", "t0") else Flow.INDIRECT, None),
    "jalr": lambda _: (Flow.CALL, None),
    "ebreak": lambda _: (Flow.TRAP, None),
}


def test_where_they_lead(bits: int, known: dict[int, tuple[str, list[str]]]) -> None:
    base = 1 << 20
    # Each in a stretch of its own, far enough from the others.
    halves = np.arange(1 << 16, dtype="<u2")
    start = base + 2 * halves.astype(np.uint64)
    short = (halves & 3 != 3) & (halves != 0)
    code = Code(halves.view(np.uint8), base)
    steps = read_riscv(code, Ranges(start[short], start[short] + 2), bits=bits, pushes=False)
    place = ((steps.start - np.uint64(base)) // np.uint64(2)).tolist()
    found = {
        half: (Flow(flow), target - base - 2 * half if target else None)
        for half, flow, target in zip(
            place, steps.flow.tolist(), steps.target.tolist(), strict=True
        )
        if flow
    }
    expected = {
        half: _LEADS[mnemonic](operands)
        for half, (mnemonic, operands) in known.items()
        if mnemonic in _LEADS
    }
    # What capstone does not know is a jump to the address in register 0.
    assert {half: one for half, one in found.items() if half in known} == expected
    assert NOTHING not in expected
