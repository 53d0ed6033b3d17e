"""x86: 64-bit and 32-bit code, which share one encoding and so one reader."""

from __future__ import annotations

from functools import partial

from stackgauge.isa.model import Isa
from stackgauge.isa.x86.reader import read_x86

# int3, zero, and what the NOPs of several bytes are made of (arch/x86/include/asm/nops.h).
FILLER = bytes.fromhex("cc 00 90 66 2e 0f 1f 40 44 80 84")
# The assembler's NOPs for processors before the Pentium 4: ``lea 0(%esi),%esi`` in several lengths.
FILLER_32 = bytes.fromhex("cc 00 90 66 2e 8d 74 76 26 b4 b6")

# System V ABI, AMD64 supplement: a call pushes the return address, and 128 bytes below the stack
# pointer are the function's (3.2.2); DWARF register 7 is rsp (figure 3.36). The kernel keeps the
# stack aligned to 8 only (-mpreferred-stack-boundary=3).
X86_64 = Isa(
    name="x86_64",
    bits=64,
    entry_depth=8,
    stack_alignment=8,
    sp_register=7,
    cfa_bias=0,
    instruction_alignment=1,
    filler=FILLER,
    read=partial(read_x86, bits=64),
    red_zone=128,
)

# System V ABI, Intel386 supplement: a call pushes the return address; table 2.14 numbers esp 4. The
# kernel keeps the stack aligned to 4 only (-mpreferred-stack-boundary=2).
I386 = Isa(
    name="i386",
    bits=32,
    entry_depth=4,
    stack_alignment=4,
    sp_register=4,
    cfa_bias=0,
    instruction_alignment=1,
    filler=FILLER_32,
    read=partial(read_x86, bits=32),
)
