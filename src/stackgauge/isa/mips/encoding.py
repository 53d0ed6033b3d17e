"""Fields of MIPS instructions, and which register each one writes.

Source: MIPS Architecture for Programmers, volumes I-A and II-A (MD00083 and MD00087 for release 5
and before and for release 6), tables A.2 to A.10 of volume II-A ("Encoding of the Opcode Field"
and after).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

AT, SP, FRAME_POINTER, RA = 1, 29, 30, 31

# Opcodes that other tables divide further.
SPECIAL, REGIMM, COP0, COP1, COP2, SPECIAL2, SPECIAL3 = 0, 1, 16, 17, 18, 28, 31

# SPECIAL and SPECIAL3 functions.
JR, JALR, BREAK, TEQ, AND = 0x08, 0x09, 0x0D, 0x34, 0x24
ADDU, SUBU, OR, DADDU, DSUBU = 0x21, 0x23, 0x25, 0x2D, 0x2F
INS, DINS = 0x04, 0x07

# What is a move of rs where rt is $0, and the other way around.
SUMS = (ADDU, DADDU, OR)


class Dialect(IntEnum):
    """Which instructions the codes stand for that differ between processors."""

    CLASSIC = 0
    """Up to release 5."""
    OCTEON = 1
    """Cavium's: branches on a bit in place of the loads and stores of coprocessor 2."""
    RELEASE_6 = 2
    """Branches without a delay slot in place of many others."""


def field(words: Words, low: int, width: int) -> Words:
    """The unsigned field of ``width`` bits from bit ``low``."""
    return words >> np.uint32(low) & np.uint32((1 << width) - 1)


def signed_field(words: Words, width: int) -> NDArray[np.int64]:
    """The two's complement field of the ``width`` lowest bits."""
    shifted = (words << np.uint32(32 - width)).astype(np.uint32).view(np.int32)
    return (shifted >> np.int32(32 - width)).astype(np.int64)


def op(words: Words) -> Words:
    """The opcode."""
    return words >> np.uint32(26)


def rs(words: Words) -> Words:
    """The first source, as a rule."""
    return field(words, 21, 5)


def rt(words: Words) -> Words:
    """The second source, or the destination of an instruction with an immediate."""
    return field(words, 16, 5)


def rd(words: Words) -> Words:
    """The destination of an instruction without an immediate."""
    return field(words, 11, 5)


def flags(size: int, *members: int | range) -> NDArray[np.bool_]:
    """A table in which these are set."""
    table = np.zeros(size, bool)
    for member in members:
        table[list(member) if isinstance(member, range) else member] = True
    return table


# Immediate arithmetic (8 to 15, 24, 25), loads (26, 27, 32 to 39, 48, 52, 55), conditional stores
# (56, 60).
_IMMEDIATE = range(8, 16)
WRITES_RT = flags(64, _IMMEDIATE, range(24, 28), range(32, 40), 48, 52, 55, 56, 60)
# By rs, of coprocessors: MFC, DMFC, CFC, MFHC; MFMC0 of COP0 alone.
MOVES_TO_RT = flags(32, 0, 1, 2, 3)
_MFMC0, RDPGPR = 11, 10

# By function. SPECIAL: not JR, SYSCALL, BREAK, SYNC and the traps, whose rd is a part of a code.
SPECIAL_RD = ~flags(64, JR, 0x0C, BREAK, 0x0F, range(0x30, 0x35), 0x36)
# Octeon's SEQI, SNEI, CINS and EXTS have rt, all others rd, which is 0 where nothing is written.
SPECIAL2_RT = flags(64, 0x2E, 0x2F, 0x32, 0x33, 0x3A, 0x3B)
# EXT and INS and their kin; loads with EVA; SC, LL and their kin of release 6; RDHWR.
SPECIAL3_RT = flags(
    64, range(0x08), range(0x19, 0x20), range(0x26, 0x30), 0x36, 0x37, 0x3B
)  # fmt: skip

# MIPS ABIs: a call preserves $s0 to $s7, $gp, $sp and $fp; $k0 and $k1 are the exceptions'.
_PRESERVED = sum(1 << register for register in (*range(16, 24), 28, SP, FRAME_POINTER))
BY_CALL = np.uint32((1 << 32) - 2 & ~_PRESERVED)


def destination(words: Words, dialect: Dialect) -> NDArray[np.uint8]:
    """The general register that each instruction writes, 0 for none, calls' others left out."""
    code, function = op(words), field(words, 0, 6)
    to_rt = WRITES_RT[code]
    to_rd = (code == SPECIAL) & SPECIAL_RD[function]
    extra = np.flatnonzero(
        (code >= COP0) & (code <= COP2) | (code == SPECIAL2) | (code == SPECIAL3)
    )
    if len(extra):
        kind, low, first = code[extra], function[extra], rs(words[extra])
        moves = (kind <= COP2) & MOVES_TO_RT[first] | (kind == COP0) & (first == _MFMC0)
        moves |= (kind == SPECIAL2) & SPECIAL2_RT[low] | (kind == SPECIAL3) & SPECIAL3_RT[low]
        to_rt[extra] = moves
        to_rd[extra] = ~moves & ((kind >= SPECIAL2) | (kind == COP0) & (first == RDPGPR))
    if dialect is Dialect.RELEASE_6:
        # ADDI and DADDI became branches, JALX became DAUI.
        to_rt = to_rt & (code != 8) & (code != 24) | (code == 29)
    result = np.where(to_rt, rt(words), np.where(to_rd, rd(words), 0)).astype(np.uint8)
    linked = (code == 3) | (code == REGIMM) & (rt(words) >> np.uint32(2) == 4)
    result[linked] = RA
    return result


def written_registers(words: Words, dialect: Dialect) -> NDArray[np.uint32]:
    """The set of registers that each instruction writes, bit r for register r."""
    target = destination(words, dialect)
    found = np.uint32(1) << target.astype(np.uint32)
    called = (target == RA) & np.isin(op(words), (3, REGIMM, SPECIAL))
    called |= (op(words) == SPECIAL) & (field(words, 0, 6) == JALR)
    called |= (op(words) == SPECIAL) & (field(words, 0, 6) == 0x0C)  # SYSCALL
    if dialect is Dialect.RELEASE_6:
        called |= np.isin(op(words), (6, 7, 8, 24, 58, 62))
    found[called] |= BY_CALL
    return found & ~np.uint32(1)
