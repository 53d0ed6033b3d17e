"""RISC-V: 64 and 32 bits."""

from __future__ import annotations

from functools import partial

from stackgauge.errors import InputError
from stackgauge.image.elf import Elf
from stackgauge.isa.model import Isa
from stackgauge.isa.riscv.encoding import ALIGNMENT, SP
from stackgauge.isa.riscv.reader import read_riscv

# e_flags ("RISC-V ABIs Specification", "File Header"): 16 registers, and a smaller alignment.
_RVE = 0x0008


def riscv(elf: Elf) -> Isa:
    """The architecture of a RISC-V file.

    "RISC-V ABIs Specification", "Integer Calling Convention" and "DWARF Register Numbers": a call
    pushes nothing, and the stack pointer's DWARF number is its own.

    Raises:
        InputError: it is for processors with 16 registers.
    """
    if elf.flags & _RVE:
        raise InputError(elf.where, "holds code for RISC-V with 16 registers, not known here")
    # The attributes name the extensions ("rv32i2p1_..._zcmp1p0").
    pushes = b"_zcmp" in elf.contents(".riscv.attributes").tobytes()
    return Isa(
        name="riscv",
        bits=elf.bits,
        entry_depth=0,
        stack_alignment=ALIGNMENT,
        sp_register=SP,
        cfa_bias=0,
        instruction_alignment=2,
        # Zero, C.NOP and what NOP is made of.
        filler=bytes.fromhex("00 01 13"),
        read=partial(read_riscv, bits=elf.bits, pushes=pushes),
    )
