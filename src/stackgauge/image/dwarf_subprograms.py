"""The debug entries of functions, found without walking through all entries.

Every entry of a function that has code carries DW_AT_frame_base, which compilers give as an
expression of one operation: two bytes, 1 and the operation. All such pairs in the units of
interest are found in one pass over their bytes. From each one, the shapes that the unit's
abbreviations allow tell where the entry may begin; the entry is then read forward, and counts if
its parts fit together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_abbrev import Lists
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import (
    AT_ABSTRACT_ORIGIN,
    AT_DECL_FILE,
    AT_DECL_LINE,
    AT_FRAME_BASE,
    AT_HIGH_PC,
    AT_LOW_PC,
    AT_NAME,
    AT_RANGES,
    AT_SIBLING,
    AT_SPECIFICATION,
    AT_TYPE,
    Attribute,
    read_entries,
)
from stackgauge.image.dwarf_ranges import beginnings, first_of_ranges
from stackgauge.image.dwarf_shapes import Shapes, read_shapes
from stackgauge.image.dwarf_units import Units
from stackgauge.image.source import Bytes

# DW_OP_call_frame_cfa: what GCC writes, on every architecture.
_GNU_OPERATIONS = (0x9C, 0x9C)
# DW_OP_reg0 to DW_OP_reg31: what LLVM writes, the frame pointer or the stack pointer.
_LLVM_OPERATIONS = (0x50, 0x6F)

# How much is searched at a time: what a core's cache holds.
_PIECE = 1 << 20

# Pairs of places and shapes that are tried at a time, and at all: a kernel has 300,000.
_BATCH = 1 << 18
_MOST_PAIRS = 1 << 26

# No function is longer; bytes that are not a length mostly say more.
_LONGEST_FUNCTION = 1 << 24

_WANTED = (
    AT_NAME,
    AT_LOW_PC,
    AT_HIGH_PC,
    AT_RANGES,
    AT_DECL_FILE,
    AT_DECL_LINE,
    AT_ABSTRACT_ORIGIN,
    AT_SPECIFICATION,
    AT_TYPE,
    AT_SIBLING,
    AT_FRAME_BASE,
)


@dataclass(frozen=True, eq=False)
class Subprograms:
    """Entries of functions.

    Attributes:
        wanted: which of the wanted ranges the function begins in, int64.
        address: where it begins, uint64; ascending.
        unit: the unit of its entry, an index, int64.
        at: where its entry begins in ``.debug_info``, int64.
        attributes: the entry's attributes by DW_AT_*.
    """

    wanted: Positions
    address: NDArray[np.uint64]
    unit: Positions
    at: Positions
    attributes: dict[int, Attribute]

    def take(self, which: Positions | NDArray[np.bool_]) -> Subprograms:
        """Some of the entries."""
        return Subprograms(
            self.wanted[which],
            self.address[which],
            self.unit[which],
            self.at[which],
            {name: each.take(which) for name, each in self.attributes.items()},
        )


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Places where an entry of a function may be: its frame base, its unit, its shape."""

    hit: Positions
    unit: Positions
    shape: Positions


def find_subprograms(
    units: Units, starts: NDArray[np.uint64], ends: NDArray[np.uint64]
) -> Subprograms:
    """The functions that begin in any of the ranges from ``starts`` to before ``ends``.

    Args:
        units: where to look.
        starts: ascending.
        ends: none is above the next range's start.
    """
    lists, shapes = read_shapes(units)
    has_code = shapes.counts(units)[1] > 0
    llvm = units.by_llvm
    found = [
        candidates
        for which, operations in ((~llvm, _GNU_OPERATIONS), (llvm, _LLVM_OPERATIONS))
        if (has_code & which).any()
        for candidates in _candidates(
            units, shapes, _search(units, has_code & which, *operations), starts, ends
        )
    ]
    none = np.zeros(0, np.int64)
    candidates = _Candidates(
        np.concatenate([none, *(each.hit for each in found)]),
        np.concatenate([none, *(each.unit for each in found)]),
        np.concatenate([none, *(each.shape for each in found)]),
    )
    return _read(units, lists, shapes, candidates, starts, ends)


