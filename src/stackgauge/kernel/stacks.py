"""The stacks that a kernel has besides a task's own, by architecture and configuration.

What a kernel was configured to is read off its symbols: a stack that is not there has no pointer.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

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
)
from stackgauge.image.opening import Image
from stackgauge.image.symbols import Symbols


class On(IntEnum):
    """Which stack code runs on."""

    TASK = 0
    IRQ = 1
    SOFTIRQ = 2
    NMI = 3
    DEBUG = 4
    MACHINE_CHECK = 5
    DOUBLE_FAULT = 6
    VIRTUALIZATION = 7
    OVERFLOW = 8
    FIRMWARE = 9
    EMERGENCY = 10


class Stack(NamedTuple):
    """One kind of stack.

    Attributes:
        on: which one.
        size: its bytes; None where the image does not tell.
        reserved: bytes at its top that no chain uses and that no entry point's bytes count.
        per_task: whether every task has one, or else every processor.
        source: the kernel's file that says so.
    """

    on: On
    size: int | None
    reserved: int
    per_task: bool
    source: str


class _Fact(NamedTuple):
    """A stack that a kernel has if it has a symbol.

    Attributes:
        on: which one.
        symbols: any of these is there; none for a stack that is always there.
        size: its bytes; 0 for THREAD_SIZE.
        reserved: bytes at its top.
        source: the kernel's file.
    """

    on: On
    symbols: tuple[str, ...]
    size: int
    reserved: int
    source: str


_FACTS: dict[int, tuple[_Fact, ...]] = {
    # The address of the interrupted stack lies at the top of the other one; it counts as an
    # entry's byte. IRQ_STACK_SIZE and THREAD_SIZE are the same, with KASAN too.
    EM_X86_64: (
        _Fact(On.IRQ, ("irq_stack_backing_store",), 0, 0, "arch/x86/include/asm/page_64_types.h"),
    ),
    EM_386: (
        _Fact(On.IRQ, ("hardirq_stack_ptr", "hardirq_stack"), 0, 0, "arch/x86/kernel/irq_32.c"),
        _Fact(On.SOFTIRQ, ("softirq_stack_ptr", "softirq_stack"), 0, 0, "arch/x86/kernel/irq_32.c"),
        _Fact(On.DOUBLE_FAULT, ("doublefault_stack",), 4096, 0, "arch/x86/kernel/doublefault_32.c"),
    ),
    EM_AARCH64: (
        _Fact(On.IRQ, ("call_on_irq_stack", "irq_stack_ptr"), 0, 0, "arch/arm64/kernel/irq.c"),
        _Fact(On.OVERFLOW, ("overflow_stack",), 4096, 0, "arch/arm64/include/asm/memory.h"),
        _Fact(On.FIRMWARE, ("sdei_stack_normal_ptr",), 0, 0, "arch/arm64/kernel/sdei.c"),
    ),
    EM_ARM: (
        _Fact(On.IRQ, ("irq_stack_ptr",), 0, 0, "arch/arm/kernel/irq.c"),
        _Fact(On.OVERFLOW, ("overflow_stack_ptr",), 4096, 0, "arch/arm/include/asm/thread_info.h"),
    ),
    EM_MIPS: (_Fact(On.IRQ, ("irq_stack",), 0, 16, "arch/mips/include/asm/irq.h"),),
    EM_LOONGARCH: (_Fact(On.IRQ, ("irq_stack",), 0, 16, "arch/loongarch/include/asm/irq.h"),),
    EM_RISCV: (
        _Fact(On.IRQ, ("irq_stack_ptr", "call_on_irq_stack"), 0, 0, "arch/riscv/kernel/irq.c"),
        _Fact(On.OVERFLOW, ("overflow_stack",), 4096, 0, "arch/riscv/include/asm/thread_info.h"),
    ),
    EM_S390: tuple(
        _Fact(on, (), 0, 0, "arch/s390/kernel/setup.c")
        for on in (On.IRQ, On.MACHINE_CHECK, On.EMERGENCY, On.FIRMWARE)
    ),
    EM_PPC64: (
        _Fact(On.IRQ, ("hardirq_ctx",), 0, 0, "arch/powerpc/kernel/irq.c"),
        _Fact(On.SOFTIRQ, ("softirq_ctx",), 0, 0, "arch/powerpc/kernel/irq.c"),
        *(
            _Fact(on, (), 0, 0, "arch/powerpc/kernel/setup_64.c")
            for on in (On.EMERGENCY, On.NMI, On.MACHINE_CHECK)
        ),
    ),
    EM_PPC: (
        _Fact(On.IRQ, ("hardirq_ctx",), 0, 0, "arch/powerpc/kernel/irq.c"),
        _Fact(On.SOFTIRQ, ("softirq_ctx",), 0, 0, "arch/powerpc/kernel/irq.c"),
    ),
}

# At the top of a task's stack: TOP_OF_KERNEL_STACK_PADDING (arch/x86/include/asm/thread_info.h,
# at most), THREAD_START_SP (arch/arm/include/asm/thread_info.h), what set_saved_sp leaves
# (arch/mips/include/asm/stackframe.h), SWITCH_FRAME_SIZE (arch/powerpc/kernel/entry_64.S, of
# pt_regs and the largest minimal frame).
_TASK_RESERVED = {EM_386: 16, EM_ARM: 8, EM_MIPS: 32, EM_PPC64: 384 + 112}

# The stacks of x86-64's exceptions in the order of arch/x86/include/asm/cpu_entry_area.h. The
# last two are there with CONFIG_AMD_MEM_ENCRYPT.
_EXCEPTIONS = (On.DOUBLE_FAULT, On.NMI, On.DEBUG, On.MACHINE_CHECK, On.VIRTUALIZATION)


def stacks(image: Image, thread_size: int | None) -> list[Stack]:
    """The stacks of a kernel, a task's first.

    Args:
        image: the kernel.
        thread_size: THREAD_SIZE, None where it is not known.
    """
    symbols, machine = image.symbols, image.elf.machine
    reserved = _TASK_RESERVED.get(machine, 0)
    if machine == EM_X86_64 and symbols.find("fred_entry_from_kernel") is not None:
        # What a processor with FRED pushes beyond struct pt_regs (struct fred_frame).
        reserved = 16
    found = [Stack(On.TASK, thread_size, reserved, True, "include/linux/sched.h")]
    for fact in _FACTS.get(machine, ()):
        there = not fact.symbols or any(symbols.find(one) is not None for one in fact.symbols)
        if there:
            size = fact.size or thread_size
            found.append(Stack(fact.on, size, fact.reserved, False, fact.source))
    if machine == EM_X86_64:
        found += _x86_exceptions(symbols)
    return found


def on_own_stack(found: list[Stack], on: On) -> On:
    """The stack that interrupts (IRQ, SOFTIRQ) run on: one of their own, each other's, a task's."""
    has = {stack.on for stack in found}
    for choice in (on, On.IRQ):
        if choice in has:
            return choice
    return On.TASK


def _x86_exceptions(symbols: Symbols) -> list[Stack]:
    """The stacks of exceptions, by how large the four or six of a processor are together."""
    address = symbols.find("exception_stacks")
    if address is None:
        return []
    size = int(symbols.size[symbols.value == np.uint64(address)].max())
    if not size:
        beyond = symbols.value[symbols.value > np.uint64(address)]
        size = int(beyond.min()) - address if len(beyond) else 0
    for count in (4, 6):
        each, rest = divmod(size, count)
        if not rest and each >= 4096 and each & (each - 1) == 0:
            source = "arch/x86/include/asm/cpu_entry_area.h"
            return [Stack(on, each, 0, False, source) for on in _EXCEPTIONS[: 4 + (count > 4)]]
    return []
