"""The shapes that entries of functions with code can have, by the abbreviations of their units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_abbrev import FORM_ADDR, FORM_SIZES, OFFSET_FORMS, Lists
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import AT_FRAME_BASE, AT_HIGH_PC, AT_LOW_PC, AT_RANGES
from stackgauge.image.dwarf_units import Units

_FRAME_BASE_FORMS = (forms.FORM_EXPRLOC, forms.FORM_BLOCK1)

_LENGTH_FORMS = (0x06, 0x07)

# A form of varying size in front of the frame base makes the entry's beginning uncertain by so
# many bytes. Strings in place are those that are shorter than an offset into .debug_str.
_LONGEST_LEB = 3
_LONGEST_STRING = 16
_MOST_EXTRA = 32


@dataclass(frozen=True, eq=False)
class Shapes:
    """Declarations of functions that have code, sorted by table; a row for each possible size.

    Attributes:
        table: the table's offset, int64.
        code: the number by which entries refer to it, int64.
        row: an index into the declarations' attributes, int64.
        before: bytes between the end of the code and the frame base, int64.
        source: what can be read before the entry's beginning is known: the address, from
            DW_AT_low_pc or DW_AT_ranges; else the length, from DW_AT_high_pc; else nothing, 0.
        back: bytes from there to the frame base, int64.
    """

    table: Positions
    code: Positions
    row: Positions
    before: Positions
    source: Positions
    back: Positions

    def take(self, which: Positions) -> Shapes:
        """Some of the shapes."""
        return Shapes(
            self.table[which],
            self.code[which],
            self.row[which],
            self.before[which],
            self.source[which],
            self.back[which],
        )

    def counts(self, units: Units) -> tuple[Positions, Positions]:
        """For each unit, the first of its shapes, and how many it has."""
        low = np.searchsorted(self.table, units.table)
        return low, np.searchsorted(self.table, units.table, "right") - low

    def ways(self) -> list[tuple[int, int, Positions]]:
        """The few ways in which compilers lay entries out: source, back, and which shapes do."""
        pairs = {*zip(self.source.tolist(), self.back.tolist(), strict=True)}
        return [
            (source, back, np.flatnonzero((self.source == source) & (self.back == back)))
            for source, back in sorted(pairs)
        ]


def read_shapes(units: Units) -> tuple[Lists, Shapes]:
    """Declarations of the units' functions that have code: their attributes, and their shapes."""
    abbrevs = units.abbrevs
    decl = abbrevs.mentioning(AT_FRAME_BASE, _FRAME_BASE_FORMS)
    decl = decl[abbrevs.tag[decl] == forms.TAG_SUBPROGRAM]
    lists = abbrevs.lists(decl)
    size = FORM_SIZES[units.dwarf.width][lists.form].astype(np.int64)
    # Sums over all attributes in front, those of the same declaration and of others before it.
    fixed = _sums(np.maximum(size, 0))
    lebs, strings = _sums(size == forms.LEB), _sums(size == forms.STRING)
    others = _sums(size < forms.STRING)
    owner = lists.owners()
    base = np.flatnonzero((lists.attr == AT_FRAME_BASE) & np.isin(lists.form, _FRAME_BASE_FORMS))
    base = base[others[base] == others[lists.first[owner[base]]]]
    row = owner[base]
    first = lists.first[row]

    source, source_at = np.zeros((2, len(lists)), np.int64)
    known = ((AT_HIGH_PC, _LENGTH_FORMS), (AT_RANGES, OFFSET_FORMS), (AT_LOW_PC, (FORM_ADDR,)))
    for name, allowed in known:
        here = np.flatnonzero((lists.attr == name) & np.isin(lists.form, allowed))
        source[owner[here]], source_at[owner[here]] = name, here
    at = source_at[row]
    steady = (at < base) & (lebs[at] == lebs[base]) & (strings[at] == strings[base])
    back = fixed[base] - fixed[at]
    # A length stands right before the frame base.
    steady &= (source[row] != AT_HIGH_PC) | (back == size[at])
    kind = np.where(steady, source[row], 0)

    many_lebs, many_strings = lebs[base] - lebs[first], strings[base] - strings[first]
    least = many_lebs + many_strings
    most = np.minimum(many_lebs * _LONGEST_LEB + many_strings * _LONGEST_STRING, _MOST_EXTRA)
    each = np.repeat(np.arange(len(base)), np.maximum(most - least, 0) + 1)
    extra = least[each] + np.arange(len(each)) - np.searchsorted(each, each)
    return lists, Shapes(
        table=abbrevs.table[decl][row][each],
        code=abbrevs.code[decl][row][each],
        row=row[each],
        before=(fixed[base] - fixed[first])[each] + extra,
        source=kind[each],
        back=np.where(kind > 0, back, 0)[each],
    )


def _sums(values: Positions | NDArray[np.bool_]) -> Positions:
    """What all values in front of each one add up to, and at the end, all."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))
