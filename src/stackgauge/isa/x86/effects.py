"""Which general registers each x86-64 instruction changes, by its opcode.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (each instruction's
page). What is not sure to leave a register alone counts as changing it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = (1 << number for number in range(8))


class Writes:
    """How an opcode says what it changes."""

    NONE = 0
    MODRM = 1
    """A ModRM byte follows."""
    RM = 2
    """The operand of ModRM.rm, where that is a register."""
    REG = 4
    """The register of ModRM.reg."""
    OPCODE = 8
    """The register in the opcode's lowest bits."""
    BYTE = 16
    """Operands are bytes: without REX, registers 4 to 7 are parts of 0 to 3."""


def _fill(table: NDArray[np.uint8], opcodes: slice | list[int], writes: int) -> None:
    table[opcodes] |= writes


@cache
def write_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Writes, and the registers that are changed by name in no operand; by map and opcode.

    Maps: one-byte opcodes, those after 0F, those after 0F 38, those after 0F 3A; shape (1024,).
    Of groups that ModRM.reg divides, the sum: ``operands`` takes away what only looks.
    """
    writes, fixed = np.zeros((4, 256), np.uint8), np.zeros((4, 256), np.uint32)
    _one_byte(writes[0], fixed[0])
    _two_byte(writes[1], fixed[1])
    # 0F 38: BMI, CRC32, MOVBE; the rest is of vectors. 0F 3A: PEXTR and EXTRACTPS write to rm.
    writes[2:] |= Writes.MODRM
    writes[2, 0xF0:] |= Writes.REG
    writes[2, 0x80:0x84] = Writes.MODRM
    writes[3, 0x14:0x18] |= Writes.RM
    fixed[3, 0x60:0x64] = RCX
    return writes.reshape(-1), fixed.reshape(-1)


def _one_byte(writes: NDArray[np.uint8], fixed: NDArray[np.uint32]) -> None:
    for row in range(0, 0x40, 8):
        _fill(writes, slice(row, row + 4), Writes.MODRM)
        if row != 0x38:  # CMP only looks
            writes[row] |= Writes.RM | Writes.BYTE
            writes[row + 1] |= Writes.RM
            writes[row + 2] |= Writes.REG | Writes.BYTE
            writes[row + 3] |= Writes.REG
            fixed[[row + 4, row + 5]] = RAX
    _fill(writes, slice(0x58, 0x60), Writes.OPCODE)
    _fill(writes, [0x63, 0x69, 0x6B, 0x8B, 0x8D], Writes.MODRM | Writes.REG)
    _fill(writes, [0x8A], Writes.MODRM | Writes.REG | Writes.BYTE)
    _fill(writes, [0x81, 0x89, 0x8C, 0x8F, 0xC1, 0xC7, 0xD1, 0xD3, 0xF7], Writes.MODRM | Writes.RM)
    byte = [0x80, 0x88, 0xC0, 0xC6, 0xD0, 0xD2, 0xF6, 0xFE]
    _fill(writes, byte, Writes.MODRM | Writes.RM | Writes.BYTE)
    _fill(writes, [0x83, 0xFF], Writes.MODRM | Writes.RM)
    _fill(writes, [0x84, 0x85, 0x8E, *range(0xD8, 0xE0)], Writes.MODRM)
    _fill(writes, [0x86], Writes.MODRM | Writes.RM | Writes.REG | Writes.BYTE)
    _fill(writes, [0x87], Writes.MODRM | Writes.RM | Writes.REG)
    _fill(writes, slice(0x90, 0x98), Writes.OPCODE)
    fixed[0x90:0x98] = RAX
    _fill(writes, slice(0xB0, 0xB8), Writes.OPCODE | Writes.BYTE)
    _fill(writes, slice(0xB8, 0xC0), Writes.OPCODE)
    fixed[[0x98, 0x9F, 0xA0, 0xA1, 0xD7, 0xDF, 0xE4, 0xE5, 0xEC, 0xED]] = RAX
    fixed[0x99] = RDX
    fixed[[0x6C, 0x6D]] = RDI | RCX
    fixed[[0x6E, 0x6F]] = RSI | RCX
    fixed[[0xA4, 0xA5, 0xA6, 0xA7]] = RSI | RDI | RCX
    fixed[[0xAA, 0xAB, 0xAE, 0xAF]] = RDI | RCX
    fixed[[0xAC, 0xAD]] = RAX | RSI | RCX
    fixed[[0xC8, 0xC9]] = RBP
    fixed[0xE0:0xE3] = RCX


def _two_byte(writes: NDArray[np.uint8], fixed: NDArray[np.uint32]) -> None:
    bare = [5, 6, 7, 8, 9, 0x0B, 0x0E, 0x77, 0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA]
    with_modrm = np.ones(256, bool)
    with_modrm[bare] = with_modrm[0x30:0x38] = with_modrm[0x80:0x90] = with_modrm[0xC8:0xD0] = False
    writes[with_modrm] = Writes.MODRM
    _fill(writes, slice(0x40, 0x50), Writes.REG)
    reg = [2, 3, 0x2C, 0x2D, 0x50, 0xAF, 0xB2, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xBC, 0xBD, 0xBE]
    _fill(writes, [*reg, 0xBF, 0xC0, 0xC1, 0xC5, 0xD7], Writes.REG)
    rm = [0, 1, 0x20, 0x21, 0x7E, 0xA4, 0xA5, 0xAB, 0xAC, 0xAD, 0xB3, 0xBA, 0xBB, 0xC1, 0xC7]
    _fill(writes, [*rm, 0x78, 0xB1], Writes.RM)
    _fill(writes, [*range(0x90, 0xA0), 0xB0, 0xC0], Writes.RM | Writes.BYTE)
    _fill(writes, [0xAE, 0x1E], Writes.RM)  # RDFSBASE and its kin; RDSSP
    _fill(writes, slice(0xC8, 0xD0), Writes.OPCODE)
    fixed[0x05] = RCX | (1 << 11)
    fixed[[0x31, 0x32, 0x33]] = RAX | RDX
    fixed[0xA2] = RAX | RBX | RCX | RDX
    fixed[[0xB0, 0xB1]] = RAX
    # CMPXCHG8B; of group 7, RDTSCP, XGETBV and a hypervisor's answer.
    fixed[0xC7] = RAX | RDX
    fixed[0x01] = RAX | RBX | RCX | RDX
