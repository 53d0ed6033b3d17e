"""Variables with a fixed address, found without walking through all entries.

Their entries carry DW_AT_location as an expression of one operation, DW_OP_addr and the address
(DWARF 5, section 2.6.1.1.3). All such bytes with an address that is asked for are found in one
pass; from each, the shapes that the unit's abbreviations allow tell where the entry may begin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_abbrev import FORM_SIZES, Abbrevs
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import (
    AT_ABSTRACT_ORIGIN,
    AT_SPECIFICATION,
    AT_TYPE,
    Attribute,
    read_entries,
)
from stackgauge.image.dwarf_units import Units

AT_LOCATION = 0x02
TAG_PARAMETER = 0x05
TAG_VARIABLE = 0x34

_OP_ADDR = 3

# How much is searched at a time: what a core's cache holds.
_PIECE = 1 << 20

# Strings in place are those that are shorter than an offset into .debug_str; numbers of varying
# size are lines and columns.
_LONGEST_STRING = 16
_LONGEST_LEB = 3
_MOST_EXTRA = 32

# More pairs of places and shapes than any kernel has (millions), so that memory stays bounded.
_MOST_PAIRS = 1 << 25


@dataclass(frozen=True, eq=False)
class Variables:
    """Variables, one row each, by ascending address; an address may have several.

    Attributes:
        address: where it lies, uint64.
        unit: the unit of its entry, an index, int64.
        type: where the entry of its type begins in ``.debug_info``, int64.
    """

    address: NDArray[np.uint64]
    unit: Positions
    type: Positions


@dataclass(frozen=True, eq=False)
class _Shapes:
    """Declarations of such variables, sorted by table; a row for each possible size."""

    table: Positions
    code: Positions
    row: Positions
    before: Positions


def find_variables(units: Units, abbrevs: Abbrevs, wanted: NDArray[np.uint64]) -> Variables:
    """The variables that lie at some addresses.

    Args:
        units: where to look.
        abbrevs: declarations of these units, those of variables among them.
        wanted: addresses, ascending, each once.
    """
    decl = np.flatnonzero(abbrevs.tag == TAG_VARIABLE)
    lists = abbrevs.lists(decl)
    shapes = _shapes(units, abbrevs, decl)
    hits, address = _search(units, wanted)
    unit = units.holding(hits)
    low = np.searchsorted(shapes.table, units.table[unit])
    count = np.searchsorted(shapes.table, units.table[unit], "right") - low
    count[(unit < 0) | (np.cumsum(count) > _MOST_PAIRS)] = 0
    hit = np.repeat(np.arange(len(hits)), count)
    shape = np.arange(len(hit)) - np.repeat(np.cumsum(count) - count - low, count)
    # The entry's code stands before its attributes; its last byte alone rules out nearly all.
    code, begin = shapes.code[shape], hits[hit] - shapes.before[shape]
    length = 1 + (code >= 1 << 7) + (code >= 1 << 14)
    last = (code >> (7 * (length - 1))).astype(np.uint8)
    fits = np.flatnonzero(units.dwarf.info.bytes(begin - 1) == last)
    value, after = units.dwarf.info.ulebs((begin - length)[fits])
    fits = fits[(value == code[fits]) & (after == begin[fits])]
    hit, shape, begin = hit[fits], shape[fits], begin[fits]
    whole, read = read_entries(
        units.dwarf, lists, shapes.row[shape], begin, units.end[unit[hit]],
        (AT_LOCATION, AT_TYPE, AT_SPECIFICATION, AT_ABSTRACT_ORIGIN),
    )  # fmt: skip
    type_ = referred_types(units, abbrevs, unit[hit], read)
    # A place where two entries may begin tells nothing unless both say the same.
    fine = np.flatnonzero(whole & (read[AT_LOCATION].at == hits[hit]) & (type_ >= 0))
    fine = fine[np.lexsort((type_[fine], hits[hit[fine]]))]
    once = np.ones(len(fine), bool)
    same = hit[fine[1:]] == hit[fine[:-1]]
    once[1:] &= ~same
    once[:-1] &= ~(same & (type_[fine[1:]] != type_[fine[:-1]]))
    fine = fine[once]
    fine = fine[np.argsort(address[hit[fine]], kind="stable")]
    return Variables(address[hit[fine]], unit[hit[fine]], type_[fine])


def _search(units: Units, wanted: NDArray[np.uint64]) -> tuple[Positions, NDArray[np.uint64]]:
    """Where an expression that is a wanted address stands, and the address."""
    dwarf = units.dwarf
    data, size = dwarf.info.data, dwarf.width + 1
    found = [np.zeros(0, np.int64)]
    for start in range(0, max(len(data) - size, 0), _PIECE):
        piece = data[start : start + _PIECE + 1]
        found.append(np.flatnonzero((piece[:-1] == size) & (piece[1:] == _OP_ADDR)) + start)
    hits = np.concatenate(found)
    address = dwarf.info.numbers(dwarf.width, hits + 2)
    if not len(wanted):
        return hits[:0], address[:0]
    at = np.minimum(np.searchsorted(wanted, address), len(wanted) - 1)
    kept = wanted[at] == address
    return hits[kept], address[kept]


def _shapes(units: Units, abbrevs: Abbrevs, decl: Positions) -> _Shapes:
    lists = abbrevs.lists(decl)
    size = FORM_SIZES[units.dwarf.width][lists.form].astype(np.int64)
    owner = lists.owners()
    place = np.flatnonzero((lists.attr == AT_LOCATION) & (lists.form == forms.FORM_EXPRLOC))
    row = owner[place]
    first = lists.first[row]

    def before(values: Positions | NDArray[np.bool_]) -> Positions:
        sums: Positions = np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))
        difference: Positions = sums[place] - sums[first]
        return difference

    fixed = before(np.maximum(size, 0))
    lebs, strings = before(size == forms.LEB), before(size == forms.STRING)
    clear = before(size < forms.STRING) == 0
    least = lebs + strings
    most = np.minimum(lebs * _LONGEST_LEB + strings * _LONGEST_STRING, _MOST_EXTRA)
    each = np.repeat(np.arange(len(place)), np.where(clear, np.maximum(most - least, 0) + 1, 0))
    extra = least[each] + np.arange(len(each)) - np.searchsorted(each, each)
    return _Shapes(
        abbrevs.table[decl[row[each]]], abbrevs.code[decl[row[each]]], row[each],
        fixed[each] + extra,
    )  # fmt: skip


def reference_targets(units: Units, unit: Positions, reference: Attribute) -> Positions:
    """Where the entries referred to begin; -1 where there is none, or it is in another file."""
    value = np.minimum(reference.value, np.uint64(1 << 62)).astype(np.int64)
    inside = (reference.form >= 0x11) & (reference.form <= 0x15)
    base = units.offset[unit] if len(units) else unit
    target = np.where(inside, base + np.minimum(value, len(units.dwarf.info)), -1)
    return np.where(reference.form == forms.FORM_REF_ADDR, value, target)


def referred_types(
    units: Units, abbrevs: Abbrevs, unit: Positions, read: dict[int, Attribute]
) -> Positions:
    """Where the types of variables stand: their own, or those of what they are copies of.

    Args:
        units: the units.
        abbrevs: declarations of these units, those of variables and arguments among them.
        unit: each entry's unit.
        read: DW_AT_type, and DW_AT_specification or DW_AT_abstract_origin, of the entries.

    Returns:
        Positions in ``.debug_info``; -1 where there is no type.
    """
    own = reference_targets(units, unit, read[AT_TYPE])
    declared = np.full(len(own), -1)
    for name in (AT_SPECIFICATION, AT_ABSTRACT_ORIGIN):
        if name in read:
            declared = np.maximum(declared, reference_targets(units, unit, read[name]))
    rows = np.flatnonzero((own < 0) & (declared >= 0))
    of = units.holding(declared[rows])
    code, at = units.dwarf.info.ulebs(declared[rows])
    decl = np.where(of >= 0, abbrevs.find(units.table[of], code), -1)
    known = np.flatnonzero(decl >= 0)
    tag = abbrevs.tag[decl[known]]
    known = known[(tag == TAG_VARIABLE) | (tag == TAG_PARAMETER)]
    which, list_row = np.unique(decl[known], return_inverse=True)
    whole, there = read_entries(
        units.dwarf, abbrevs.lists(which), list_row, at[known], units.end[of[known]], (AT_TYPE,)
    )
    found = reference_targets(units, of[known], there[AT_TYPE])
    own[rows[known]] = np.where(whole, found, -1)
    return own
