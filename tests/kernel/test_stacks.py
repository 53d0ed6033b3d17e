"""The stacks of a kernel, by what it has symbols of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stackgauge.image.opening import Image
from stackgauge.kernel.stacks import On, Stack, on_own_stack, stacks
from tests.image.tiny_elf import Section
from tests.kernel.images import image

I386, MIPS, ARM, X86_64, AARCH64, S390 = 3, 8, 40, 62, 183, 22


def kernel(machine: int, *names: str, sizes: dict[str, int] | None = None) -> Image:
    places = {name: 0x1000 + 0x100000 * at for at, name in enumerate([*names, "end"])}
    made = image(Section(".data", b"\0", 0x1000), symbols=places, machine=machine)
    size = made.symbols.size.copy()
    for name, value in (sizes or {}).items():
        size[made.symbols.value == np.uint64(places[name])] = value
    return replace(made, symbols=replace(made.symbols, size=size))


def have(found: list[Stack]) -> dict[On, tuple[int | None, int]]:
    return {one.on: (one.size, one.reserved) for one in found}


@pytest.mark.parametrize(
    ("size", "each", "count"),
    [(0x6000, 0x1000, 6), (0x8000, 0x2000, 4), (0xC000, 0x2000, 6), (0x10000, 0x4000, 4)],
)
def test_the_exception_stacks_of_x86_64(size: int, each: int, count: int) -> None:
    names = ("irq_stack_backing_store", "exception_stacks")
    found = have(stacks(kernel(X86_64, *names, sizes={"exception_stacks": size}), 16384))
    assert found[On.TASK] == (16384, 0)
    assert found[On.IRQ] == (16384, 0)
    assert found[On.NMI] == found[On.DOUBLE_FAULT] == (each, 0)
    assert (On.VIRTUALIZATION in found) == (count == 6)


def test_exception_stacks_of_a_size_that_cannot_be_are_none() -> None:
    made = kernel(X86_64, "exception_stacks", sizes={"exception_stacks": 0x5000})
    assert On.NMI not in have(stacks(made, 16384))
    assert On.IRQ not in have(stacks(made, 16384))


def test_a_processor_with_fred_pushes_beyond_the_registers() -> None:
    found = stacks(kernel(X86_64, "fred_entry_from_kernel"), None)
    assert have(found)[On.TASK] == (None, 16)


def test_stacks_that_a_configuration_lacks() -> None:
    assert have(stacks(kernel(ARM), 8192)) == {On.TASK: (8192, 8)}
    assert On.IRQ in have(stacks(kernel(ARM, "irq_stack_ptr"), 8192))
    assert have(stacks(kernel(AARCH64, "call_on_irq_stack", "overflow_stack"), 16384)) == {
        On.TASK: (16384, 0), On.IRQ: (16384, 0), On.OVERFLOW: (4096, 0),
    }  # fmt: skip
    assert have(stacks(kernel(MIPS, "irq_stack"), 8192))[On.IRQ] == (8192, 16)
    assert On.MACHINE_CHECK in have(stacks(kernel(S390), 16384))
    assert have(stacks(kernel(0xFFFF), 8192)) == {On.TASK: (8192, 0)}


def test_softirqs_share_the_interrupts_stack_where_they_have_none() -> None:
    split = stacks(kernel(I386, "hardirq_stack_ptr", "softirq_stack_ptr"), 8192)
    shared = stacks(kernel(AARCH64, "call_on_irq_stack"), 8192)
    assert on_own_stack(split, On.SOFTIRQ) is On.SOFTIRQ
    assert on_own_stack(shared, On.SOFTIRQ) is On.IRQ
    assert on_own_stack(stacks(kernel(ARM), 8192), On.SOFTIRQ) is On.TASK
