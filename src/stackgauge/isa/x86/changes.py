"""Which registers x86-64 instructions change, each by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.x86.effects import Writes
from stackgauge.isa.x86.fields import Fields

RSP = 4

# Of vector instructions nothing is told but that the stack pointer is not theirs.
_EVERYTHING = np.uint32(0xFFFF & ~(1 << RSP))
# What a caller must expect to be changed (System V ABI, AMD64 supplement, figure 3.4).
_CLOBBERED = sum(1 << register for register in (0, 1, 2, 6, 7, 8, 9, 10, 11))

_NOTHING = np.uint32(0)


def changed_registers(fields: Fields) -> NDArray[np.uint32]:
    """The registers that each instruction changes, a bit each."""
    byte, group, said = fields.byte, fields.group, fields.writes.copy()
    said[_only_looks(fields)] &= 0xFF ^ Writes.RM
    written = fields.fixed.copy()
    by_operand = (said & Writes.RM != 0) & ~fields.memory
    written |= np.where(by_operand, _bit(fields, fields.rm), _NOTHING)
    written |= np.where(said & Writes.REG != 0, _bit(fields, fields.reg), _NOTHING)
    number = ((byte & 7) + ((fields.rex & 1) << 3)).astype(np.int8)
    written |= np.where(said & Writes.OPCODE != 0, _bit(fields, number), _NOTHING)
    written[fields.ones(0x90) & (fields.rex & 1 == 0)] = 0
    written[fields.ones(0xF6, 0xF7) & (group >= 4)] |= np.uint32(0b101)
    # Of group 7: nothing where an operand is in memory, nor by SWAPGS, STAC, CLAC, WRPKRU.
    quiet = np.zeros(256, bool)
    quiet[[0xCA, 0xCB, 0xE8, 0xEF, 0xF8]] = True
    written[fields.twos(0x01) & (fields.memory | quiet[fields.modrm])] = 0
    # Of group 9: CMPXCHG8B alone changes RAX and RDX.
    other = fields.twos(0xC7) & (group != 1)
    written[other] = np.where(fields.memory, _NOTHING, _bit(fields, fields.rm))[other]
    written[fields.vector] = _EVERYTHING
    written[fields.ones(0xE8) | fields.ones(0xFF) & (group == 2)] |= np.uint32(_CLOBBERED)
    return written


def _only_looks(fields: Fields) -> NDArray[np.bool_]:
    """Which members of groups leave their operand as it is."""
    group = fields.group
    looks: NDArray[np.bool_] = fields.ones(0x80, 0x81, 0x83) & (group == 7)
    looks |= fields.ones(0xF6, 0xF7) & (group != 2) & (group != 3)
    looks |= fields.ones(0xFE, 0xFF) & (group > 1)
    looks |= fields.twos(0xBA) & (group == 4)
    # NOPs and fences, where F3 does not stand in front of them.
    looks |= fields.twos(0x1E, 0xAE) & ~fields.repeat
    return looks


def _bit(fields: Fields, register: NDArray[np.int8]) -> NDArray[np.uint32]:
    """A bit for each register; of byte operands without REX, 4 to 7 are parts of 0 to 3."""
    part = (fields.writes & Writes.BYTE != 0) & (fields.rex == 0) & (register >= 4)
    number = np.where(part, register & 3, register).astype(np.uint32)
    bit: NDArray[np.uint32] = np.uint32(1) << number
    return bit