def _wanted(
    address: NDArray[np.uint64], starts: NDArray[np.uint64], ends: NDArray[np.uint64]
) -> Positions:
    """Which range each address lies in; -1 for none."""
    if not len(starts):
        return np.full(len(address), -1)
    at = np.searchsorted(starts, address, "right") - 1
    return np.where((at >= 0) & (address < ends[at]), at, -1)


def _search(units: Units, which: NDArray[np.bool_], low: int, high: int) -> Positions:
    """Every position of the byte 1 followed by an operation, in some of the units."""
    data = units.dwarf.info.data
    root, end = units.root[which], units.end[which]
    # Units that follow each other are searched together; between their entries lie headers.
    apart = np.flatnonzero(root[1:] > end[:-1] + 32) + 1
    begins = root[np.concatenate(([0], apart))].tolist()
    stops = end[np.concatenate((apart - 1, [len(end) - 1]))].tolist()
    return np.concatenate(
        [
            _search_piece(data, at, min(at + _PIECE, stop), low, high)
            for begin, stop in zip(begins, stops, strict=True)
            for at in range(begin, stop, _PIECE)
        ]
    )


def _search_piece(data: Bytes, start: int, stop: int, low: int, high: int) -> Positions:
    piece = data[start:stop]
    matches = piece == low if low == high else piece - np.uint8(low) <= high - low
    whole = len(matches) // 8 * 8
    # Few bytes match: look at eight of them at a time first.
    words = np.flatnonzero(matches[:whole].view(np.uint64) != 0)
    bits = np.flatnonzero(matches[:whole].reshape(-1, 8)[words])
    at = words[bits >> 3] * 8 + (bits & 7)
    if whole < len(matches):
        at = np.concatenate((at, np.flatnonzero(matches[whole:]) + whole))
    before: Positions = at + (start - 1)
    fits: Positions = np.flatnonzero(data.take(before, mode="clip") == 1)
    return before[fits]


def _candidates(
    units: Units,
    shapes: Shapes,
    hits: Positions,
    starts: NDArray[np.uint64],
    ends: NDArray[np.uint64],
) -> Iterator[_Candidates]:
    """What of the hits may be an entry that is wanted."""
    unit = units.holding(hits)
    hits, unit = hits[unit >= 0], unit[unit >= 0]
    for source, back, which in shapes.ways():
        near = np.arange(len(hits))
        if source == AT_HIGH_PC:
            length = units.dwarf.info.numbers(back, hits - back)
            near = np.flatnonzero((length > 0) & (length <= _LONGEST_FUNCTION))
        elif source:
            address = _address_at(units, source, hits - back, unit)
            near = np.flatnonzero(_wanted(address, starts, ends) >= 0)
        yield from _fitting(units, shapes.take(which), which, hits[near], unit[near])


def _address_at(units: Units, source: int, at: Positions, unit: Positions) -> NDArray[np.uint64]:
    """The address that stands at ``at``, directly or as the first of a list of ranges."""
    dwarf = units.dwarf
    if source == AT_LOW_PC:
        return dwarf.info.numbers(dwarf.width, at)
    return first_of_ranges(dwarf, dwarf.info.numbers(4, at), units.version[unit])


def _fitting(
    units: Units, shapes: Shapes, names: Positions, hits: Positions, unit: Positions
) -> Iterator[_Candidates]:
    """Pairs of hits and shapes where the shape's code stands where the entry would begin."""
    low, count = (each[unit] for each in shapes.counts(units))
    total = np.cumsum(count)
    for first, last in _batches(total):
        some = count[first:last]
        hit = np.repeat(np.arange(first, last), some)
        within = np.arange(len(hit)) - np.repeat(np.cumsum(some) - some, some)
        shape = np.repeat(low[first:last], some) + within
        code, end = shapes.code[shape], hits[hit] - shapes.before[shape]
        length = _length(code)
        fits = np.flatnonzero(end - length >= units.root[unit[hit]])
        # The last byte alone rules out nearly all.
        final = (code >> (7 * (length - 1))).astype(np.uint8)
        fits = fits[units.dwarf.info.bytes(end[fits] - 1) == final[fits]]
        value, after = units.dwarf.info.ulebs((end - length)[fits])
        fits = fits[(value == code[fits]) & (after == end[fits])]
        yield _Candidates(hits[hit[fits]], unit[hit[fits]], names[shape[fits]])


