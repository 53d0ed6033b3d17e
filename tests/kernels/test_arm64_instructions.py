"""The instructions of a whole arm64 kernel, held against how binutils reads them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from stackgauge.image.elf import parse_elf
from stackgauge.image.source import map_file
from stackgauge.isa.arm64 import ARM64
from stackgauge.isa.model import Code, Ranges
from tests.isa.test_arm64_objdump import differences

pytestmark = pytest.mark.kernels


def test_every_instruction(arm64_vmlinux: Path) -> None:
    count, wrong = differences(arm64_vmlinux, ".text")
    assert count > 700_000
    # MSR SPSel, which makes another register the stack pointer (__kvm_nvhe___kvm_hyp_init_cpu).
    assert [text for text in wrong if "spsel" not in text] == []


def test_a_kernel_takes_a_fifth_of_a_second_at_most(arm64_vmlinux: Path) -> None:
    elf = parse_elf(map_file(arm64_vmlinux), arm64_vmlinux)
    text = elf.section(".text")
    assert text is not None
    # Stretches of the size of functions.
    limits = np.arange(text.address, text.address + text.size, 256, dtype=np.uint64)
    code, ranges = Code(elf.contents(text), text.address), Ranges(limits[:-1], limits[1:])
    spent = []
    for _ in range(5):
        begun = time.process_time()
        ARM64.read(code, ranges)
        spent.append(time.process_time() - begun)
    assert min(spent) < 0.2
