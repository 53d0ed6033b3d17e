"""Architectures: what each one's instructions do to the stack pointer."""

from __future__ import annotations

from collections.abc import Callable

from stackgauge.errors import InputError
from stackgauge.image.elf import (
    EM_386,
    EM_AARCH64,
    EM_ARM,
    EM_LOONGARCH,
    EM_MIPS,
    EM_PPC,
    EM_PPC64,
    EM_RISCV,
    EM_S390,
    EM_X86_64,
    Elf,
)
from stackgauge.isa.model import Isa


def _x86_64(_: Elf) -> Isa:
    from stackgauge.isa.x86 import X86_64

    return X86_64


def _i386(_: Elf) -> Isa:
    from stackgauge.isa.x86 import I386

    return I386


def _arm64(_: Elf) -> Isa:
    from stackgauge.isa.arm64 import ARM64

    return ARM64


def _arm(elf: Elf) -> Isa:
    from stackgauge.isa.arm import arm

    return arm(elf)


def _mips(elf: Elf) -> Isa:
    from stackgauge.isa.mips import mips

    return mips(elf)


def _powerpc(elf: Elf) -> Isa:
    from stackgauge.isa.powerpc import powerpc

    return powerpc(elf)


def _s390(elf: Elf) -> Isa:
    from stackgauge.isa.s390 import s390

    return s390(elf)


def _riscv(elf: Elf) -> Isa:
    from stackgauge.isa.riscv import riscv

    return riscv(elf)


def _loongarch(elf: Elf) -> Isa:
    from stackgauge.isa.loongarch import loongarch

    return loongarch(elf)


# One line an architecture, by ELF machine number; each is imported only when it is met.
_BY_MACHINE: dict[int, Callable[[Elf], Isa]] = {
    EM_X86_64: _x86_64,
    EM_386: _i386,
    EM_AARCH64: _arm64,
    EM_ARM: _arm,
    EM_MIPS: _mips,
    EM_PPC: _powerpc,
    EM_PPC64: _powerpc,
    EM_S390: _s390,
    EM_RISCV: _riscv,
    EM_LOONGARCH: _loongarch,
}


# The byte order of those that have but one.
_ORDERS = {EM_X86_64: "<", EM_RISCV: "<", EM_LOONGARCH: "<", EM_S390: ">"}


def isa_of(elf: Elf) -> Isa:
    """The architecture of an ELF file.

    Raises:
        InputError: it is of an architecture that is not known here, or of a word size or byte
            order that its architecture does not have.
    """
    make = _BY_MACHINE.get(elf.machine)
    if make is None:
        raise InputError(elf.where, f"is of an architecture not known here (machine {elf.machine})")
    isa = make(elf)
    if elf.bits > isa.bits:
        raise InputError(elf.where, f"is of {elf.bits} bits, which {isa.name} does not have")
    if elf.order != _ORDERS.get(elf.machine, elf.order):
        raise InputError(elf.where, f"is of a byte order that {isa.name} does not have")
    return isa
