"""The debug entry of one function, found without reading those of others."""

from __future__ import annotations

import numpy as np

from stackgauge.image.dwarf_bytes import Dwarf
from stackgauge.image.dwarf_subprograms import find_subprograms
from stackgauge.image.dwarf_tree import Entry, Tree
from stackgauge.image.dwarf_units import read_aranges, read_units, units_not_listed

# DW_AT_dwo_name and, before DWARF 5, DW_AT_GNU_dwo_name.
_AT_DWO_NAMES = (0x76, 0x2130)

# A function's entry may begin after NOPs that its symbol covers (-fpatchable-function-entry).
_PATCHABLE = 32


def function_entry(dwarf: Dwarf, start: int, end: int) -> tuple[Entry | None, str]:
    """The entry of the function at some addresses, or why there is none.

    Raises:
        BrokenError: its unit can't be read.
        InputError: a section can't be decompressed or relocated.
    """
    if not len(dwarf.info) or not len(dwarf.abbrev):
        return None, "the image has no debug information"
    begin, stop = (np.array([each], np.uint64) for each in (start, min(end, start + _PATCHABLE)))
    aranges = read_aranges(dwarf)
    listed = aranges.units_between(begin, stop)
    units = read_units(dwarf, listed if len(listed) else units_not_listed(dwarf, aranges))
    if not len(units):
        return None, "no unit of debug information that can be read covers it"
    found = find_subprograms(units, begin, stop)
    tree = Tree(dwarf)
    if len(found.at):
        at = int(units.offset[found.unit[0]])
        return tree.unit(at).entry(int(found.at[0])), ""
    for offset in listed.tolist():
        root = tree.unit(offset).root
        names = [root.text(each) for each in _AT_DWO_NAMES if each in root.values]
        if names:
            return None, f"its debug information lies in {names[0] or 'another file'}"
    return None, "debug information does not describe it"
