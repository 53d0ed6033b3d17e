"""Units of debug information: where they are, and which of them an address belongs to."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.dwarf_abbrev import Abbrevs, read_abbrevs
from stackgauge.image.dwarf_bytes import Dwarf, Positions
from stackgauge.image.dwarf_entries import (
    AT_ADDR_BASE,
    AT_COMP_DIR,
    AT_NAME,
    AT_PRODUCER,
    AT_STMT_LIST,
    AT_STR_OFFSETS_BASE,
    Attribute,
    read_entries,
)

_TAGS = (
    forms.TAG_SUBPROGRAM,
    forms.TAG_COMPILE_UNIT,
    forms.TAG_PARTIAL_UNIT,
    forms.TAG_SKELETON_UNIT,
)

# DW_UT_* whose header is longer, by how many bytes (DWARF 5, section 7.5.1).
_LONGER_HEADERS = {0x02: 12, 0x04: 8, 0x05: 8, 0x06: 12}

# DW_FORM_strx and its kin.
_INDEXED_STRINGS = (0x1A, 0x25, 0x26, 0x27, 0x28)

# A length from here on is an escape: 64-bit DWARF, which no kernel is built with, or reserved.
_RESERVED_LENGTH = 0xFFFFFFF0


@dataclass(frozen=True, eq=False)
class Units:
    """Units in the order of the section, those that cannot be read left out.

    Attributes:
        dwarf: the sections.
        offset: where the unit's header begins in ``.debug_info``, int64.
        end: where the unit ends, int64.
        version: the version of DWARF, int64.
        table: its abbreviations' offset, int64.
        root: where its first entry, the compile unit itself, begins, int64.
    """

    dwarf: Dwarf
    offset: Positions
    end: Positions
    version: Positions
    table: Positions
    root: Positions

    def __len__(self) -> int:
        """How many units there are."""
        return len(self.offset)

    def holding(self, at: Positions) -> Positions:
        """Which unit a position of ``.debug_info`` lies in; -1 where it lies in none of these."""
        if not len(self):
            return np.full(len(at), -1)
        index = np.searchsorted(self.offset, at, "right") - 1
        inside = (index >= 0) & (at >= self.root[index]) & (at < self.end[index])
        return np.where(inside, index, -1)

    def starting(self, offsets: Positions) -> Positions:
        """Which unit begins at each offset; -1 where none of these does."""
        if not len(self):
            return np.full(len(offsets), -1)
        index = np.minimum(np.searchsorted(self.offset, offsets), len(self) - 1)
        return np.where(self.offset[index] == offsets, index, -1)

    @cached_property
    def abbrevs(self) -> Abbrevs:
        """Declarations of compile units and of functions, of all these units."""
        tables = sorted_unique(self.table)
        section = self.dwarf.abbrev
        if not len(tables):
            return read_abbrevs(section, np.zeros(1, np.int64), np.zeros(1, np.int64), _TAGS)
        # Linkers keep the tables in the order of the units: a table ends where that of a later
        # unit begins.
        later = read_units(self.dwarf, self.end).table if len(self) else self.table
        starts = sorted_unique(np.concatenate((tables, later, [len(section)])))
        ends = starts[np.minimum(np.searchsorted(starts, tables, "right"), len(starts) - 1)]
        return read_abbrevs(section, tables, ends, _TAGS)

    @cached_property
    def roots(self) -> dict[int, Attribute]:
        """Attributes of the compile units themselves."""
        code, at = self.dwarf.info.ulebs(self.root)
        decl = self.abbrevs.find(self.table, code)
        known = np.flatnonzero(decl >= 0)
        known = known[self.abbrevs.tag[decl[known]] != forms.TAG_SUBPROGRAM]
        wanted = (
            AT_NAME,
            AT_COMP_DIR,
            AT_PRODUCER,
            AT_STMT_LIST,
            AT_STR_OFFSETS_BASE,
            AT_ADDR_BASE,
        )
        _, read = read_entries(
            self.dwarf,
            self.abbrevs.lists(decl[known]),
            np.arange(len(known)),
            at[known],
            self.end[known],
            wanted,
        )
        return {name: _spread(each, known, len(self)) for name, each in read.items()}

    @cached_property
    def by_llvm(self) -> NDArray[np.bool_]:
        """Which units clang, rustc or another compiler of LLVM's made."""
        producers = self.root_texts(AT_PRODUCER, np.arange(len(self)))
        return np.array(["clang" in text or "LLVM" in text for text in producers], bool)

    def root_texts(self, attribute: int, which: Positions) -> list[str]:
        """A string attribute of some of the compile units; empty where it is not there."""
        values = self.roots[attribute].take(which)
        kinds = values.value + (values.form.astype(np.uint64) << np.uint64(48))
        if np.isin(values.form, _INDEXED_STRINGS).any():
            kinds = np.arange(len(which), dtype=np.uint64)  # the same number, other strings
        _, first, of = np.unique(kinds, return_index=True, return_inverse=True)
        # One look-up for each string: units share producer and directory.
        texts = [
            self.string(int(which[row]), int(values.form[row]), int(values.value[row]))
            for row in first.tolist()
        ]
        return [texts[index] for index in of.tolist()]

    def string(self, unit: int, form: int, value: int) -> str:
        """A string attribute's text; empty where its form is of a kind that is not read here."""
        dwarf = self.dwarf
        if form == forms.FORM_STRING:
            return dwarf.info.text(value)
        if form == forms.FORM_STRP:
            return dwarf.strings.text(value)
        if form == forms.FORM_LINE_STRP:
            return dwarf.line_strings.text(value)
        if form in _INDEXED_STRINGS:
            base = self.roots[AT_STR_OFFSETS_BASE].value[unit]
            where = np.array([min(int(base) + 4 * value, len(dwarf.str_offsets))])
            return dwarf.strings.text(int(dwarf.str_offsets.numbers(4, where)[0]))
        return ""


