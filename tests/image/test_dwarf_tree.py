"""Entries are those that pyelftools reads, whatever is stepped over on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackgauge.image.dwarf_bytes import open_dwarf
from stackgauge.image.dwarf_cursor import BrokenError, Cursor
from stackgauge.image.dwarf_tree import Entry, Tree
from stackgauge.image.dwarf_units import all_unit_offsets
from stackgauge.image.elf import Elf
from stackgauge.image.relocate import relocated
from stackgauge.image.symbols import elf_symbols
from tests.frames.programs import LINKED, compiled, opened

elffile = pytest.importorskip("elftools.elf.elffile")
descriptions = pytest.importorskip("elftools.dwarf.enums")

BUILDS = {
    "DWARF 5": ("gcc", "-gdwarf-5"),
    "DWARF 4": ("gcc", "-gdwarf-4", "-O2"),
    "other units": ("gcc", "-g", "-flto", "-O2"),
    "big-endian": ("mips-linux-gnu-gcc", "-g", "-O2"),
    "32 bits": ("arm-linux-gnueabihf-gcc", "-g", "-O2"),
}


@pytest.fixture(scope="module", params=BUILDS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler, *options = BUILDS[request.param]
    return compiled(tmp_path_factory.mktemp("built"), *options, *LINKED, compiler=compiler)


def tree(elf: Elf) -> Tree:
    symbols = elf_symbols(elf)
    return Tree(open_dwarf(elf, lambda name: relocated(elf, name, symbols)))


def everything(path: Path) -> Iterator[tuple[Entry, Any]]:
    """Each entry as we read it, and as pyelftools does."""
    ours = tree(opened(path))
    with path.open("rb") as file:
        for unit in elffile.ELFFile(file).get_dwarf_info().iter_CUs():
            for die in unit.iter_DIEs():
                if not die.is_null():
                    entry = ours.unit(unit.cu_offset).entry(die.offset)
                    assert entry is not None
                    yield entry, die


def test_tags_and_numbers(path: Path) -> None:
    seen = 0
    for entry, die in everything(path):
        assert entry.tag == descriptions.ENUM_DW_TAG[die.tag]
        assert entry.children == die.has_children
        assert len(entry.values) == len(die.attributes)
        for attribute, theirs in zip(entry.values, die.attributes.values(), strict=True):
            if isinstance(theirs.value, int) and "strx" not in theirs.form:
                raw = entry.number(attribute)
                strings = ("DW_FORM_strp", "DW_FORM_line_strp")
                assert raw == (theirs.raw_value if theirs.form in strings else theirs.value)
            elif isinstance(theirs.value, bytes):
                assert entry.text(attribute).encode() == theirs.value
            elif isinstance(theirs.value, list):
                assert entry.block(attribute) == bytes(theirs.value)
        seen += 1
    assert seen > 50


def test_children_are_found_with_and_without_siblings(path: Path) -> None:
    for entry, die in everything(path):
        children = [child.at for child in entry.unit.children(entry)]
        assert children == [child.offset for child in die.iter_children()]


def test_all_that_is_below_an_entry(path: Path) -> None:
    ours = tree(opened(path))
    for offset in all_unit_offsets(ours.dwarf).tolist():
        root = ours.unit(offset).root
        below = list(root.unit.below(root))
        nested = [entry.at for depth, entry in below if depth == 0]
        assert nested == [child.at for child in root.unit.children(root)]
        assert [entry.at for _, entry in below] == sorted(entry.at for _, entry in below)


def test_references_lead_to_entries(path: Path) -> None:
    named = 0
    for entry, die in everything(path):
        for name in ("DW_AT_type", "DW_AT_abstract_origin"):
            if name in die.attributes:
                to = entry.reference(descriptions.ENUM_DW_AT[name])
                assert to is not None
                assert to.at == die.get_DIE_from_attribute(name).offset
                named += 1
    assert named > 10


def test_places_without_an_entry(path: Path) -> None:
    ours = tree(opened(path))
    for at in (-1, 0, 3, len(ours.dwarf.info), 1 << 40):
        with pytest.raises(BrokenError):
            ours.entry(at)


@pytest.mark.parametrize(
    ("raw", "signed", "value"),
    [("00", False, 0), ("7f", False, 127), ("7f", True, -1), ("80 01", False, 128),
     ("80 7f", True, -128), ("ff ff ff ff ff ff ff ff ff 01", False, (1 << 64) - 1),
     ("3f", True, 63), ("40", True, -64)],
)  # fmt: skip
def test_leb128(raw: str, signed: bool, value: int) -> None:
    data = bytes.fromhex(raw)
    read = Cursor(data, 0, len(data), "<")
    assert read.leb(signed=signed) == value
    assert not read.more


@pytest.mark.parametrize("raw", ["", "80", "80 80 80 80 80 80 80 80 80 80 80 01"])
def test_numbers_that_do_not_end(raw: str) -> None:
    data = bytes.fromhex(raw)
    with pytest.raises(BrokenError):
        Cursor(data, 0, len(data), "<").leb()
