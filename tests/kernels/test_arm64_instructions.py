"""The instructions of a whole arm64 kernel, held against how binutils reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.isa.test_arm64_objdump import differences

pytestmark = pytest.mark.kernels


def test_every_instruction(arm64_vmlinux: Path) -> None:
    count, wrong = differences(arm64_vmlinux, ".text")
    assert count > 700_000
    # MSR SPSel, which makes another register the stack pointer (__kvm_nvhe___kvm_hyp_init_cpu).
    assert [text for text in wrong if "spsel" not in text] == []
