"""Where functions stand in the source: file and line, from debug information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.frames.source_files import SourceFiles
from stackgauge.image.dwarf_bytes import Contents, Dwarf, Positions, open_dwarf
from stackgauge.image.dwarf_declared import declared
from stackgauge.image.dwarf_subprograms import find_subprograms
from stackgauge.image.dwarf_units import read_aranges, read_units, units_not_listed
from stackgauge.image.elf import Elf

# GCC counts a function from after the instructions that -fpatchable-function-entry leaves room
# for, two of four bytes on arm64 and up to sixteen bytes on RISC-V; the symbol stands before them.
_PATCHABLE = 32


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
        address: where the function begins, uint64, ascending.
        name: its name; empty where not known.
    """

    range: Positions
    address: NDArray[np.uint64]
    name: list[str]


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
    try:
        dwarf = open_dwarf(elf, contents)
        if len(starts) and len(dwarf.info) and len(dwarf.abbrev):
            return _source_lines(dwarf, starts.astype(np.uint64), sizes.astype(np.uint64))
    except InputError:  # a section that cannot be decompressed or relocated
        pass
    return SourceLines([""] * len(starts), np.zeros(len(starts), np.int32))


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
    try:
        dwarf = open_dwarf(elf, contents)
        if len(starts) and len(dwarf.info) and len(dwarf.abbrev):
            aranges = read_aranges(dwarf)
            listed = aranges.units_between(starts, ends)
            units = read_units(dwarf, np.concatenate((listed, units_not_listed(dwarf, aranges))))
            found = find_subprograms(units, starts.astype(np.uint64), ends.astype(np.uint64))
            return Bodies(found.wanted, found.address, declared(units, found).names())
    except InputError:  # as above
        pass
    return Bodies(np.zeros(0, np.int64), np.zeros(0, np.uint64), [])


def _source_lines(
    dwarf: Dwarf, starts: NDArray[np.uint64], sizes: NDArray[np.uint64]
) -> SourceLines:
    wanted, of = np.unique(starts, return_inverse=True)
    aranges = read_aranges(dwarf)
    ends = _ends(wanted, of, sizes)
    in_unit = aranges.units(wanted)
    # Of a unit's first function what is to be patched may stand before all that the unit lists.
    late = np.flatnonzero(in_unit < 0)
    in_unit[late] = aranges.units(ends[late] - np.uint64(1))
    offsets = in_unit[in_unit >= 0]
    if len(offsets) < len(wanted):
        offsets = np.concatenate((offsets, units_not_listed(dwarf, aranges)))
    units = read_units(dwarf, offsets)
    found = find_subprograms(units, wanted, ends)
    found = found.take(np.unique(found.wanted, return_index=True)[1])
    told = declared(units, found)

    source = SourceFiles(dwarf)
    paths = source.of_functions(told)
    known = np.flatnonzero([path != "" for path in paths])
    files, lines = [""] * len(wanted), np.zeros(len(wanted), np.int32)
    lines[found.wanted[known]] = told.line[known]
    for index, row in zip(found.wanted[known].tolist(), known.tolist(), strict=True):
        files[index] = paths[row]
    others = np.flatnonzero(lines == 0)
    for index, path in zip(
        others.tolist(), source.of_units(units, units.starting(in_unit[others])), strict=True
    ):
        files[index] = files[index] or path
    return SourceLines([files[index] for index in of.tolist()], lines[of])


def _ends(
    wanted: NDArray[np.uint64], of: Positions, sizes: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """How far from its start a function's entry may say that it begins."""
    size = np.zeros(len(wanted), np.uint64)
    np.maximum.at(size, of, sizes)
    size[size == 0] = _PATCHABLE
    ends = wanted + np.minimum(size, np.uint64(_PATCHABLE))
    ends[:-1] = np.minimum(ends[:-1], wanted[1:])
    return np.maximum(ends, wanted)  # at the end of the address space
