"""Finding the instructions that matter to the stack in a whole text at once.

Source: Arm Architecture Reference Manual (DDI 0406C), A5.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm.encoding import FP, FP_THUMB, PC, SP, Words, matches
from stackgauge.isa.words import Indices

# Why an instruction may matter: whatever its lower half is, or by what stands there: the PC or SP
# as Rd, SP or the frame pointer as Rd, PC or SP in a list, the frame pointer as Rd and SP as Rm, a
# load or store of a halfword or two words, a branch to a register, a trap, ERET.
_WHOLE, _TO_SP, _TO_PC, _TO_FRAME, _LIST, _FROM_SP, _EXTRA, _BRANCH, _TRAP, _ERET = (
    1 << place for place in range(10)
)


@cache
def _by_half(frame: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Where an instruction's upper and lower half have a bit in common, it may matter.

    131,072 bytes each.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    upper, lower = _upper(half), _lower(half, frame)
    return upper.astype(np.uint16), lower.astype(np.uint16)


def _upper(half: Words) -> Words:
    on_sp = half & np.uint32(15) == SP
    moves_sp = on_sp & ~matches(half, 0x0120, 0x0100)
    conditional = half < 0xF000
    found = np.zeros(1 << 16, np.uint32)
    for why, which in (
        (_WHOLE, matches(half, 0x0E00, 0x0A00)),  # B, BL, BLX
        (_WHOLE, matches(half, 0x0E2F, 0x0820 | SP)),  # LDM and STM that move SP
        (_WHOLE, matches(half, 0x0C00, 0x0400) & moves_sp),  # LDR and STR that do
        (_WHOLE, matches(half, 0x0E2F, 0x0C20 | SP)),  # VLDM and VSTM that do
        (_WHOLE, matches(half, 0xFF1F, 0xF400 | SP)),  # VLD1 and the like, which may
        (_WHOLE, matches(half, 0xFE50, 0xF810) | matches(half, 0xFE5F, 0xF84D)),  # RFE, SRS
        (_EXTRA, matches(half, 0x0E00, 0) & moves_sp),
        (_TO_FRAME, matches(half, 0x0FCF, 0x0240 | SP) | matches(half, 0x0FEF, 0x0280 | SP)),
        (_FROM_SP, matches(half, 0x0FEF, 0x01A0)),  # MOV
        (_LIST, matches(half, 0x0E10, 0x0810)),  # LDM
        (_TO_SP | _TO_PC, matches(half, 0x0C00, 0) & ~matches(half, 0x0190, 0x0110)),
        (_TO_SP | _TO_PC, matches(half, 0x0C10, 0x0410)),  # LDR
        (_TO_SP, matches(half, 0x0E00, 0x0600)),  # media
        (_TO_SP, matches(half, 0x0F10, 0x0E10) | matches(half, 0x0FF0, 0x0C50)),  # MRC, MRRC
        (_BRANCH | _TRAP, matches(half, 0x0FF0, 0x0120)),  # BX, BLX, BKPT
        (_TRAP, matches(half, 0x0FF0, 0x07F0)),  # UDF
        (_ERET, matches(half, 0x0FFF, 0x0160)),
    ):
        found[which & (conditional | (why == _WHOLE))] |= np.uint32(why)
    return found


def _lower(half: Words, frame: int) -> Words:
    into = half >> np.uint32(12)
    found = np.full(1 << 16, _WHOLE, np.uint32)
    for why, which in (
        (_TO_SP, into == SP),
        (_TO_PC, into == PC),
        (_TO_FRAME, (into == frame) | (into == SP)),
        (_LIST, half & np.uint32(1 << PC | 1 << SP) != 0),
        (_FROM_SP, matches(half, 0x0FFF, SP) & (into == frame)),
        (_EXTRA, matches(half, 0x0090, 0x0090) & (half & np.uint32(0x60) != 0)),
        (_BRANCH, (half >= 0xFF10) & (half <= 0xFF3F)),
        (_TRAP, matches(half, 0x00F0, 0x0070) | matches(half, 0x00F0, 0x00F0)),
        (_ERET, half == 0x006E),
    ):
        found[which] |= np.uint32(why)
    return found


def candidates(words: Words, inside: NDArray[np.bool_], thumb: bool) -> Indices:
    """Indices of the words that may matter, ascending; some do not.

    Args:
        words: instructions, as A32 words.
        inside: which to look at.
        thumb: whether this is Thumb code, whose frame pointer is another register.
    """
    upper, lower = _by_half(FP_THUMB if thumb else FP)
    halves = words.astype("<u4", copy=False).view("<u2")
    found = upper.take(halves[1::2])
    found &= lower.take(halves[0::2])
    found *= inside
    return np.flatnonzero(found)
