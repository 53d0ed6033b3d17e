"""s390x: z/Architecture, 64 bits."""

from __future__ import annotations

from stackgauge.errors import InputError
from stackgauge.image.elf import Elf
from stackgauge.isa.model import Isa
from stackgauge.isa.s390.encoding import ALIGNMENT, SP
from stackgauge.isa.s390.reader import read_s390

# Bytes of the area above the stack pointer where a called function saves its caller's registers;
# the caller's frame has it, and the CFA lies above it.
_SAVE_AREA = 160


def s390(elf: Elf) -> Isa:
    """The architecture of an s390x file.

    "ELF Application Binary Interface s390x Supplement" 1.6, 1.2.2: a call pushes nothing, the
    stack pointer is a multiple of 8, and its DWARF number is its own (1.5).

    Raises:
        InputError: it is of 32 bits.
    """
    if elf.bits != 64:
        raise InputError(elf.where, "holds s390 code of 32 bits, which is not known here")
    return Isa(
        name="s390",
        bits=64,
        entry_depth=0,
        stack_alignment=ALIGNMENT,
        sp_register=SP,
        cfa_bias=_SAVE_AREA,
        instruction_alignment=2,
        # Zero, and what the linker and the assembler fill up with: BCR 0,%r0 and BCR 0,%r7.
        filler=bytes.fromhex("00 07"),
        read=read_s390,
    )
