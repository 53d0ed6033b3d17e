"""PowerPC: 32 and 64 bits, either byte order."""

from __future__ import annotations

from functools import partial

from stackgauge.image.elf import Elf
from stackgauge.isa.model import Isa
from stackgauge.isa.powerpc.encoding import SP
from stackgauge.isa.powerpc.reader import read_powerpc

# Zero, and what NOP (ORI r0,r0,0) and those that end a group (of r1 and r2) are made of.
FILLER = bytes.fromhex("00 60 21 42")


def powerpc(elf: Elf) -> Isa:
    """The architecture of a PowerPC file.

    Power Architecture 64-Bit ELF V2 ABI, 2.2.3, and System V ABI, PowerPC supplement, 3-17: a call
    pushes nothing; the stack pointer is a multiple of 16, and its DWARF number is 1. With 64 bits,
    288 bytes below it are the function's.
    """
    return Isa(
        name="powerpc",
        bits=elf.bits,
        entry_depth=0,
        stack_alignment=16,
        sp_register=SP,
        cfa_bias=0,
        instruction_alignment=4,
        filler=FILLER,
        read=partial(read_powerpc, order=elf.order, bits=elf.bits, alignment=16),
        red_zone=288 if elf.bits == 64 else 0,
    )
