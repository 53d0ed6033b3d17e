"""Broken debug information leaves lines unknown, and nothing else: no traceback, no hang."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackgauge.frames.source_lines import bodies_between, source_lines
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import STT_FUNC, elf_symbols
from tests.frames.programs import LINKED, compiled, opened

KINDS = {
    "DWARF 5": ("gcc", "-gdwarf-5"),
    "DWARF 4": ("gcc", "-gdwarf-4"),
    "other units": ("gcc", "-g", "-flto"),
    "big-endian": ("mips-linux-gnu-gcc", "-g"),
    "LLVM": ("clang", "-gdwarf-5"),
}


@pytest.fixture(scope="module", params=KINDS)
def elf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Elf:
    compiler, *options = KINDS[request.param]
    folder: Path = tmp_path_factory.mktemp("program")
    return opened(compiled(folder, "-O2", *options, *LINKED, compiler=compiler))


def _changed(raw: Bytes, data: st.DataObject) -> Bytes:
    at = data.draw(st.integers(0, len(raw) - 1))
    length = data.draw(st.sampled_from([1, 1, 1, 4, 16, 300]))
    raw = raw.copy()
    match data.draw(st.sampled_from(["set", "cut", "end"])):
        case "set":
            raw[at : at + length] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        case "cut":
            raw = np.delete(raw, slice(at, at + length))
        case _:
            raw = raw[:at]
    return raw


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_sections(elf: Elf, data: st.DataObject) -> None:
    sections = {name: elf.contents(name) for name in elf.names if name.startswith(".debug_")}
    for name in data.draw(st.lists(st.sampled_from(sorted(sections)), min_size=1, max_size=3)):
        if len(sections[name]):
            sections[name] = _changed(sections[name], data)

    def contents(name: str) -> Bytes:
        return sections.get(name, elf.data[:0])

    symbols = elf_symbols(elf)
    rows = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.section >= 0))
    starts, sizes = symbols.value[rows], symbols.size[rows]
    begun = time.process_time()
    found = source_lines(elf, contents, starts, sizes)
    ranges = np.unique(starts)
    bodies = bodies_between(elf, contents, ranges, ranges + np.uint64(1))
    assert time.process_time() - begun < 30  # of a hundredth on average
    assert len(found.file) == len(found.line) == len(starts)
    assert (found.line >= 0).all()
    assert np.isin(bodies.address, ranges).all()


@pytest.mark.parametrize("size", [1, 11, 12, 200])
@pytest.mark.parametrize("byte", [0, 1, 0x2E, 0x80, 0x9C, 0xFF])
def test_sections_of_one_byte(elf: Elf, size: int, byte: int) -> None:
    starts = np.array([0, 1, 0x401000, (1 << 64) - 1], np.uint64)
    raw = np.full(size, byte, np.uint8)
    found = source_lines(elf, lambda _: raw, starts, np.full(4, 64, np.uint64))
    assert found.file == [""] * 4
    assert not found.line.any()
