"""What architectures call the registers that a function saves, by DWARF number."""

from __future__ import annotations

from typing import NamedTuple


class _Names(NamedTuple):
    """One architecture's.

    Attributes:
        listed: names from number 0 on.
        link: the number under which the return address is saved.
        more: sequences of 32 registers elsewhere, as (first number, prefix).
    """

    listed: str
    link: int
    more: tuple[tuple[int, str], ...] = ()


def _numbered(prefix: str, count: int) -> str:
    return " ".join(f"{prefix}{number}" for number in range(count))


# System V ABI, AMD64 supplement, figure 3.36, and Intel386 supplement, table 2.14; "DWARF for the
# Arm 64-bit Architecture" and "DWARF for the Arm Architecture", 4.1; "RISC-V ABIs Specification",
# "DWARF Register Numbers"; the same of LoongArch; MIPS as GCC numbers them; Power Architecture
# 64-Bit ELF V2 ABI, table 2.36; "ELF ABI s390x Supplement", table 1.14.
_BY_ISA = {
    "x86_64": _Names("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 ra", 16),
    "i386": _Names("eax ecx edx ebx esp ebp esi edi ra", 8),
    "arm64": _Names(_numbered("x", 31) + " sp", 30, ((64, "v"),)),
    "arm": _Names(_numbered("r", 13) + " sp lr pc", 14, ((256, "d"),)),
    "riscv": _Names(
        "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 "
        "t3 t4 t5 t6", 1, ((32, "f"),),
    ),
    "loongarch": _Names(_numbered("r", 32), 1, ((32, "f"),)),
    "mips": _Names(_numbered("$", 32), 31, ((32, "$f"),)),
    "powerpc": _Names(_numbered("r", 32), 65, ((32, "f"),)),
    "s390": _Names(
        _numbered("r", 16) + " f0 f2 f4 f6 f1 f3 f5 f7 f8 f10 f12 f14 f9 f11 f13 f15", 14
    ),
}  # fmt: skip


def register_name(isa: str, number: int) -> str:
    """A register's name; ``reg70`` where none is known."""
    names = _BY_ISA.get(isa, _Names("", -1))
    listed = names.listed.split()
    if number < len(listed):
        return listed[number]
    for first, prefix in names.more:
        if first <= number < first + 32:
            return f"{prefix}{number - first}"
    return "lr" if number == names.link else f"reg{number}"


# Bytes at the bottom of the frame of a function that calls others: "ELF ABI s390x Supplement",
# 1.2.2.2; Power Architecture 64-Bit ELF V2 ABI, 2.2.3.1 (little-endian), "64-bit PowerPC ELF ABI
# Supplement", 3.2.2, and System V ABI, PowerPC supplement, 3-17; MIPS supplement, 3-21.
_LINKAGE = {
    ("s390", 64, ">"): 160, ("powerpc", 64, "<"): 32, ("powerpc", 64, ">"): 112,
    ("powerpc", 32, ">"): 8, ("mips", 32, "<"): 16, ("mips", 32, ">"): 16,
}  # fmt: skip


def linkage_area(isa: str, bits: int, order: str) -> int:
    """Bytes that the ABI has at the bottom of a frame, for those that are called."""
    return _LINKAGE.get((isa, bits, order), 0)


def holds_return_address(isa: str, number: int) -> bool:
    """Whether what is saved under that number is where the function returns to."""
    return isa in _BY_ISA and _BY_ISA[isa].link == number
