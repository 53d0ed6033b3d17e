"""Where instructions lead: branches, jumps, calls, returns and traps.

Source: Arm Architecture Reference Manual (DDI 0406C), A5.5 ("Branch, branch with link, and block
data transfer") and A8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.encoding import Words, bit, matches
from stackgauge.isa.model import Flow

# MOV LR, PC: what follows is a call, on a processor without BLX.
_LINK = 0x01A0E00F


# The form, and where it leads if its condition holds; the last that fits stands.
_FORMS = (
    (Flow.INDIRECT, 0x0FFFFFF0, 0x012FFF10),  # BX
    (Flow.INDIRECT, 0x0FFFFFF0, 0x012FFF20),  # BXJ
    (Flow.CALL, 0x0FFFFFF0, 0x012FFF30),  # BLX
    (Flow.STOP, 0x0FFFFFFF, 0x012FFF1E),  # BX LR
    (Flow.STOP, 0x0E108000, 0x08108000),  # LDM with the PC
    (Flow.STOP, 0x0FFFFFFF, 0x01A0F00E),  # MOV PC, LR
    (Flow.STOP, 0x0FFFFFFF, 0x0160006E),  # ERET
    (Flow.TRAP, 0x0FF000F0, 0x01200070),  # BKPT
    (Flow.TRAP, 0x0FF000F0, 0x07F000F0),  # UDF
)

# B, BL and BLX to where they say.
_DIRECT = 0x0E000000, 0x0A000000


def is_direct(words: Words) -> NDArray[np.bool_]:
    """Which instructions say where they lead."""
    return matches(words, *_DIRECT)


def flows(words: Words) -> NDArray[np.uint8]:
    """Where each instruction leads if its condition holds: Flow, uint8; NEXT for most."""
    condition, direct = e.condition(words), is_direct(words)
    found = np.where(condition < e.ALWAYS, np.uint8(Flow.BRANCH), np.uint8(Flow.JUMP))
    found[bit(words, 24) | (condition == e.NONE)] = Flow.CALL
    others = np.flatnonzero(~direct)
    found[others] = _others(words[others])
    return found


def _others(words: Words) -> NDArray[np.uint8]:
    found = np.full(len(words), Flow.NEXT, np.uint8)
    to_pc = e.is_arithmetic(words) & (e.rd(words) == e.PC)
    loads = matches(words, 0x0C50F000, 0x0410F000) & e.is_single(words)
    found[to_pc | loads] = Flow.INDIRECT
    conditional = e.condition(words) != e.NONE
    for flow, mask, value in _FORMS:
        found[conditional & matches(words, mask, value)] = flow
    # Returns: from an exception (MOVS PC, LR), and LDR PC, [SP], #4.
    found[to_pc & bit(words, 20)] = Flow.STOP
    found[loads & (e.rn(words) == e.SP) & ~bit(words, 24)] = Flow.STOP
    found[matches(words, 0xFE500000, 0xF8100000)] = Flow.STOP  # RFE
    return found


def links(before: Words, words: Words) -> NDArray[np.bool_]:
    """Which jumps are calls, since the instruction before puts the address after them into LR."""
    same: NDArray[np.bool_] = (before ^ words) >> np.uint32(28) == 0
    return same & matches(before, 0x0FFFFFFF, _LINK)


def leads_on(words: Words) -> NDArray[np.bool_]:
    """Whether control certainly can go to the instruction after."""
    flow = flows(words)
    conditional = e.condition(words) < e.ALWAYS
    goes: NDArray[np.bool_] = (flow == Flow.NEXT) | conditional & (flow != Flow.CALL)
    return goes
