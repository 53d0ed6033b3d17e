"""Which registers an instruction writes.

Source: Arm Architecture Reference Manual (DDI 0406C), A5. A register too many is harmless: a value
that could have been followed is then not. None may be missing, or a value would be followed past
its end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.encoding import Words, bit, field, matches

# Where the number of a register stands in the instruction.
_RD, _RN = 12, 16

# Procedure Call Standard for the Arm Architecture (AAPCS32), 6.1.1: a callee may change r0 to r3,
# r12 and the link register.
_BY_CALL = 0xF | 1 << e.IP | 1 << e.LR
# SMC Calling Convention (DEN0028), 2.3: r0 to r3 are not preserved.
_BY_EXCEPTION = 0xF

# (mask, value, field), of the instructions with a condition.
_RULES = (
    # MOVW, MOVT; MRS, CLZ, QADD and the like; halfword multiplies (A5.2.12, A5.2.7).
    (0x0FB00000, 0x03000000, _RD),
    (0x0F900080, 0x01000000, _RD),
    (0x0F900090, 0x01000080, _RD),
    (0x0F900090, 0x01000080, _RN),
    # Multiplies, the long ones with two destinations (A5.2.5).
    (0x0F0000F0, 0x00000090, _RN),
    (0x0F8000F0, 0x00800090, _RD),
    (0x0FF000F0, 0x00400090, _RD),
    # SWP, LDREX, STREX (A5.2.10).
    (0x0F0000F0, 0x01000090, _RD),
    # Media: parallel, packing and bit fields; signed multiplies and divisions, USADA8 (A5.4).
    (0x0F000010, 0x06000010, _RD),
    (0x0FA00010, 0x07A00010, _RD),
    (0x0FE00010, 0x07C00010, _RD),
    (0x0F800010, 0x07000010, _RN),
    (0x0FF00010, 0x07400010, _RD),
    (0x0FF00010, 0x07800010, _RN),
    # MRC, and VMOV and VMRS among them; MRRC (A5.6).
    (0x0F100010, 0x0E100010, _RD),
    (0x0FF00000, 0x0C500000, _RD),
    (0x0FF00000, 0x0C500000, _RN),
    # A base that LDC, STC, VLDM or VSTM moves.
    (0x0E200000, 0x0C200000, _RN),
)

# (mask, value, set) where no field says which.
_CLOBBERS = (
    (0x0F000000, 0x0B000000, _BY_CALL),  # BL
    (0x0FFFFFF0, 0x012FFF30, _BY_CALL),  # BLX
    (0x0F000000, 0x0F000000, _BY_EXCEPTION),  # SVC
    (0x0F9000F0, 0x01000070, _BY_EXCEPTION),  # SMC, HVC
)


def written_registers(words: Words) -> NDArray[np.uint32]:
    """The set of registers that each instruction writes, bit n for Rn; without the PC."""
    found = np.zeros(len(words), np.uint32)

    def add(which: NDArray[np.bool_], low: int, more: int = 0) -> None:
        at = np.flatnonzero(which)
        found[at] |= np.uint32(1) << field(words[at], low, 4) + np.uint32(more)

    for mask, value, low in _RULES:
        add(matches(words, mask, value), low)
    for mask, value, registers in _CLOBBERS:
        found[matches(words, mask, value)] |= np.uint32(registers)
    add(e.is_arithmetic(words), _RD)
    single, extra, multiple = e.is_single(words), e.is_extra(words), e.is_multiple(words)
    loads = bit(words, 20)
    double = extra & ~loads & matches(words, 0x60, 0x40)  # LDRD
    add((single | extra) & loads | double, _RD)
    add(double | matches(words, 0x0FF000F0, 0x01B00090), _RD, 1)  # LDREXD
    add((single | extra) & e.writes_back(words) | multiple & bit(words, 21), _RN)
    at = np.flatnonzero(multiple & loads)
    listed = words[at] & np.uint32(0xFFFF)
    # Without the PC in its list, LDM with a caret loads the user mode's SP and LR (B9.3.6).
    of_user = matches(words[at], 0x00408000, 0x00400000)
    found[at] |= np.where(of_user, listed & np.uint32(0x1FFF), listed)
    found[e.condition(words) == e.NONE] = 0
    found[matches(words, 0xFE000000, 0xFA000000)] |= np.uint32(_BY_CALL)  # BLX
    add(matches(words, 0xFE200800, 0xFC200000), _RN)  # LDC2, STC2
    add(matches(words, 0xFF100000, 0xF4000000) & (e.rm(words) != e.PC), _RN)  # VLD1 and the like
    return found & np.uint32(0x7FFF)
