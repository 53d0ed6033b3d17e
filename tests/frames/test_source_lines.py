"""Source lines are those that binutils reads, whatever compiler, level and DWARF wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stackgauge.errors import InputError
from stackgauge.frames.source_lines import bodies_between, source_lines
from stackgauge.image.elf import Elf
from stackgauge.image.relocate import relocated
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import STT_FUNC, elf_symbols
from tests.frames.programs import DECLARED, LINKED, compiled, opened
from tests.oracles.readelf_info import readelf_functions

# Compiler and options by name; every one that is missing is skipped.
TARGETS: dict[str, tuple[str, ...]] = {
    "gcc": ("gcc",),
    "gcc-m32": ("gcc", "-m32"),
    "gcc-arm64": ("aarch64-linux-gnu-gcc",),
    "gcc-arm": ("arm-linux-gnueabi-gcc",),
    "gcc-mips, big-endian": ("mips-linux-gnu-gcc",),
    "clang": ("clang",),
}

Lines = dict[tuple[str, str], list[int]]


def functions(elf: Elf) -> tuple[list[str], list[int], list[int]]:
    """Names, starts and sizes of the functions."""
    symbols = elf_symbols(elf)
    rows = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.section >= 0) & (symbols.size > 0))
    names = [symbols.strings[offset] for offset in symbols.name[rows].tolist()]
    return names, symbols.value[rows].tolist(), symbols.size[rows].tolist()


def lines_of(elf: Elf) -> list[tuple[str, int, str, int]]:
    """Every function's name, address, file and line."""
    symbols = elf_symbols(elf)
    names, starts, sizes = functions(elf)

    def contents(name: str) -> Bytes:
        return relocated(elf, name, symbols) if elf.relocatable else elf.contents(name)

    found = source_lines(elf, contents, np.array(starts, "u8"), np.array(sizes, "u8"))
    return list(zip(names, starts, found.file, found.line.tolist(), strict=True))


def check(program: Path) -> None:
    """Hold every function against readelf, and against what is known of the sources."""
    truth = readelf_functions(program)
    held = 0
    for name, address, file, line in lines_of(opened(program)):
        if address in truth:
            held += 1
            assert line == truth[address].line, name
            assert DECLARED[file, line] == truth[address].name == name.partition(".")[0]
        else:
            assert ".cold" in name
    assert held >= 4


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
def test_lines_are_binutils(tmp_path: Path, target: str, version: int, level: str) -> None:
    compiler, *options = TARGETS[target]
    check(compiled(tmp_path, *options, level, f"-gdwarf-{version}", *LINKED, compiler=compiler))


def test_the_program_has_what_is_hard(tmp_path: Path) -> None:
    program = compiled(tmp_path, "-O2", "-g", *LINKED)
    names, _, _ = functions(opened(program))
    assert "hot_and_cold.cold" in names
    assert any(name.startswith("scaled.constprop") for name in names)
    assert names.count("same") == 2
    assert any(each.split for each in readelf_functions(program).values())


@pytest.mark.parametrize("version", [4, 5])
def test_entries_in_other_units(tmp_path: Path, version: int) -> None:
    # With link-time optimization, code and declaration are in different units.
    check(compiled(tmp_path, "-O2", "-flto", f"-gdwarf-{version}", *LINKED))


@pytest.mark.parametrize("option", ["-ffunction-sections", "-fdebug-types-section", "-g3", "-pie"])
def test_more_kinds_of_debug_information(tmp_path: Path, option: str) -> None:
    check(compiled(tmp_path, "-O2", "-g", option, *LINKED))


@pytest.mark.parametrize("target", ["gcc", "gcc-arm64", "clang"])
@pytest.mark.parametrize("version", [4, 5])
def test_relocatable_objects(tmp_path: Path, target: str, version: int) -> None:
    compiler, *options = TARGETS[target]
    options += ["-O2", f"-gdwarf-{version}", "-ffunction-sections"]
    object_file = compiled(tmp_path, *options, "-c", compiler=compiler, sources=("one.c",))
    found = {name.partition(".")[0]: place for name, _, *place in lines_of(opened(object_file))}
    for (file, line), name in DECLARED.items():
        if file in ("one.c", "include/shared.h") and name in found:
            assert found[name] == [file, line]
    assert len(found) >= 6


