"""Where functions stand in the source: file and line, from debug information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.frames.source_paths import SourceTree
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.dwarf_bytes import Contents, Dwarf, Positions, open_dwarf
from stackgauge.image.dwarf_declared import Declared, declared
from stackgauge.image.dwarf_entries import AT_COMP_DIR, AT_NAME, AT_STMT_LIST
from stackgauge.image.dwarf_files import read_file_table
from stackgauge.image.dwarf_subprograms import find_subprograms
from stackgauge.image.dwarf_units import Aranges, Units, all_unit_offsets, read_aranges, read_units
from stackgauge.image.elf import Elf


@dataclass(frozen=True, eq=False)
class SourceLines:
    """Where each function is declared.

    Attributes:
        file: paths from the top of the source tree; empty where not known.
        line: int32; 0 where not known. Of assembly, and of functions without an entry of their
            own, the file alone is known: that of the unit.
    """

    file: list[str]
    line: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Bodies:
    """Functions of the debug information that begin in ranges of addresses.

    Attributes:
        range: the range, an index, int64.
        address: where the function begins, uint64.
        name: its name; empty where not known.
    """

    range: Positions
    address: NDArray[np.uint64]
    name: list[str]


# GCC counts a function from after the instructions that -fpatchable-function-entry leaves room
# for, two of four bytes on arm64 and up to sixteen bytes on RISC-V; the symbol stands before them.
_PATCHABLE = 32


def source_lines(
    elf: Elf, contents: Contents, starts: NDArray[np.uint64], sizes: NDArray[np.uint64]
) -> SourceLines:
    """Where functions are declared in the source.

    Only units that hold one of the functions are read, so that few functions cost little.
    Whatever is missing, broken or of a kind not read here leaves a function not known.

    Args:
        elf: the image.
        contents: gives a section's bytes by name, relocated and decompressed; empty if absent.
        starts: where the functions begin, in any order.
        sizes: their bytes, 0 where not known.
    """
    file, line = [""] * len(starts), np.zeros(len(starts), np.int32)
    dwarf = open_dwarf(elf, contents)
    if not len(starts) or not len(dwarf.info) or not len(dwarf.abbrev):
        return SourceLines(file, line)
    wanted, of = np.unique(starts.astype(np.uint64), return_inverse=True)
    aranges = read_aranges(dwarf)
    in_unit = aranges.units(wanted)
    units = read_units(dwarf, _candidates(dwarf, aranges, in_unit))
    found = find_subprograms(units, wanted, _ends(wanted, of, sizes))
    # The first one in each function.
    order = np.argsort(found.address, kind="stable")
    found = found.take(order[np.unique(found.wanted[order], return_index=True)[1]])
    told = declared(units, found)

    names = _Names(dwarf)
    declared_in = names.of_files(told)
    known = np.flatnonzero([path != "" for path in declared_in])
    files, lines = [""] * len(wanted), np.zeros(len(wanted), np.int32)
    lines[found.wanted[known]] = told.line[known]
    for index, row in zip(found.wanted[known].tolist(), known.tolist(), strict=True):
        files[index] = declared_in[row]
    others = np.flatnonzero(lines == 0)
    for index, path in zip(
        others.tolist(), names.of_units(units, units.starting(in_unit[others])), strict=True
    ):
        files[index] = files[index] or path
    return SourceLines([files[index] for index in of.tolist()], lines[of])


def bodies_between(
    elf: Elf, contents: Contents, starts: NDArray[np.uint64], ends: NDArray[np.uint64]
) -> Bodies:
    """Functions that begin in ranges of code, for code that no symbol covers.

    The body of a ``__weak`` function that another one overrides stays in the image, and so does
    its debug entry, while its symbol is gone.

    Args:
        elf: the image.
        contents: gives a section's bytes by name, relocated and decompressed; empty if absent.
        starts: where the ranges begin, ascending.
        ends: where they end; none reaches into the next.
    """
    dwarf = open_dwarf(elf, contents)
    if not len(starts) or not len(dwarf.info) or not len(dwarf.abbrev):
        return Bodies(np.zeros(0, np.int64), np.zeros(0, np.uint64), [])
    units = read_units(dwarf, read_aranges(dwarf).units_between(starts, ends))
    found = find_subprograms(units, starts.astype(np.uint64), ends.astype(np.uint64))
    found = found.take(np.argsort(found.address, kind="stable"))
    return Bodies(found.wanted, found.address, declared(units, found).names())


def _ends(
    wanted: NDArray[np.uint64], of: Positions, sizes: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """How far from its start a function's entry may say that it begins."""
    size = np.zeros(len(wanted), np.uint64)
    np.maximum.at(size, of, sizes.astype(np.uint64))
    size[size == 0] = _PATCHABLE
    ends = wanted + np.minimum(size, np.uint64(_PATCHABLE))
    ends[:-1] = np.minimum(ends[:-1], wanted[1:])
    return np.maximum(ends, wanted)  # at the end of the address space


def _candidates(dwarf: Dwarf, aranges: Aranges, in_unit: Positions) -> Positions:
    """Offsets of the units that may hold the functions."""
    listed = in_unit[in_unit >= 0]
    if len(listed) == len(in_unit):
        return listed
    # LLVM lists no unit in .debug_aranges, so that those not listed there may hold the others.
    every = all_unit_offsets(dwarf)
    known = sorted_unique(aranges.unit)
    new = np.searchsorted(known, every, "right") == np.searchsorted(known, every)
    return np.concatenate((listed, every[new]))


class _Names:
    """Files by number and units by index, as paths."""

    def __init__(self, dwarf: Dwarf) -> None:
        self._dwarf = dwarf
        self._tree = SourceTree(dwarf)

    def of_units(self, units: Units, which: Positions) -> list[str]:
        """The file that each unit was compiled from; empty for -1."""
        unique, of = np.unique(which, return_inverse=True)
        inside = unique[unique >= 0]
        compilations, names = (units.root_texts(a, inside) for a in (AT_COMP_DIR, AT_NAME))
        paths = [""] * (len(unique) - len(inside))
        paths += [
            self._tree.path(compilation, "", name)
            for compilation, name in zip(compilations, names, strict=True)
        ]
        return [paths[index] for index in of.tolist()]

    def of_files(self, told: Declared) -> list[str]:
        """The file that each function is declared in; empty where not known."""
        pairs = (told.file_unit << 32) + np.minimum(told.file, (1 << 32) - 1)
        unique, of = np.unique(pairs, return_inverse=True)
        inside, of_unit = np.unique(unique[unique >= 0] >> 32, return_inverse=True)
        compilations = told.units.root_texts(AT_COMP_DIR, inside)
        lines = told.units.roots[AT_STMT_LIST].take(inside)
        tables = [
            read_file_table(self._dwarf, at) if there else None
            for at, there in zip(lines.value.tolist(), lines.there.tolist(), strict=True)
        ]
        paths = [""] * int((unique < 0).sum())
        # One look-up for each file of a unit that has a function.
        for unit, number in zip(of_unit.tolist(), unique[unique >= 0].tolist(), strict=True):
            table = tables[unit]
            directory, name = table.name(number & 0xFFFFFFFF) if table else ("", "")
            paths.append(self._tree.path(compilations[unit], directory, name))
        return [paths[index] for index in of.tolist()]
