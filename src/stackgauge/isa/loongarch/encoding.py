"""Fields of LoongArch instructions, and which register each one writes.

Source: LoongArch Reference Manual, volume 1 (Basic Architecture, 1.10), appendix B ("Table of
Instruction Encoding"); for vectors and binary translation, whose volumes are not public,
binutils' opcodes/loongarch-opc.c.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.words import Words

RA, SP, FRAME_POINTER = 1, 3, 22

# What the stack pointer is a multiple of.
ALIGNMENT = 16

ADD_D, SUB_D, AND, OR = 0x00108000, 0x00118000, 0x00148000, 0x00150000
BSTRINS_D, ADDI_D, ADDU16I_D = 0x00800000, 0x02C00000, 0x10000000
ERTN, NOP = 0x06483800, 0x03400000

# By the six highest bits.
BEQZ, BCEQZ, JIRL, B, BL, BEQ, BGE, BGEU = 0x10, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1B

# By the upper half: BREAK, SYSCALL; each has two, by its highest bit of code.
BREAK, SYSCALL = 0x2A, 0x2B
_MOVE_TO_FROM_FPR, _RDTIME, _IOCSR = 0x0114, 0x0000, 0x0648

# LoongArch ABIs: a call preserves $tp, $sp, $r21, $fp and $s0 to $s8.
_BY_CALL = np.uint32(sum(1 << register for register in (1, *range(4, 21))))


def field(words: Words, low: int, width: int) -> Words:
    """The unsigned field of ``width`` bits from bit ``low``."""
    return words >> np.uint32(low) & np.uint32((1 << width) - 1)


def signed_field(words: Words, low: int, width: int) -> NDArray[np.int64]:
    """The two's complement field of ``width`` bits from bit ``low``."""
    shifted = (words << np.uint32(32 - low - width)).view(np.int32)
    return (shifted >> np.int32(32 - width)).astype(np.int64)


def rd(words: Words) -> Words:
    """The destination, as a rule."""
    return field(words, 0, 5)


def rj(words: Words) -> Words:
    """The first source."""
    return field(words, 5, 5)


def rk(words: Words) -> Words:
    """The second source."""
    return field(words, 10, 5)


@cache
def writes_rd() -> NDArray[np.bool_]:
    """By the upper half of an instruction, whether it may write its rd; 65,536 bytes."""
    writes = np.zeros(1 << 16, bool)
    # First and last upper half of each group that does, in the order of the encodings.
    for first, last in (
        (0x0000, 0x0000),  # counts of bits, byte swaps, RDTIME, CPUCFG
        (0x0004, 0x0029),  # three registers; before it the assertions, after it BREAK
        (0x002C, 0x002F),  # ALSL.D
        (0x0040, 0x00FF),  # shifts, bit strings
        (_MOVE_TO_FROM_FPR, _MOVE_TO_FROM_FPR),
        (0x0200, 0x05FF),  # immediates, CSRs
        (0x0640, 0x0643),  # LDDIR
        (_IOCSR, _IOCSR),
        (0x1000, 0x23FF),  # upper immediates, LL and SC
        (0x2400, 0x24FF),  # LDPTR.W
        (0x2600, 0x26FF),  # LDPTR.D
        (0x2800, 0x28FF),  # loads
        (0x2A00, 0x2ABF),  # unsigned loads
        (0x3800, 0x380F),  # indexed loads
        (0x3820, 0x382B),
        (0x3857, 0x386F),  # LLACQ, SCREL, SC.Q, atomics
        (0x3878, 0x387B),  # checked loads
        (JIRL << 10, JIRL << 10 | 0x3FF),
        (0x72EF, 0x72EF),  # VPICKVE2GR, XVPICKVE2GR
        (0x72F3, 0x72F3),
        (0x76EF, 0x76EF),
        (0x76F3, 0x76F3),
    ):
        writes[first : last + 1] = True
    return writes


def written_registers(words: Words) -> NDArray[np.uint32]:
    """The set of registers that each instruction writes, bit r for register r."""
    upper = words >> np.uint32(16)
    low = field(words, 10, 6)
    writes = writes_rd()[upper]
    # MOVFR2GR, MOVFRH2GR, MOVFCSR2GR, MOVCF2GR, of all moves from, to and between others.
    writes &= (upper != _MOVE_TO_FROM_FPR) | np.isin(low, (0x2D, 0x2E, 0x2F, 0x32, 0x37))
    writes &= (upper != _IOCSR) | (low < 4)  # IOCSRRD
    found = np.where(writes, np.uint32(1) << rd(words), np.uint32(0))
    times = (upper == _RDTIME) & (low >= 0x18) & (low <= 0x1A)
    found[times] |= np.uint32(1) << rj(words[times])
    code = words >> np.uint32(26)
    calls = (code == BL) | (code == JIRL) & (rd(words) != 0) | (upper == SYSCALL)
    found[calls] |= _BY_CALL
    return found & ~np.uint32(1)