def _spread(attribute: Attribute, rows: Positions, count: int) -> Attribute:
    """The attribute of ``rows``, in arrays of ``count`` rows."""
    at, form = np.full(count, -1), np.zeros(count, np.uint8)
    value = np.zeros(count, np.uint64)
    at[rows], form[rows], value[rows] = attribute.at, attribute.form, attribute.value
    return Attribute(at, form, value)


def read_units(dwarf: Dwarf, offsets: Positions) -> Units:
    """The units whose headers begin at ``offsets``.

    Left out are those that do not lie in the section, and those that are not 32-bit DWARF 3 to 5
    with addresses of the image's size.
    """
    info = dwarf.info
    offset = sorted_unique(offsets)
    offset = offset[(offset >= 0) & (offset + 12 <= len(info))]
    length = info.numbers(4, offset).astype(np.int64)
    version = info.numbers(2, offset + 4).astype(np.int64)
    kind = info.bytes(offset + 6)
    new = version >= 5
    width = np.where(new, info.bytes(offset + 7), info.bytes(offset + 10))
    table = info.numbers(4, np.where(new, offset + 8, offset + 6)).astype(np.int64)
    root = offset + np.where(new, 12, 11)
    for longer, by in _LONGER_HEADERS.items():
        root[new & (kind == longer)] += by
    end = offset + 4 + length
    fine = (version >= 3) & (version <= 5) & (width == dwarf.width) & (length < _RESERVED_LENGTH)
    fine &= (end <= len(info)) & (root < end) & (table < len(dwarf.abbrev))
    # Units do not overlap; of a broken section the first ones count.
    fine[1:] &= offset[1:] >= np.maximum.accumulate(np.where(fine, end, 0))[:-1]
    return Units(dwarf, offset[fine], end[fine], version[fine], table[fine], root[fine])


def all_unit_offsets(dwarf: Dwarf) -> Positions:
    """Where every unit begins: one header says where the next one is."""
    raw, length_at = dwarf.info.data.data, struct.Struct(dwarf.order + "I").unpack_from
    found, at, size = [], 0, len(dwarf.info)
    # A chain cannot be followed all at once; bounded by the number of units.
    while at + 12 <= size:
        found.append(at)
        length = length_at(raw, at)[0]
        if length < 8 or length >= _RESERVED_LENGTH:
            break
        at += 4 + length
    return np.array(found, np.int64)


@dataclass(frozen=True, eq=False)
class Aranges:
    """``.debug_aranges``: address ranges sorted by start, each with the offset of its unit."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    unit: Positions

    def units(self, addresses: NDArray[np.uint64]) -> Positions:
        """The offset of the unit that each address belongs to; -1 where that is not told."""
        if not len(self.start):
            return np.full(len(addresses), -1)
        at = np.searchsorted(self.start, addresses, "right") - 1
        return np.where((at >= 0) & (addresses < self.end[at]), self.unit[at], -1)

    def units_between(self, starts: NDArray[np.uint64], ends: NDArray[np.uint64]) -> Positions:
        """The offsets of the units that have code in any of some ranges, each once."""
        low = np.searchsorted(self.start, starts, "right") - 1
        low += (low < 0) | (self.end[np.maximum(low, 0)] <= starts) if len(self.start) else 1
        high = np.maximum(np.searchsorted(self.start, ends), low)
        return sorted_unique(
            np.concatenate(
                [self.unit[a:b] for a, b in zip(low.tolist(), high.tolist(), strict=True)]
            )
        )


def read_aranges(dwarf: Dwarf) -> Aranges:
    """Read ``.debug_aranges`` (DWARF 5, section 6.1.2); sets that are broken are left out."""
    section, width = dwarf.aranges, dwarf.width
    header = struct.Struct(dwarf.order + "IHIBB")
    raw, size, at = section.data.data, len(section), 0
    sets = []
    # A chain of sets, one a unit.
    while at + header.size <= size:
        length, version, unit, address_size, segment_size = header.unpack_from(raw, at)
        end = at + 4 + length
        if length < 8 or end > size:
            break
        if version == 2 and address_size == width and segment_size == 0:
            # The first pair is aligned, counted from the set's beginning, to its own size.
            first = at + -(-header.size // (2 * width)) * 2 * width
            sets.append((first, max(end - first, 0) // (2 * width), unit))
        at = end
    if not sets:
        none = np.zeros(0, np.uint64)
        return Aranges(none, none, np.zeros(0, np.int64))
    first, count, unit_of = np.array(sets, np.int64).T
    total = int(count.sum())
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    where = np.repeat(first, count) + within * (2 * width)
    start, length = section.numbers(width, where), section.numbers(width, where + width)
    # Address 0 is code that the linker dropped, or the pair of zeros that ends a set.
    kept = np.flatnonzero((start > 0) & (length > 0) & (start + length > start))
    kept = kept[np.argsort(start[kept], kind="stable")]
    return Aranges(start[kept], (start + length)[kept], np.repeat(unit_of, count)[kept])


def units_not_listed(dwarf: Dwarf, aranges: Aranges) -> Positions:
    """Units that ``.debug_aranges`` leaves out: LLVM lists none, so they may hold any function."""
    every, listed = all_unit_offsets(dwarf), sorted_unique(aranges.unit)
    low, high = np.searchsorted(listed, every), np.searchsorted(listed, every, "right")
    return np.compress(low == high, every)
