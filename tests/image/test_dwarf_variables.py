"""Variables, their types and where they are, as columns: against pyelftools' tree of entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackgauge.image.arrays import sorted_unique
from stackgauge.image.dwarf_abbrev import Abbrevs, read_abbrevs
from stackgauge.image.dwarf_bytes import open_dwarf
from stackgauge.image.dwarf_lists import FRAME_BASE
from stackgauge.image.dwarf_locals import find_locals
from stackgauge.image.dwarf_names import TAG_STRUCT, TYPE_TAGS, name_types
from stackgauge.image.dwarf_parameters import TAG_UNSPECIFIED, find_parameters
from stackgauge.image.dwarf_subprograms import Subprograms, find_subprograms
from stackgauge.image.dwarf_units import Units, all_unit_offsets, read_units
from stackgauge.image.dwarf_variables import TAG_PARAMETER, TAG_VARIABLE, find_variables
from stackgauge.image.elf import Elf
from tests.calls.test_indirect import built

elffile = pytest.importorskip("elftools.elf.elffile")
expressions = pytest.importorskip("elftools.dwarf.dwarf_expr")
locationlists = pytest.importorskip("elftools.dwarf.locationlists")

MORE = """
struct small { int a, b; };
typedef struct { long x; struct small parts[3]; } named_by_typedef;
named_by_typedef plain, *pointed = &plain, *several[4];
static const struct small *const *volatile twice;
extern struct small declared_first;
struct small declared_first = { 1, 2 };
void sink(void *);
long takes(struct small *first, named_by_typedef *second, long third, ...)
{
    static struct small inside;
    struct small local = { third, 2 };
    sink(&local);
    sink((void *)&inside);
    struct small *moved = (struct small *)((char *)second + 8);
    sink(second);
    return first->a + local.b + moved->a + (twice != 0);
}
void sink(void *p) { asm volatile("" :: "r"(p) : "memory"); }
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variables")
    built(folder, "-g", "-gbtf", text=MORE)
    return folder / "pointers"


@pytest.fixture(scope="module")
def elf(path: Path) -> Elf:
    from tests.frames.programs import opened

    return opened(path)


@pytest.fixture(scope="module")
def units(elf: Elf) -> Units:
    dwarf = open_dwarf(elf, elf.contents)
    return read_units(dwarf, all_unit_offsets(dwarf))


@pytest.fixture(scope="module")
def abbrevs(units: Units) -> Abbrevs:
    tags = (TAG_VARIABLE, TAG_PARAMETER, TAG_UNSPECIFIED, *TYPE_TAGS)
    tables = sorted_unique(units.table)
    ends = np.append(tables[1:], len(units.dwarf.abbrev))
    return read_abbrevs(units.dwarf.abbrev, tables, ends, tags)


@pytest.fixture(scope="module")
def functions(units: Units, path: Path) -> tuple[Subprograms, np.ndarray[Any, Any]]:
    bounds = sorted(
        (entry.attributes["DW_AT_low_pc"].value, entry.attributes["DW_AT_high_pc"].value)
        for entry in entries(path)
        if entry.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in entry.attributes
    )
    start, size = np.array(bounds, np.uint64).T
    found = find_subprograms(units, start, start + size)
    return found, (start + size)[found.wanted]


def entries(path: Path) -> list[Any]:
    with path.open("rb") as file:
        info = elffile.ELFFile(file).get_dwarf_info()
        return [entry for unit in info.iter_CUs() for entry in unit.iter_DIEs()]


def typed(entry: Any) -> Any:
    """The entry's type, its own or that of what it completes; an offset."""
    for name in ("DW_AT_specification", "DW_AT_abstract_origin"):
        if name in entry.attributes and "DW_AT_type" not in entry.attributes:
            return typed(entry.get_DIE_from_attribute(name))
    return entry.get_DIE_from_attribute("DW_AT_type").offset


def places(path: Path) -> set[tuple[int, int, int, int, bool, int]]:
    """Start, end, register, number, whether in memory, and type of all locals with a place."""
    result = set()
    with path.open("rb") as file:
        info = elffile.ELFFile(file).get_dwarf_info()
        lists = locationlists.LocationParser(info.location_lists())
        for unit in info.iter_CUs():
            read = expressions.DWARFExprParser(unit.structs).parse_expr
            for function in unit.iter_DIEs():
                low = function.attributes.get("DW_AT_low_pc")
                if function.tag != "DW_TAG_subprogram" or low is None:
                    continue
                high = low.value + function.attributes["DW_AT_high_pc"].value
                for entry in below(function):
                    location = entry.attributes.get("DW_AT_location")
                    if location is None or entry.tag == "DW_TAG_call_site_parameter":
                        continue
                    parsed = lists.parse_from_attribute(location, unit["version"], entry)
                    whole = not isinstance(parsed, list)
                    base = unit.get_top_DIE().attributes["DW_AT_low_pc"].value
                    for one in [parsed] if whole else parsed:
                        if hasattr(one, "base_address"):
                            base = one.base_address
                            continue
                        place = simple(read(one.loc_expr))
                        start, end = (low.value, high) if whole else between(one, base)
                        if place and (not whole or (place[0] == FRAME_BASE and place[2])):
                            result.add((start, end, *place, typed(entry)))
    return {one for one in result if one[0] < one[1]}


