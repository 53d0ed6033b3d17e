"""Which general-purpose registers an instruction writes.

Source: Arm Architecture Reference Manual (DDI 0487), C4.1 (the encoding groups). A register too
many is harmless: a value that could have been followed is then not. None may be missing, or a
value would be followed past its end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64.encoding import Words, field, matches

# The bit of the stack pointer in a set of registers; who moves it is not said here.
SP_BIT = 1 << 31

# Where the number of a register stands in the instruction.
_RD, _RN, _RT2, _RS = 0, 5, 10, 16

# (mask, value, field, how many registers from that one on)
_RULES = (
    # Data processing: immediate, register, SVE (C4.1.92, C4.1.95, C4.1.1).
    (0x1C000000, 0x10000000, _RD, 1),
    (0x0E000000, 0x0A000000, _RD, 1),
    (0x1E000000, 0x04000000, _RD, 1),
    # From a floating-point or vector register: conversions and FMOV, UMOV and SMOV (C4.1.96).
    (0x5F20FC00, 0x1E200000, _RD, 1),
    (0x5F200000, 0x1E000000, _RD, 1),
    (0xBFE0EC00, 0x0E002C00, _RD, 1),
    # MRS and SYSL, MRRS (C4.1.93).
    (0xFFE00000, 0xD5200000, _RD, 1),
    (0xFFE00000, 0xD5600000, _RD, 2),
    # Loads (C4.1.94): literal; pair; one, in its six forms; 64 bytes.
    (0x3F000000, 0x18000000, _RD, 1),
    (0x3C400000, 0x28400000, _RD, 1),
    (0x3C400000, 0x28400000, _RT2, 1),
    (0x3E400000, 0x38400000, _RD, 1),
    (0x3E800000, 0x38800000, _RD, 1),
    (0xFFFFFC00, 0xF83FD000, _RD, 8),
    # Atomics; LDRAA; ST64BV; exclusives and compare-and-swap; CASP.
    (0x3F200C00, 0x38200000, _RD, 1),
    (0xFF200400, 0xF8200400, _RD, 1),
    (0xFFE0EC00, 0xF820A000, _RS, 1),
    (0x3F000000, 0x08000000, _RS, 1),
    (0x3F400000, 0x08400000, _RD, 1),
    (0x3F400000, 0x08400000, _RT2, 1),
    (0xBFA07C00, 0x08207C00, _RS, 2),
    # RCpc, tags, 128-bit atomics, and the memory copies and sets, which move all three.
    (0x3F000000, 0x19000000, _RD, 1),
    (0x3F20FC00, 0x19000800, _RS, 1),
    (0x3F200000, 0x19200000, _RS, 1),
    (0x3B200C00, 0x19000400, _RD, 1),
    (0x3B200C00, 0x19000400, _RN, 1),
    (0x3B200C00, 0x19000400, _RS, 1),
    # A base that is written back: pairs, one, LDRAA, vector structures, tags, RCpc.
    (0x3A800000, 0x28800000, _RN, 1),
    (0x3B200400, 0x38000400, _RN, 1),
    (0xFF200C00, 0xF8200C00, _RN, 1),
    (0xBE800000, 0x0C800000, _RN, 1),
    (0xFF200400, 0xD9200400, _RN, 1),
    (0x3F20FC00, 0x19000800, _RN, 1),
)

# AAPCS64, 6.1.1: a callee may change x0 to x18 and the link register.
_BY_CALL = (1 << 19) - 1 | 1 << 30
# SMC Calling Convention (DEN0028), 2.6: x0 to x17 are not preserved.
_BY_EXCEPTION = (1 << 18) - 1

# (mask, value, set) where no field says which.
_CLOBBERS = (
    (0xFC000000, 0x94000000, _BY_CALL),  # BL
    (0xFEE00000, 0xD6200000, _BY_CALL),  # BLR, BLRAA
    (0xFFE0001C, 0xD4000000, _BY_EXCEPTION),  # SVC, HVC, SMC
    (0xFFFFFF1F, 0xD503211F, 1 << 17),  # PACIA1716, AUTIA1716 and the like
    (0xFFFFFF1F, 0xD503231F, 1 << 30),  # PACIASP, AUTIASP and the like
    (0xFFFFFFFF, 0xD50320FF, 1 << 30),  # XPACLRI
    (0xFFC0001F, 0xF380001F, 1 << 30),  # AUTIASPPC, AUTIBSPPC
)


def written_registers(words: Words) -> NDArray[np.uint32]:
    """The set of registers that each instruction writes, bit n for Xn; bit 31 is never set."""
    found = np.zeros(len(words), np.uint64)
    for mask, value, low, count in _RULES:
        at = np.flatnonzero(matches(words, mask, value))
        # Shifted in 64 bits, so that what follows register 30 falls off the end.
        found[at] |= np.uint64((1 << count) - 1) << field(words[at], low, 5).astype(np.uint64)
    for mask, value, registers in _CLOBBERS:
        found[matches(words, mask, value)] |= np.uint64(registers)
    return (found & np.uint64(SP_BIT - 1)).astype(np.uint32)
