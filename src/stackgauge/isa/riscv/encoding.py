"""Fields of RISC-V instructions, and which register each one writes.

Source: The RISC-V Instruction Set Manual, volume I, chapter "RV32/64G Instruction Set Listings",
and the chapters of the extensions; "RISC-V ABIs Specification", table of the integer registers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.words import Words

RA, SP, FRAME_POINTER = 1, 2, 8

# What routines return by that save registers for their caller and take the stack for them
# (-msave-restore), and parts of assembly.
ALTERNATE_LINK = 5

# What the stack pointer is a multiple of; but 4 in RV32E, and 8 in RV64E.
ALIGNMENT = 16

# By the seven lowest bits.
LOAD, OP_IMM, AUIPC, OP_IMM_32 = 0x03, 0x13, 0x17, 0x1B
OP, LUI, OP_32, BRANCH, JALR, JAL, SYSTEM = 0x33, 0x37, 0x3B, 0x63, 0x67, 0x6F, 0x73
_AMO, _OP_FP, _OP_V, _CUSTOM = 0x2F, 0x53, 0x57, (0x0B, 0x2B, 0x5B, 0x7B)

ECALL, EBREAK, UNIMP = 0x00000073, 0x00100073, 0xC0001073
# C.NOP, and NOP's two halves.
NOP_HALVES = (0x0001, 0x0013, 0x0000)
# SRET, MRET, MNRET, DRET.
RETURNS = (0x10200073, 0x30200073, 0x70200073, 0x7B200073)

_WRITES_RD = np.zeros(128, bool)
_WRITES_RD[
    [LOAD, OP_IMM, AUIPC, OP_IMM_32, OP, LUI, OP_32, JALR, JAL, SYSTEM, _AMO, _OP_FP, _OP_V]
] = True
_WRITES_RD[list(_CUSTOM)] = True

# A call preserves sp, gp, tp and s0 to s11.
_BY_CALL = np.uint32(sum(1 << one for one in (1, 5, 6, 7, *range(10, 18), *range(28, 32))))


def field(words: Words, low: int, width: int) -> Words:
    """The unsigned field of ``width`` bits from bit ``low``."""
    return words >> np.uint32(low) & np.uint32((1 << width) - 1)


def signed(number: Words, width: int) -> NDArray[np.int64]:
    """The two's complement numbers in the lowest ``width`` bits."""
    shift = np.int64(64 - width)
    result: NDArray[np.int64] = number.astype(np.int64) << shift >> shift
    return result


def op(words: Words) -> Words:
    """The opcode."""
    return words & np.uint32(0x7F)


def rd(words: Words) -> Words:
    """The destination."""
    return field(words, 7, 5)


def rs1(words: Words) -> Words:
    """The first source."""
    return field(words, 15, 5)


def immediate_form(
    opcode: int,
    funct3: int,
    into: Words | np.uint32,
    source: Words | np.uint32,
    number: Words | np.uint32 | int,
) -> Words:
    """Instructions of the I-type."""
    fields = np.uint32(opcode | funct3 << 12) | into << np.uint32(7) | source << np.uint32(15)
    return np.asarray(fields | np.asarray(number, np.uint32) << np.uint32(20))


def register_form(
    opcode: int, funct3: int, into: Words, first: Words, second: Words, funct7: int = 0
) -> Words:
    """Instructions of the R-type."""
    fixed = np.uint32(opcode | funct3 << 12 | funct7 << 25)
    words: Words = fixed | into << np.uint32(7) | first << np.uint32(15) | second << np.uint32(20)
    return words


def may_write_rd(words: Words) -> NDArray[np.bool_]:
    """Which instructions of 32 bits may write their rd, by their lower half alone."""
    writes: NDArray[np.bool_] = _WRITES_RD[op(words)]
    funct3 = field(words, 12, 3)
    # Of vectors, only those of the opcode that set the length or move to a general register.
    writes &= (op(words) != _OP_V) | (funct3 == 7) | (funct3 == 2) | (funct3 == 1)
    writes &= (op(words) != SYSTEM) | (funct3 != 0)
    return writes


def written_registers(words: Words) -> NDArray[np.uint32]:
    """The set of registers that each instruction of 32 bits writes, bit r for register r."""
    code = op(words)
    writes = may_write_rd(words)
    # FEQ and its kin, FCVT to a whole number, FMV.X and FCLASS have 101 or 110 or 111 x0 in
    # funct5; VMV.X.S, VCPOP, VFIRST and VFMV.F.S have funct6 16.
    top = field(words, 27, 5)
    writes &= (code != _OP_FP) | np.isin(top, (0x14, 0x18, 0x1C))
    writes &= (code != _OP_V) | (field(words, 12, 3) == 7) | (field(words, 26, 6) == 16)
    found = np.where(writes, np.uint32(1) << rd(words), np.uint32(0))
    jumps = (code == JAL) | (code == JALR)
    found[jumps & (rd(words) != 0) | (words == ECALL)] |= _BY_CALL
    found[jumps & (rd(words) == ALTERNATE_LINK)] |= np.uint32(1 << SP)
    return found & ~np.uint32(1)