def _length(code: Positions) -> Positions:
    """Bytes of a code's LEB128 number."""
    return 1 + (code >= 1 << 7) + (code >= 1 << 14)


def _batches(total: Positions) -> Iterator[tuple[int, int]]:
    """Split rows, of which ``total`` counts the pairs so far, so that memory stays bounded."""
    first, done = 0, 0
    while first < len(total) and done < _MOST_PAIRS:
        last = max(int(np.searchsorted(total, done + _BATCH, "right")), first + 1)
        yield first, last
        first, done = last, int(total[last - 1])


def _read(
    units: Units,
    lists: Lists,
    shapes: Shapes,
    found: _Candidates,
    starts: NDArray[np.uint64],
    ends: NDArray[np.uint64],
) -> Subprograms:
    """Read the candidates forward and keep those whose parts fit together."""
    hit, unit = found.hit, found.unit
    at = hit - shapes.before[found.shape]
    whole, attributes = read_entries(
        units.dwarf, lists, shapes.row[found.shape], at, units.end[unit], _WANTED
    )
    address = beginnings(units, unit, attributes)
    wanted = _wanted(address, starts, ends)
    fits = whole & (attributes[AT_FRAME_BASE].at == hit) & (wanted >= 0)
    fits &= _plausible(units, unit, hit, attributes)
    kept = np.flatnonzero(fits)
    # Bytes that can be read in two ways tell nothing.
    _, of, count = np.unique(hit[kept], return_inverse=True, return_counts=True)
    kept = kept[count[of] == 1]
    kept = kept[np.argsort(address[kept], kind="stable")]
    begin = at - _length(shapes.code[found.shape])
    return Subprograms(wanted, address, unit, begin, attributes).take(kept)


def _plausible(
    units: Units, unit: Positions, hits: Positions, attributes: dict[int, Attribute]
) -> NDArray[np.bool_]:
    """Which entries' values can be what the attributes say: bytes read as others seldom can."""
    name, line, high = (attributes[each] for each in (AT_NAME, AT_DECL_LINE, AT_HIGH_PC))
    fine: NDArray[np.bool_] = np.not_equal(name.form, forms.FORM_STRP)
    fine |= name.value < len(units.dwarf.strings)
    fine &= ~line.there | (line.value > 0)
    # Up to DWARF 3 the end, else the length.
    length = high.value - np.where(high.form == forms.FORM_ADDR, attributes[AT_LOW_PC].value, 0)
    fine &= ~high.there | ((length > 0) & (length <= _LONGEST_FUNCTION))
    for attribute in (AT_TYPE, AT_SIBLING, AT_ABSTRACT_ORIGIN, AT_SPECIFICATION):
        reference = attributes[attribute]
        local = np.flatnonzero((reference.form >= 0x11) & (reference.form <= 0x15))
        offset, end, root = (each[unit[local]] for each in (units.offset, units.end, units.root))
        target = offset + np.minimum(reference.value[local], np.uint64(1 << 40)).astype(np.int64)
        good = (target > root) & (target <= end)
        if attribute == AT_SIBLING:
            good &= target > hits[local]
        else:
            code, _ = units.dwarf.info.ulebs(target)
            decl = units.abbrevs.find(units.table[unit[local]], code)
            function = (decl >= 0) & (units.abbrevs.tag[decl] == forms.TAG_SUBPROGRAM)
            good &= function != (attribute == AT_TYPE)
        fine[local[~good]] = False
    return fine
