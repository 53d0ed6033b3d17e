"""Compressed RISC-V instructions, as the instructions of 32 bits that do the same.

Source: The RISC-V Instruction Set Manual, volume I, chapters "C" Standard Extension (its tables of
the three quadrants), Zcb, Zcmop and Zcmp.
"""

from __future__ import annotations

import numpy as np

from stackgauge.isa.riscv import encoding as e
from stackgauge.isa.riscv.encoding import field
from stackgauge.isa.words import Words

# What does nothing that matters: stores, and what works on floating-point registers.
NOTHING = 0x00000013

# Bits 8 to 15 of CM.PUSH, CM.POP, CM.POPRETZ and CM.POPRET.
PUSH, POP, POPRETZ, POPRET = 0xB8, 0xBA, 0xBC, 0xBE
_MOVES = (PUSH, POP, POPRETZ, POPRET)


def stack_adjustment(words: Words, bits: int) -> Words:
    """How many bytes CM.PUSH and the like move the stack pointer by (Zcmp, "stack_adj")."""
    registers = np.maximum(field(words, 4, 4), 4) - np.uint32(3)  # ra, s0, s1, ...
    # The list of 15 has s10 and s11.
    registers += field(words, 4, 4) == 15
    saved = registers * np.uint32(bits // 8)
    adjustment: Words = (saved + np.uint32(15) & ~np.uint32(15)) + field(words, 2, 2) * np.uint32(
        16
    )
    return adjustment


def expanded(words: Words, bits: int, pushes: bool) -> Words:
    """Instructions as instructions of 32 bits, but for branches and jumps.

    Args:
        words: uint32; of a compressed one the lower half counts.
        bits: 32 or 64.
        pushes: whether Zcmp's instructions stand where others have C.FSDSP.

    Returns:
        Those of 32 bits are as they were. Of a compressed load, only its width and its registers
        are right; a branch or jump has become NOTHING.
    """
    short = np.flatnonzero(words & np.uint32(3) != 3)
    out = words.copy()
    out[short] = _expanded(words[short] & np.uint32(0xFFFF), bits, pushes)
    return out


def _expanded(half: Words, bits: int, pushes: bool) -> Words:
    out = np.full(len(half), NOTHING, np.uint32)
    kind = half & np.uint32(3) | half >> np.uint32(11) & np.uint32(0x1C)  # funct3, quadrant
    rd = field(half, 7, 5)
    low, high = field(half, 2, 3) + np.uint32(8), field(half, 7, 3) + np.uint32(8)
    second = field(half, 2, 5)
    # The immediate of most: bit 12 is its sign.
    immediate = second | (np.uint32(0) - field(half, 12, 1)) << np.uint32(5)
    wide = bits == 64

    def put(quadrant: int, funct3: int, words: Words, when: Words | bool = True) -> None:
        chosen = (kind == quadrant + 4 * funct3) & when
        out[chosen] = words[chosen]

    offset = (
        field(half, 6, 1) << np.uint32(2)
        | field(half, 5, 1) << np.uint32(3)
        | field(half, 11, 2) << np.uint32(4)
        | field(half, 7, 4) << np.uint32(6)
    )
    put(0, 0, e.immediate_form(e.OP_IMM, 0, low, np.uint32(e.SP), offset), offset != 0)
    put(0, 0, np.full(len(half), e.UNIMP, np.uint32), half == 0)
    put(0, 2, e.immediate_form(e.LOAD, 2, low, high, 0))
    put(0, 3, e.immediate_form(e.LOAD, 3, low, high, 0), wide)
    halves = field(half, 10, 3)
    put(0, 4, e.immediate_form(e.LOAD, 4, low, high, 0), halves == 0)
    put(0, 4, e.immediate_form(e.LOAD, 5, low, high, 0), (halves == 1) & (half >> 6 & 1 == 0))
    put(0, 4, e.immediate_form(e.LOAD, 1, low, high, 0), (halves == 1) & (half >> 6 & 1 == 1))
    put(1, 0, e.immediate_form(e.OP_IMM, 0, rd, rd, immediate))
    put(1, 1, e.immediate_form(e.OP_IMM_32, 0, rd, rd, immediate), wide & (rd != 0))
    put(1, 2, e.immediate_form(e.OP_IMM, 0, rd, np.uint32(0), immediate))
    put(1, 3, immediate << np.uint32(12) | rd << np.uint32(7) | np.uint32(e.LUI), immediate != 0)
    offset = (
        field(half, 6, 1) << np.uint32(4)
        | field(half, 2, 1) << np.uint32(5)
        | field(half, 5, 1) << np.uint32(6)
        | field(half, 3, 2) << np.uint32(7)
        | (np.uint32(0) - field(half, 12, 1)) << np.uint32(9)
    )
    put(1, 3, e.immediate_form(e.OP_IMM, 0, rd, rd, offset), rd == e.SP)
    group, shift = field(half, 10, 2), second | field(half, 12, 1) << np.uint32(5)
    put(1, 4, e.immediate_form(e.OP_IMM, 5, high, high, shift), group == 0)
    put(1, 4, e.immediate_form(e.OP_IMM, 5, high, high, shift | np.uint32(0x400)), group == 1)
    put(1, 4, e.immediate_form(e.OP_IMM, 7, high, high, immediate), group == 2)
    # C.SUB, C.XOR, C.OR, C.AND; with bit 12 C.SUBW, C.ADDW, and Zcb's, of which only rd counts.
    arithmetic = (group == 3) & (half >> np.uint32(12) & 1 == 0)
    put(1, 4, e.register_form(e.OP_32, 1, high, high, low), group == 3)
    for which, (funct3, more) in enumerate(((0, 0x20), (4, 0), (6, 0), (7, 0))):
        chosen = arithmetic & (field(half, 5, 2) == which)
        put(1, 4, e.register_form(e.OP, funct3, high, high, low, more), chosen)
    put(2, 0, e.immediate_form(e.OP_IMM, 1, rd, rd, shift))
    put(2, 2, e.immediate_form(e.LOAD, 2, rd, np.uint32(e.SP), 0))
    put(2, 3, e.immediate_form(e.LOAD, 3, rd, np.uint32(e.SP), 0), wide)
    adds = half >> np.uint32(12) & 1 == 1
    put(2, 4, e.immediate_form(e.OP_IMM, 0, rd, second, 0), ~adds & (second != 0))
    put(2, 4, e.register_form(e.OP, 0, rd, rd, second), adds & (second != 0))
    if pushes:
        code, number = half >> np.uint32(8), stack_adjustment(half, bits)
        sp = np.uint32(e.SP)
        put(2, 5, e.immediate_form(e.OP_IMM, 0, sp, sp, np.uint32(0) - number), code == PUSH)
        put(2, 5, e.immediate_form(e.OP_IMM, 0, sp, sp, number), np.isin(code, _MOVES[1:]))
    return out
