"""LoongArch, 64 bits."""

from __future__ import annotations

from stackgauge.errors import InputError
from stackgauge.image.elf import Elf
from stackgauge.isa.loongarch.encoding import ALIGNMENT, SP
from stackgauge.isa.loongarch.reader import read_loongarch
from stackgauge.isa.model import Isa


def loongarch(elf: Elf) -> Isa:
    """The architecture of a LoongArch file.

    "Procedure Call Standard for the LoongArch Architecture" and "DWARF for the LoongArch
    Architecture": a call pushes nothing, and the stack pointer's DWARF number is its own.

    Raises:
        InputError: it is of 32 bits.
    """
    if elf.bits != 64:
        raise InputError(elf.where, "holds LoongArch code of 32 bits, which is not known here")
    return Isa(
        name="loongarch",
        bits=64,
        entry_depth=0,
        stack_alignment=ALIGNMENT,
        sp_register=SP,
        cfa_bias=0,
        instruction_alignment=4,
        # Zero, and what NOP (ANDI $zero, $zero, 0) is made of.
        filler=bytes.fromhex("00 40 03"),
        read=read_loongarch,
    )
