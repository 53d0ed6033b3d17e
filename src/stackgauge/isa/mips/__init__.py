"""MIPS: 32 and 64 bits, either byte order."""

from __future__ import annotations

from functools import partial

from stackgauge.errors import InputError
from stackgauge.image.elf import Elf
from stackgauge.isa.mips.encoding import SP, Dialect
from stackgauge.isa.mips.reader import read_mips
from stackgauge.isa.model import Isa

# e_flags (binutils, include/elf/mips.h): the architecture, the processor, and the extension whose
# instructions have two bytes.
_RELEASE_6 = (0x90000000, 0xA0000000)
_OCTEON = (0x008B0000, 0x008D0000, 0x008E0000)
_MICROMIPS = 0x02000000


def mips(elf: Elf) -> Isa:
    """The architecture of a MIPS file.

    System V ABI, MIPS supplement, 3-11, and "MIPSpro N32 ABI Handbook", 3: a call pushes nothing,
    and the stack pointer is a multiple of 8, or of 16 in the newer ABIs. Its DWARF number is 29.

    Raises:
        InputError: it holds microMIPS code.
    """
    if elf.flags & _MICROMIPS:
        raise InputError(elf.where, "holds microMIPS code, which is not known here")
    dialect = Dialect.CLASSIC
    if elf.flags & 0xF0000000 in _RELEASE_6:
        dialect = Dialect.RELEASE_6
    elif elf.flags & 0x00FF0000 in _OCTEON:
        dialect = Dialect.OCTEON
    alignment = 16 if elf.bits == 64 else 8
    return Isa(
        name="mips",
        bits=elf.bits,
        entry_depth=0,
        stack_alignment=alignment,
        sp_register=SP,
        cfa_bias=0,
        instruction_alignment=4,
        filler=b"\0",
        read=partial(read_mips, order=elf.order, dialect=dialect, stack_alignment=alignment),
    )
