"""Call frame information of whole kernels, held against how binutils reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stackgauge.evidence.cfi import Cfi, cfi_rows
from stackgauge.evidence.table import UNKNOWN, Base
from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.source import map_file
from tests.evidence.cfi_sections import isa
from tests.oracles.readelf_frames import readelf_frames

pytestmark = pytest.mark.kernels


def _read(path: Path, sp_register: int) -> tuple[Elf, Cfi]:
    elf = parse_elf(map_file(path), path)
    return elf, cfi_rows(elf, isa(sp_register), elf.contents)


def _equal(path: Path, registers: str, sp_register: int) -> None:
    """Every row is binutils', of every function; where an expression tells the CFA too."""
    _, cfi = _read(path, sp_register)
    truth = readelf_frames(path, registers).by_address()
    assert len(truth.fde_start) > 40_000
    np.testing.assert_array_equal(cfi.fde_start, truth.fde_start)
    np.testing.assert_array_equal(cfi.fde_end, truth.fde_end)
    np.testing.assert_array_equal(cfi.rows.start, truth.start)
    np.testing.assert_array_equal(cfi.rows.end, truth.end)
    np.testing.assert_array_equal(cfi.register, truth.register)
    np.testing.assert_array_equal(
        cfi.rows.depth, np.where(truth.register < 0, UNKNOWN, truth.offset)
    )
    np.testing.assert_array_equal(cfi.rows.base == Base.SP, truth.register == sp_register)
    assert cfi.skipped == {}


def test_amd64_is_what_binutils_reads(amd64_vmlinux: Path) -> None:
    _equal(amd64_vmlinux, "x86_64", 7)


def test_arm64_is_what_binutils_reads(arm64_vmlinux: Path) -> None:
    _equal(arm64_vmlinux, "arm64", 31)
