"""arm64: 64-bit Arm code (A64)."""

from __future__ import annotations

from stackgauge.isa.arm64.reader import read_arm64
from stackgauge.isa.model import Isa

# Zero, and what NOP is made of.
FILLER = bytes.fromhex("00 1f 20 03 d5")

# Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64), 6.4.5: a call pushes nothing,
# and SP is a multiple of 16 whenever memory is accessed through it. DWARF for the Arm 64-bit
# Architecture, 4.1: SP is register 31.
ARM64 = Isa(
    name="arm64",
    bits=64,
    entry_depth=0,
    stack_alignment=16,
    sp_register=31,
    cfa_bias=0,
    instruction_alignment=4,
    filler=FILLER,
    read=read_arm64,
)
