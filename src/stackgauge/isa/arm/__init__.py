"""Arm's 32-bit architecture: A32 and Thumb code."""

from __future__ import annotations

from functools import partial

from stackgauge.image.elf import ET_REL, Elf
from stackgauge.image.mapping import MappingSymbols
from stackgauge.isa.arm.reader import read_arm
from stackgauge.isa.arm.registers import STACK_ALIGNMENT
from stackgauge.isa.model import Isa

# Zero, and what the NOPs are made of: MOV R0, R0 and NOP in A32, NOP in Thumb.
FILLER = bytes.fromhex("00 a0 e1 20 f0 e3 bf")

# ELF for the Arm Architecture (IHI 0044), 4.3.1: instructions are little-endian, data is not.
_EF_ARM_BE8 = 0x0080_0000


def arm(elf: Elf) -> Isa:
    """The architecture of an ELF file; an object's code has its data's byte order.

    Procedure Call Standard for the Arm Architecture (AAPCS32): a call pushes nothing. DWARF for
    the Arm Architecture (IHI 0040), 3.1: SP is register 13.
    """
    swapped = elf.order == ">" and elf.type != ET_REL and elf.flags & _EF_ARM_BE8
    return Isa(
        name="arm",
        bits=32,
        entry_depth=0,
        stack_alignment=STACK_ALIGNMENT,
        sp_register=13,
        cfa_bias=0,
        instruction_alignment=4,
        filler=FILLER,
        read=partial(
            read_arm,
            symbols=MappingSymbols(elf),
            order="<" if swapped else elf.order,
            data_order=elf.order,
        ),
    )
