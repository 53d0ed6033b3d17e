"""Types of variables with a fixed address, by debug information, as types of BTF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.layout import UNKNOWN, Layouts
from stackgauge.errors import InputError
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.btf import Btf, BtfKind
from stackgauge.image.dwarf_abbrev import read_abbrevs
from stackgauge.image.dwarf_bytes import open_dwarf
from stackgauge.image.dwarf_names import (
    TAG_STRUCT,
    TAG_SUBROUTINE,
    TAG_UNION,
    TYPE_TAGS,
    Named,
    name_types,
)
from stackgauge.image.dwarf_units import all_unit_offsets, read_units
from stackgauge.image.dwarf_variables import TAG_VARIABLE, find_variables
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import STT_OBJECT, Symbols

Numbers = NDArray[np.int64]

# The type of a variable that points to functions, whose prototype is not looked at.
FUNCTION_POINTER = -1


@dataclass(frozen=True, eq=False)
class Variables:
    """Variables, by ascending address; columns of one length.

    Attributes:
        start, end: addresses, uint64.
        type: without qualifiers, of an array that of its elements; UNKNOWN, or FUNCTION_POINTER;
            int64.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    type: Numbers

    def __len__(self) -> int:
        """How many there are."""
        return len(self.start)

    def find(self, address: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The row of the variable that holds each address; -1 where none does."""
        at = np.searchsorted(self.start, address, side="right") - 1
        inside = (at >= 0) & (address < np.append(self.end, np.uint64(0))[at])
        return np.where(inside, at, -1)


def read_variables(
    elf: Elf,
    contents: Callable[[str], Bytes],
    symbols: Symbols,
    layouts: Layouts,
    wanted: NDArray[np.uint64],
) -> Variables:
    """The data objects of an image, with the types that debug information and BTF tell.

    Args:
        elf: the image.
        contents: gives a section's bytes by name, relocated and decompressed.
        symbols: its symbols.
        layouts: its types.
        wanted: addresses, in any order: objects that hold none of them are left without a type.
    """
    rows = np.flatnonzero((symbols.type == STT_OBJECT) & (symbols.section >= 0))
    rows = rows[np.lexsort((symbols.size[rows], symbols.value[rows]))]
    if not len(rows):
        # One that holds nothing: there is always a row to look at.
        nowhere = np.zeros(1, np.uint64)
        return Variables(nowhere, nowhere, np.zeros(1, np.int64))
    # Of several at one address the largest.
    last = np.append(symbols.value[rows[1:]] != symbols.value[rows[:-1]], True)[: len(rows)]
    rows = rows[last]
    start = symbols.value[rows]
    # None reaches into the next.
    limit = np.append(start[1:], np.uint64(0xFFFF_FFFF_FFFF_FFFF))[: len(start)]
    end = np.minimum(start + symbols.size[rows], limit)
    found = Variables(start, end, np.zeros(len(start), np.int64))
    used = sorted_unique(found.find(wanted))
    used = used[used >= 0]
    found.type[used] = _types(elf, contents, start[used], layouts)
    return found


def _types(
    elf: Elf, contents: Callable[[str], Bytes], start: NDArray[np.uint64], layouts: Layouts
) -> Numbers:
    result = np.zeros(len(start), np.int64)
    try:
        dwarf = open_dwarf(elf, contents)
        if not len(dwarf.info) or not len(dwarf.abbrev) or not len(start):
            return result
        units = read_units(dwarf, all_unit_offsets(dwarf))
        tables = sorted_unique(units.table)
        if not len(tables):
            return result
        ends = np.append(tables[1:], len(dwarf.abbrev))
        abbrevs = read_abbrevs(dwarf.abbrev, tables, ends, (TAG_VARIABLE, *TYPE_TAGS))
        found = find_variables(units, abbrevs, start)
        named = name_types(units, abbrevs, found.type)
    except InputError:  # a section that cannot be decompressed or relocated
        return result
    types = types_in_btf(layouts, named)
    # An address with entries of different types (a union of weak ones) tells nothing.
    at = np.searchsorted(start, found.address)
    least, most = np.full(len(start), 1 << 40), np.full(len(start), -(1 << 40))
    np.minimum.at(least, at, types)
    np.maximum.at(most, at, types)
    return np.where(least == most, least, UNKNOWN)


def types_in_btf(layouts: Layouts, named: Named) -> Numbers:
    """The types of BTF that are called as types of debug information are.

    Returns:
        Types; UNKNOWN where there is none, FUNCTION_POINTER for a pointer to functions.
    """
    btf = layouts.btf
    by_name = _by_name(btf)
    pair = named.name * 2 + (named.tag == TAG_STRUCT)
    distinct, of = np.unique(pair, return_inverse=True)
    # One look-up for each name: they have to be compared whole.
    found = [
        by_name.get((bool(one & 1), named.names[one >> 1].encode()), UNKNOWN)
        for one in distinct.tolist()
    ]
    types = np.array(found, np.int64)[of] if found else np.zeros(0, np.int64)
    types[(named.tag != TAG_STRUCT) & (named.tag != TAG_UNION)] = UNKNOWN
    pointer_to = np.zeros(len(btf), np.int64)
    rows = np.flatnonzero(btf.kind == BtfKind.PTR)[::-1]
    pointer_to[btf.plain[btf.type[rows]]] = rows
    pointer_to[UNKNOWN] = UNKNOWN
    for depth in range(int(named.pointers.max(initial=0))):
        types = np.where(named.pointers > depth, pointer_to[types], types)
    function = (named.tag == TAG_SUBROUTINE) & (named.pointers == 1)
    return np.where(function, FUNCTION_POINTER, types)


def by_names(layouts: Layouts, named: Named) -> Numbers:
    """The structures and unions that types lead to, by however many pointers; else UNKNOWN."""
    by_name = _by_name(layouts.btf)
    pair = named.name * 2 + (named.tag == TAG_STRUCT)
    distinct, of = np.unique(pair, return_inverse=True)
    # One look-up for each name: they have to be compared whole.
    found = [
        by_name.get((bool(one & 1), named.names[one >> 1].encode()), UNKNOWN)
        for one in distinct.tolist()
    ]
    types = np.array(found, np.int64)[of] if found else np.zeros(0, np.int64)
    types[(named.tag != TAG_STRUCT) & (named.tag != TAG_UNION)] = UNKNOWN
    return types


def _by_name(btf: Btf) -> dict[tuple[bool, bytes], int]:
    """Structures and unions by whether they are one and by name, of their own or a typedef's."""
    rows = np.flatnonzero((btf.name > 0) & np.isin(btf.kind, (BtfKind.STRUCT, BtfKind.UNION)))
    through = np.flatnonzero((btf.kind == BtfKind.TYPEDEF) & (btf.name[btf.plain] == 0))
    rows = np.append(rows, through[btf.plain[through] > 0])
    plain = btf.plain[rows]
    keys = zip((btf.kind[plain] == BtfKind.STRUCT).tolist(), btf.strings.slices(btf.name[rows]),
               strict=True)  # fmt: skip
    found: dict[tuple[bool, bytes], int] = {}
    for key, type_ in zip(keys, plain.tolist(), strict=True):
        found.setdefault(key, type_)
    return found
