"""The debug entries of some functions of an image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.frames.measure import Frames
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.dwarf_abbrev import Abbrevs, read_abbrevs
from stackgauge.image.dwarf_bytes import open_dwarf
from stackgauge.image.dwarf_subprograms import Subprograms, find_subprograms
from stackgauge.image.dwarf_units import Units, read_aranges, read_units

Indices = NDArray[np.intp]

# A function's entry may begin behind its symbol, after room for patches.
_PATCHABLE = 32


class Debug(NamedTuple):
    """Entries of functions.

    Attributes:
        units: the units that hold them.
        abbrevs: declarations of these units, of the tags that were asked for.
        entries: the functions' entries; ``wanted`` is an index into the functions asked for.
    """

    units: Units
    abbrevs: Abbrevs
    entries: Subprograms


def function_entries(frames: Frames, functions: Indices, tags: tuple[int, ...]) -> Debug | None:
    """Find the debug entries of functions.

    Args:
        frames: the image.
        functions: its functions, ascending.
        tags: the DW_TAG_* of declarations that will be read.

    Returns:
        None where the image has no debug information that can be read.
    """
    start, end = frames.functions.start[functions], frames.functions.end[functions]
    try:
        dwarf = open_dwarf(frames.image.elf, frames.contents)
        if not len(dwarf.info) or not len(dwarf.abbrev) or not len(functions):
            return None
        offsets = read_aranges(dwarf).units(start)
        units = read_units(dwarf, offsets[offsets >= 0])
        tables = sorted_unique(units.table)
        if not len(tables):
            return None
        # Linkers keep the tables in the order of the units.
        later = read_units(dwarf, units.end).table
        bounds = sorted_unique(np.concatenate((tables, later, [len(dwarf.abbrev)])))
        ends = bounds[np.minimum(np.searchsorted(bounds, tables, "right"), len(bounds) - 1)]
        abbrevs = read_abbrevs(dwarf.abbrev, tables, ends, tags)
    except InputError:  # a section that cannot be decompressed or relocated
        return None
    limit = np.minimum(start + np.uint64(_PATCHABLE), np.append(start[1:], end[-1:]))
    return Debug(units, abbrevs, find_subprograms(units, start, np.minimum(limit, end)))