def between(one: Any, base: int) -> tuple[int, int]:
    base = 0 if one.is_absolute else base
    return one.begin_offset + base, one.end_offset + base


def below(entry: Any) -> list[Any]:
    return [each for child in entry.iter_children() for each in (child, *below(child))]


def simple(parsed: list[Any]) -> tuple[int, int, bool] | None:
    names = [one.op_name for one in parsed]
    first = parsed[0]
    if names[0].startswith("DW_OP_reg") and len(names) == 1:
        return int(names[0][9:]), 0, False
    base = FRAME_BASE if names[0] == "DW_OP_fbreg" else None
    if names[0].startswith("DW_OP_breg"):
        base = int(names[0][10:])
    if base is None or names[1:] not in ([], ["DW_OP_stack_value"]):
        return None
    return base, first.args[0], names[1:] == []


def test_variables_with_an_address(path: Path, units: Units, abbrevs: Abbrevs) -> None:
    expected = {}
    for entry in entries(path):
        location = entry.attributes.get("DW_AT_location")
        if entry.tag == "DW_TAG_variable" and location and location.form == "DW_FORM_exprloc":
            raw = bytes(location.value)
            if raw[:1] == b"\3" and len(raw) == 9:
                expected[int.from_bytes(raw[1:], "little")] = typed(entry)
    wanted = np.array(sorted(expected), np.uint64)
    found = find_variables(units, abbrevs, wanted)
    assert dict(zip(found.address.tolist(), found.type.tolist(), strict=True)) == expected
    assert len(find_variables(units, abbrevs, wanted + np.uint64(1)).address) < len(wanted)


def test_names_of_types(units: Units, abbrevs: Abbrevs, elf: Elf, path: Path) -> None:
    from stackgauge.image.symbols import elf_symbols

    symbols = elf_symbols(elf)
    names = {
        "plain": (TAG_STRUCT, 0, "named_by_typedef"),
        "pointed": (TAG_STRUCT, 1, "named_by_typedef"),
        "several": (TAG_STRUCT, 1, "named_by_typedef"),
        "twice": (TAG_STRUCT, 2, "small"),
        "declared_first": (TAG_STRUCT, 0, "small"),
        "hidden": (TAG_STRUCT, 0, "hidden"),
    }
    for name, expected in names.items():
        address = symbols.find(name)
        assert address is not None
        found = find_variables(units, abbrevs, np.array([address], np.uint64))
        told = name_types(units, abbrevs, found.type)
        row = (int(told.tag[0]), int(told.pointers[0]), told.names[int(told.name[0])])
        assert row == expected, name


def test_places_of_local_variables(
    path: Path,
    units: Units,
    abbrevs: Abbrevs,
    functions: tuple[Subprograms, np.ndarray[Any, Any]],
) -> None:
    found = find_locals(units, abbrevs, *functions)
    ours = set(
        zip(
            found.start.tolist(), found.end.tolist(), found.register.tolist(),
            found.plus.tolist(), found.memory.tolist(), found.type.tolist(), strict=True,
        )
    )  # fmt: skip
    theirs = places(path)
    assert ours == theirs
    assert any(one[4] and one[2] == FRAME_BASE for one in theirs)


def test_arguments(
    path: Path,
    units: Units,
    abbrevs: Abbrevs,
    functions: tuple[Subprograms, np.ndarray[Any, Any]],
) -> None:
    entries_, _ = functions
    found = find_parameters(units, abbrevs, entries_)
    ours: dict[int, list[int]] = {int(one): [] for one in entries_.address}
    for row in np.lexsort((found.place, found.function)).tolist():
        ours[int(entries_.address[found.function[row]])].append(int(found.type[row]))
    theirs = {}
    for entry in entries(path):
        if entry.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in entry.attributes:
            listed = [
                -1 if child.tag == "DW_TAG_unspecified_parameters" else typed(child)
                for child in entry.iter_children()
                if child.tag in ("DW_TAG_formal_parameter", "DW_TAG_unspecified_parameters")
            ]
            theirs[entry.attributes["DW_AT_low_pc"].value] = listed
    whole = {int(a) for a, told in zip(entries_.address, found.whole, strict=True) if told}
    assert {a: ours[a] for a in whole} == {a: theirs[a] for a in whole}
    # An entry without children does not say where it ends, nor does the last of the unit.
    last = max(entries_.address.tolist())
    assert set(theirs) - whole <= {last, *(a for a, listed in theirs.items() if not listed)}
