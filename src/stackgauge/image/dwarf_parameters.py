"""What arguments functions take, by their debug entries, for many functions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.dwarf_abbrev import Abbrevs
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import (
    AT_ABSTRACT_ORIGIN,
    AT_SIBLING,
    AT_TYPE,
    entry_ends,
    read_entries,
)
from stackgauge.image.dwarf_subprograms import Subprograms
from stackgauge.image.dwarf_units import Units
from stackgauge.image.dwarf_variables import TAG_PARAMETER, referred_types

TAG_UNSPECIFIED = 0x18

# More arguments than any function of the kernel takes.
_MOST_PARAMETERS = 24


@dataclass(frozen=True, eq=False)
class Parameters:
    """Arguments, by function and place.

    Attributes:
        function: the function's row, int64.
        place: which argument it is, from 0 on, int64.
        type: where the entry of its type begins in ``.debug_info``; -1 for ``...``, int64.
        whole: by function, whether these are all its arguments, bool.
    """

    function: Positions
    place: Positions
    type: Positions
    whole: NDArray[np.bool_]


def find_parameters(units: Units, abbrevs: Abbrevs, functions: Subprograms) -> Parameters:
    """The arguments of some functions: the first children of their entries.

    Args:
        units: the functions' units.
        abbrevs: declarations of these units, TAG_PARAMETER and TAG_UNSPECIFIED among them.
        functions: the functions' entries.
    """
    sibling = functions.attributes[AT_SIBLING]
    # Compilers write it last, and leave it out of the last entry of a unit.
    at, live = sibling.at + 4, np.flatnonzero(sibling.there)
    whole = np.zeros(len(sibling.at), bool)
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for place in range(_MOST_PARAMETERS):
        unit = functions.unit[live]
        code, after = units.dwarf.info.ulebs(at[live])
        decl = abbrevs.find(units.table[unit], code)
        # Anything else, or the end of the list, comes after the last argument.
        told = np.flatnonzero(decl >= 0)
        tag = abbrevs.tag[decl[told]]
        told = told[(tag == TAG_PARAMETER) | (tag == TAG_UNSPECIFIED)]
        whole[live] = True
        whole[live[told]] = False
        live, unit, decl, after = live[told], unit[told], decl[told], after[told]
        if not len(live):
            break
        which, row = np.unique(decl, return_inverse=True)
        lists = abbrevs.lists(which)
        good, read = read_entries(
            units.dwarf, lists, row, after, units.end[unit], (AT_TYPE, AT_ABSTRACT_ORIGIN)
        )
        # ``...`` has no attributes at all, and counts as an entry that is not whole.
        type_ = np.where(good, referred_types(units, abbrevs, unit, read), -1)
        parts.append((live, np.full(len(live), place), type_))
        at[live] = entry_ends(units.dwarf, lists, row, after)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Parameters(columns[0], columns[1], columns[2], whole)