@pytest.mark.parametrize("target", ["gcc", "gcc-arm64"])
@pytest.mark.parametrize("more", [(), ("-ffunction-sections",)], ids=["", "sections"])
def test_a_patchable_entry_is_part_of_the_function(
    tmp_path: Path, target: str, more: tuple[str, ...]
) -> None:
    # Where GCC counts the function from after the instructions that may be patched.
    compiler, *options = TARGETS[target]
    options += ["-O2", "-g", "-fpatchable-function-entry=4", *more]
    program = compiled(tmp_path, *options, *LINKED, compiler=compiler)
    for name, _, file, line in lines_of(opened(program)):
        assert ".cold" in name or DECLARED[file, line] == name.partition(".")[0]


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
@pytest.mark.parametrize("version", [4, 5])
def test_of_assembly_the_file_is_known(tmp_path: Path, compiler: str, version: int) -> None:
    options = (f"-gdwarf-{version}", "-c")
    object_file = compiled(tmp_path, *options, compiler=compiler, sources=("assembly.S",))
    assert [place for _, _, *place in lines_of(opened(object_file))] == [["assembly.S", 0]]


def test_only_the_units_asked_for_are_read(tmp_path: Path) -> None:
    elf = opened(compiled(tmp_path, "-O2", "-g", *LINKED))
    names, starts, sizes = functions(elf)
    two = names.index("two")
    (other,) = [address for name, address, file, _ in lines_of(elf) if name == "early"]
    info = elf.contents(".debug_info").copy()
    # The first unit, one.c's, but for its length.
    first = 4 + int(info[:4].view("<u4")[0])
    info[4:first] = 0xFF

    def contents(name: str) -> Bytes:
        return info if name == ".debug_info" else elf.contents(name)

    asked = np.array([other, starts[two]], "u8")
    found = source_lines(elf, contents, asked, np.array([0, sizes[two]], "u8"))
    assert found.file == ["", "sub/two.c"]
    assert found.line.tolist() == [0, 14]


def test_addresses_in_any_order_and_more_than_once(tmp_path: Path) -> None:
    elf = opened(compiled(tmp_path, "-O2", "-g", *LINKED))
    names, starts, _ = functions(elf)
    two, main = starts[names.index("two")], starts[names.index("main")]
    asked = np.array([two, 1, main, two, main + 4], "u8")
    found = source_lines(elf, elf.contents, asked, np.zeros(5, "u8"))
    assert found.line.tolist() == [14, 0, 19, 14, 0]
    # Inside a function the unit is known, and so the file.
    assert found.file == ["sub/two.c", "", "strong.c", "sub/two.c", "strong.c"]


def test_without_debug_information_nothing_is_known(tmp_path: Path) -> None:
    elf = opened(compiled(tmp_path, "-O2", *LINKED))
    assert {place[2:] for place in lines_of(elf)} == {("", 0)}
    none = np.zeros(0, "u8")
    assert source_lines(elf, elf.contents, none, none).file == []
    assert bodies_between(elf, elf.contents, np.array([1], "u8"), np.array([2], "u8")).name == []


def test_a_section_that_cannot_be_read_leaves_lines_unknown(tmp_path: Path) -> None:
    elf = opened(compiled(tmp_path, "-O2", "-g", *LINKED))

    def contents(name: str) -> Bytes:
        if name == ".debug_abbrev":
            raise InputError("program", "has a section that cannot be decompressed")
        return elf.contents(name)

    _, starts, sizes = functions(elf)
    found = source_lines(elf, contents, np.array(starts, "u8"), np.array(sizes, "u8"))
    assert set(found.file) == {""}
    assert not found.line.any()
    assert bodies_between(elf, contents, np.array([1], "u8"), np.array([9], "u8")).name == []


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_bodies_without_a_symbol_have_a_name(tmp_path: Path, compiler: str) -> None:
    program = compiled(tmp_path, "-O2", "-g", *LINKED, compiler=compiler)
    elf = opened(program)
    names, starts, sizes = functions(elf)
    (hidden,) = [at for at in readelf_functions(program) if at not in starts]
    # From the end of the function before it, which may be padded, to the next one.
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    low = max(end for end in ends if end <= hidden)
    high = min(start for start in starts if start > hidden)
    two = starts[names.index("two")]
    begin = np.array([low, two + 1] if low < two else [two + 1, low], "u8")
    end = np.array([high, two + 2] if low < two else [two + 2, high], "u8")
    found = bodies_between(elf, elf.contents, begin, end)
    assert found.name == ["overridden"]
    assert found.address.tolist() == [hidden]
    assert found.range.tolist() == [0 if low < two else 1]
