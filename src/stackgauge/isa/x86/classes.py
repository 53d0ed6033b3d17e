"""Which instructions matter to the stack, by their first two bytes.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (each instruction's
page). Those that are read alike are one class. Most of what a class matters for can be told from
the opcode and the ModRM byte; with a REX prefix before them these say only what may matter, since
the registers' numbers lack their highest bit.
"""

from __future__ import annotations

from enum import IntEnum, auto
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Effect, Flow
from stackgauge.isa.x86.opcodes import LEGACY_PREFIXES

RSP = 4


class Class(IntEnum):
    """Instructions that are read alike."""

    BORING = 0
    PREFIX = auto()
    PUSH = auto()
    POP_REGISTER = auto()
    POP = auto()
    PUSH_ALL = auto()
    POP_ALL = auto()
    ARITHMETIC_IMM8 = auto()
    ARITHMETIC_IMM32 = auto()
    ARITHMETIC_TO_RM = auto()
    ARITHMETIC_TO_REGISTER = auto()
    MOV_TO_RM = auto()
    MOV_TO_REGISTER = auto()
    LEA = auto()
    OVERWRITE = auto()
    XCHG_RM = auto()
    LEAVE = auto()
    CALL_RM = auto()
    JUMP_RM = auto()
    RETURN = auto()
    IRET = auto()
    TRAP = auto()
    CALL = auto()
    JUMP = auto()
    JUMP_SHORT = auto()
    BRANCH = auto()
    BRANCH_SHORT = auto()


# What classes do whatever their operands are. Effects: the words that they pop.
WORDS = {
    Class.PUSH: -1,
    Class.POP: 1,
    Class.POP_REGISTER: 1,
    Class.PUSH_ALL: -8,
    Class.POP_ALL: 8,
}
FLOWS = {
    Class.CALL_RM: Flow.CALL,
    Class.JUMP_RM: Flow.INDIRECT,
    Class.RETURN: Flow.STOP,
    Class.IRET: Flow.TRAP,
    Class.TRAP: Flow.TRAP,
    Class.CALL: Flow.CALL,
    Class.JUMP: Flow.JUMP,
    Class.JUMP_SHORT: Flow.JUMP,
    Class.BRANCH: Flow.BRANCH,
    Class.BRANCH_SHORT: Flow.BRANCH,
}
# How many bytes at their end say how far off their target is.
DISTANCES = {
    Class.CALL: 4,
    Class.JUMP: 4,
    Class.BRANCH: 4,
    Class.JUMP_SHORT: 1,
    Class.BRANCH_SHORT: 1,
}
EFFECTS = {
    **dict.fromkeys((*WORDS, Class.IRET), Effect.ADD),
    Class.OVERWRITE: Effect.LOST,
}

_ONE_BYTE = {
    **dict.fromkeys((*range(0x50, 0x58), 0x68, 0x6A, 0x9C), Class.PUSH),
    **dict.fromkeys(range(0x58, 0x60), Class.POP_REGISTER),
    0x9D: Class.POP,
    **dict.fromkeys((0xBC, 0x94, 0xC8), Class.OVERWRITE),  # MOV of a number, XCHG, ENTER
    0xC9: Class.LEAVE,
    **dict.fromkeys((0xC2, 0xC3, 0xCA, 0xCB), Class.RETURN),
    0xCF: Class.IRET,
    0xCC: Class.TRAP,
    0xE8: Class.CALL,
    0xE9: Class.JUMP,
    0xEB: Class.JUMP_SHORT,
    **dict.fromkeys((*range(0x70, 0x80), *range(0xE0, 0xE4)), Class.BRANCH_SHORT),
}
_ONE_BYTE_32 = {
    **dict.fromkeys((0x06, 0x0E, 0x16, 0x1E), Class.PUSH),
    **dict.fromkeys((0x07, 0x17, 0x1F), Class.POP),
    0x60: Class.PUSH_ALL,
    0x61: Class.POP_ALL,
}
# After 0F. SYSRET and SYSEXIT leave the kernel; UD2, UD1 and UD0 trap.
_TWO_BYTE = {
    **dict.fromkeys(range(0x80, 0x90), Class.BRANCH),
    **dict.fromkeys((0xA0, 0xA8), Class.PUSH),
    **dict.fromkeys((0xA1, 0xA9), Class.POP),
    **dict.fromkeys((0x07, 0x35), Class.RETURN),
    **dict.fromkeys((0x0B, 0xB9, 0xFF), Class.TRAP),
}


def _by_modrm() -> list[tuple[Class, range | tuple[int, ...], NDArray[np.bool_]]]:
    """Opcodes that matter only with some ModRM bytes, as (class, opcodes, mask of 256)."""
    modrm = np.arange(256)
    mod, reg, rm = modrm >> 6, modrm >> 3 & 7, modrm & 7
    # Of the stack pointer itself; at LEA and XCHG and in ``into`` as the register operand.
    itself, into = (mod == 3) & (rm == RSP), reg == RSP
    return [
        # CMP (7) only looks.
        (Class.ARITHMETIC_IMM8, (0x83,), itself & (reg != 7)),
        (Class.ARITHMETIC_IMM32, (0x81,), itself & (reg != 7)),
        (Class.ARITHMETIC_TO_RM, range(0x01, 0x39, 8), itself),
        (Class.ARITHMETIC_TO_REGISTER, range(0x03, 0x3B, 8), into),
        (Class.MOV_TO_RM, (0x89,), itself | into & (mod == 3)),
        (Class.MOV_TO_REGISTER, (0x8B,), itself | into),
        (Class.LEA, (0x8D,), into | (rm == RSP)),
        (Class.OVERWRITE, (0xC7,), itself & (reg == 0)),
        (Class.XCHG_RM, (0x87,), itself | into),
        (Class.POP, (0x8F,), reg == 0),
        (Class.CALL_RM, (0xFF,), (reg == 2) | (reg == 3)),
        (Class.JUMP_RM, (0xFF,), (reg == 4) | (reg == 5)),
        (Class.PUSH, (0xFF,), reg == 6),
    ]


@cache
def class_table(bits: int) -> NDArray[np.uint8]:
    """Class by an instruction's first two bytes, at ``first + 256 * second``."""
    table = np.zeros((256, 256), np.uint8)
    for opcode, kind in (_ONE_BYTE | _ONE_BYTE_32 if bits == 32 else _ONE_BYTE).items():
        table[:, opcode] = kind
    for opcode, kind in _TWO_BYTE.items():
        table[opcode, 0x0F] = kind
    for kind, opcodes, matters in _by_modrm():
        for opcode in opcodes:
            table[matters, opcode] = kind
    table[:, list(LEGACY_PREFIXES)] = Class.PREFIX
    return table.reshape(-1)
