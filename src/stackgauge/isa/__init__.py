"""Architectures: what each one's instructions do to the stack pointer."""

from __future__ import annotations

from collections.abc import Callable

from stackgauge.errors import InputError
from stackgauge.image.elf import EM_AARCH64, EM_X86_64, Elf
from stackgauge.isa.model import Isa


def _x86_64() -> Isa:
    from stackgauge.isa.x86 import X86_64

    return X86_64


def _arm64() -> Isa:
    from stackgauge.isa.arm64 import ARM64

    return ARM64


# One line an architecture, by ELF machine number; each is imported only when it is met.
_BY_MACHINE: dict[int, Callable[[], Isa]] = {
    EM_X86_64: _x86_64,
    EM_AARCH64: _arm64,
}


def isa_of(elf: Elf) -> Isa:
    """The architecture of an ELF file.

    Raises:
        InputError: it is of an architecture that is not known here.
    """
    make = _BY_MACHINE.get(elf.machine)
    if make is None:
        raise InputError(elf.where, f"is of an architecture not known here (machine {elf.machine})")
    return make()
