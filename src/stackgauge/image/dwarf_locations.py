"""Location lists: where a variable is, stretch by stretch of the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stackgauge.image.dwarf_cursor import BrokenError, Cursor
from stackgauge.image.dwarf_entries import AT_ADDR_BASE, AT_LOW_PC
from stackgauge.image.dwarf_tree import Entry, OneUnit, Value

AT_LOCLISTS_BASE = 0x8C

_FORM_LOCLISTX = 0x22

# DW_FORM_addrx and its kin: an index into .debug_addr.
_INDEXED = (0x1B, 0x29, 0x2A, 0x2B, 0x2C, 0x30)

# A variable's list has some hundred entries at most.
_MOST_ENTRIES = 1 << 16


class Location(NamedTuple):
    """One place of a variable.

    Attributes:
        start, end: the addresses of the code for which it holds; both None for all of it.
        expression: what tells the place.
    """

    start: int | None
    end: int | None
    expression: bytes


def locations(entry: Entry, attribute: int) -> list[Location]:
    """All places that an attribute of the kind of DW_AT_location tells.

    A list that is broken counts as far as it can be read.
    """
    expression = entry.block(attribute)
    if expression is not None:
        return [Location(None, None, expression)]
    value = entry.values.get(attribute)
    if value is None:
        return []
    found: list[Location] = []
    try:
        found.extend(_listed(entry.unit, value))
    except BrokenError:
        return found
    return found


def _listed(unit: OneUnit, value: Value) -> Iterator[Location]:
    dwarf = unit.tree.dwarf
    section = dwarf.loclists if unit.version >= 5 else dwarf.loc
    at = value.number
    if value.form == _FORM_LOCLISTX:
        base = unit.root.number(AT_LOCLISTS_BASE)
        if base is None:
            raise BrokenError
        at = base + _at(section.data.data, dwarf.order, base + 4 * at, 4)
    read = Cursor(section.data.data, at, len(section), dwarf.order)
    yield from _new(unit, read) if unit.version >= 5 else _old(unit, read)


def _at(raw: memoryview, order: str, at: int, size: int) -> int:
    """One number anywhere in a section."""
    return Cursor(raw, at, len(raw), order).number(size)


def _indexed(unit: OneUnit, index: int) -> int:
    """The address of that number in ``.debug_addr``."""
    dwarf = unit.tree.dwarf
    base = unit.root.number(AT_ADDR_BASE)
    if base is None:
        raise BrokenError
    return _at(dwarf.addr.data.data, dwarf.order, base + index * dwarf.width, dwarf.width)


def unit_base(unit: OneUnit) -> int:
    """What ranges in a unit count from where they do not say so."""
    low = unit.root.values.get(AT_LOW_PC)
    if low is None:
        return 0
    return _indexed(unit, low.number) if low.form in _INDEXED else low.number


def _new(unit: OneUnit, read: Cursor) -> Iterator[Location]:
    """DWARF 5, section 7.7.3; and DW_LLE_view_pair of GCC, which gives views to what follows."""
    width = unit.tree.dwarf.width
    base = unit_base(unit)
    for _ in range(_MOST_ENTRIES):
        kind = read.byte()
        if kind == 0x00:  # end_of_list
            return
        if kind == 0x01:  # base_addressx
            base = _indexed(unit, read.leb())
        elif kind == 0x06:  # base_address
            base = read.number(width)
        elif kind == 0x09:  # view_pair
            read.leb()
            read.leb()
        elif kind == 0x05:  # default_location
            yield Location(None, None, read.block())
        else:
            start, end = _range(unit, read, kind, base)
            yield Location(start, end, read.block())
    raise BrokenError


def _range(unit: OneUnit, read: Cursor, kind: int, base: int) -> tuple[int, int]:
    width = unit.tree.dwarf.width
    if kind == 0x02:  # startx_endx
        return _indexed(unit, read.leb()), _indexed(unit, read.leb())
    if kind == 0x03:  # startx_length
        start = _indexed(unit, read.leb())
        return start, start + read.leb()
    if kind == 0x04:  # offset_pair
        return base + read.leb(), base + read.leb()
    if kind == 0x07:  # start_end
        return read.number(width), read.number(width)
    if kind == 0x08:  # start_length
        start = read.number(width)
        return start, start + read.leb()
    raise BrokenError


def _old(unit: OneUnit, read: Cursor) -> Iterator[Location]:
    """DWARF 4, section 2.6.2: pairs of addresses, each with an expression."""
    width = unit.tree.dwarf.width
    selects = (1 << 8 * width) - 1
    base = unit_base(unit)
    for _ in range(_MOST_ENTRIES):
        start, end = read.number(width), read.number(width)
        if start == selects:
            base = end
        elif start == end == 0:
            return
        else:
            at = read.skip(read.number(2))
            yield Location(base + start, base + end, bytes(read.raw[at : read.at]))
    raise BrokenError
