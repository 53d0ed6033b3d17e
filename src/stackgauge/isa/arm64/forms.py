"""The instructions that matter to the stack, and finding them in a whole text at once.

Source: Arm Architecture Reference Manual (DDI 0487), C4 for the encodings, C6 and C7 for the
instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64.encoding import SP, Words, matches
from stackgauge.isa.words import Indices

# Why an instruction of a form matters: it redirects the flow, it moves the stack pointer, or it
# does the latter where its Rn (BASE) or Rd (DESTINATION) is that.
FLOW, MOVE, BASE, DESTINATION = 1, 2, 4, 8


@dataclass(frozen=True)
class Form:
    """Instructions that are read alike: those with ``value`` in the bits of ``mask``."""

    mask: int
    value: int
    when: int

    def fits(self, word: int) -> bool:
        """Whether one instruction is of this form."""
        return word & self.mask == self.value


# Flow.
B = Form(0xFC000000, 0x14000000, FLOW)
BL = Form(0xFC000000, 0x94000000, FLOW)
B_COND = Form(0xFF000000, 0x54000000, FLOW)  # BC.cond too
CBZ = Form(0x7E000000, 0x34000000, FLOW)
TBZ = Form(0x7E000000, 0x36000000, FLOW)
CB_COND = Form(0x7E000000, 0x74000000, FLOW)  # FEAT_CMPBR: CB<cc>, CBB<cc>, CBH<cc>
BRANCH_REGISTER = Form(0xFE000000, 0xD6000000, FLOW)  # BR, BLR, RET, ERET, DRPS
RETURN_SPPC = Form(0xFFC0001F, 0x5500001F, FLOW)  # FEAT_PAuth_LR: RETAASPPC, RETABSPPC
BRK = Form(0xFFE0001F, 0xD4200000, FLOW)
UDF = Form(0xFFFF0000, 0x00000000, FLOW)

# A new stack pointer from a base register: Rd = Rn and something. Rd and Rn may be SP.
ADD_IMMEDIATE = Form(0xBF800000, 0x91000000, BASE | DESTINATION)  # and SUB
ADD_TAG = Form(0xBFC0C000, 0x91800000, BASE | DESTINATION)  # ADDG and SUBG
ADD_EXTENDED = Form(0xBFE00000, 0x8B200000, DESTINATION)  # and SUB
AND_IMMEDIATE = Form(0xFF800000, 0x92000000, DESTINATION)
ADD_VECTOR_LENGTH = Form(0xFFA0F000, 0x04205000, DESTINATION)  # ADDVL, ADDPL, ADDSVL, ADDSPL

# A base register that is moved by a load or store.
PAIR = Form(0x3A800000, 0x28800000, BASE)
SINGLE = Form(0x3B200400, 0x38000400, BASE)
AUTHENTICATED = Form(0xFF200C00, 0xF8200C00, BASE)  # LDRAA and LDRAB
TAGS = Form(0xFF200400, 0xD9200400, BASE)  # STG, ST2G, STZG, STZ2G
ORDERED = Form(0xBF20FC00, 0x99000800, BASE)  # FEAT_LRCPC3: STILP, LDIAPP, STLR, LDAPR
STRUCTURES = Form(0xBFA00000, 0x0C800000, BASE)  # LD1 to LD4, ST1 to ST4, multiple
STRUCTURE = Form(0xBF800000, 0x0D800000, BASE)  # the same, single

# A new stack pointer that is not followed: the result is of 32 bits, a bit pattern, or random.
UNFOLLOWED = (
    Form(0xBF800000, 0x11000000, DESTINATION),  # ADD and SUB, immediate, 32 bits
    Form(0xBFE00000, 0x0B200000, DESTINATION),  # ADD and SUB, extended register, 32 bits
    Form(0xFF800000, 0x12000000, DESTINATION),  # AND, immediate, 32 bits
    Form(0x7F800000, 0x32000000, DESTINATION),  # ORR, immediate
    Form(0x7F800000, 0x52000000, DESTINATION),  # EOR, immediate
    Form(0xFFE0FC00, 0x9AC01000, DESTINATION),  # IRG
    Form(0xBFE0E000, 0x9A002000, DESTINATION),  # FEAT_CPA: ADDPT and SUBPT
    Form(0xFFFFF0FF, 0xD50040BF, MOVE),  # MSR SPSel: another stack pointer is SP from here on
)

_FORMS = (
    B, BL, B_COND, CBZ, TBZ, CB_COND, BRANCH_REGISTER, RETURN_SPPC, BRK, UDF,
    ADD_IMMEDIATE, ADD_TAG, ADD_EXTENDED, AND_IMMEDIATE, ADD_VECTOR_LENGTH,
    PAIR, SINGLE, AUTHENTICATED, TAGS, ORDERED, STRUCTURES, STRUCTURE, *UNFOLLOWED,
)  # fmt: skip


@cache
def _by_half() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What an instruction's upper half says of when it matters, and what its lower half says.

    Rn and Rd lie in the lower half, so an instruction can matter where the two have a bit in
    common. 65,536 bytes each.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    upper = np.zeros(1 << 16, np.uint8)
    for form in _FORMS:
        mask = form.mask & 0xFFFF0000
        upper[matches(half << np.uint32(16), mask, form.value & mask)] |= form.when
    lower = np.full(1 << 16, FLOW | MOVE, np.uint8)
    lower[half >> np.uint32(5) & np.uint32(31) == SP] |= BASE
    lower[half & np.uint32(31) == SP] |= DESTINATION
    return upper, lower


def candidates(words: Words, inside: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Indices of the words of ``inside`` that can be of a form, ascending; some are of none.

    Returns:
        Those that may redirect the flow, and those that may move the stack pointer.
    """
    upper, lower = _by_half()
    halves = words.view("<u2")
    found = upper.take(halves[1::2])
    found &= lower.take(halves[0::2])
    found *= inside
    return np.flatnonzero(found == FLOW), np.flatnonzero(found > FLOW)


def of_form(words: Words, form: Form) -> NDArray[np.intp]:
    """Indices of the words that are of a form and matter."""
    found = matches(words, form.mask, form.value)
    if form.when & (BASE | DESTINATION):
        sp = np.zeros(len(words), bool)
        if form.when & BASE:
            sp |= words >> np.uint32(5) & np.uint32(31) == SP
        if form.when & DESTINATION:
            sp |= words & np.uint32(31) == SP
        found &= sp
    return np.flatnonzero(found)
