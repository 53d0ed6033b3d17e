"""Functions of big-endian 64-bit PowerPC are where their descriptors say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackgauge.image.descriptors import described
from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.symbols import STT_FUNC, elf_symbols

OBJECTS = Path(__file__).parents[1] / "corpus" / "objects"


def read(name: str) -> Elf:
    return parse_elf(np.fromfile(OBJECTS / name, np.uint8), name)


def test_functions_lie_in_the_code() -> None:
    elf = read("powerpc64-kernel-O2.o")
    raw = elf_symbols(elf)
    symbols = described(elf, raw)
    table, text = elf.section(".opd"), elf.section(".text")
    assert table is not None
    assert text is not None
    functions = np.flatnonzero((raw.type == STT_FUNC) & (raw.section == table.index))
    assert len(functions) > 70
    assert (symbols.section[functions] == text.index).all()
    assert (symbols.value[functions] >= text.address).all()
    # The sizes are the code's.
    end = symbols.value[functions] + symbols.size[functions]
    assert (end <= text.address + text.size).all()
    others = np.setdiff1d(np.arange(len(raw)), functions)
    assert (symbols.value[others] == raw.value[others]).all()


@pytest.mark.parametrize("name", ["powerpc64le-kernel-O2.o", "x86_64-kernel-O2.o"])
def test_other_files_have_none(name: str) -> None:
    elf = read(name)
    symbols = elf_symbols(elf)
    assert described(elf, symbols) is symbols


def test_a_descriptor_that_leads_nowhere_is_left_alone() -> None:
    elf = read("powerpc64-kernel-O2.o")
    table = elf.section(".opd")
    assert table is not None
    # Without its relocations every word of the table is 0.
    linked = replace(elf, type=2)
    raw = elf_symbols(elf)
    symbols = described(linked, raw)
    assert (symbols.value == raw.value).all()
    assert (symbols.section == raw.section).all()
