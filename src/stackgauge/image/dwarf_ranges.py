"""Addresses at which functions begin, however their debug entries say it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.dwarf_abbrev import FORM_ADDR, OFFSET_FORMS
from stackgauge.image.dwarf_bytes import Dwarf, Positions
from stackgauge.image.dwarf_entries import AT_ADDR_BASE, AT_LOW_PC, AT_RANGES, Attribute
from stackgauge.image.dwarf_units import Units

# DW_FORM_addrx and its kin: an index into .debug_addr.
_INDEXED = (0x1B, 0x29, 0x2A, 0x2B, 0x2C, 0x30)


def beginnings(
    units: Units, unit: Positions, attributes: dict[int, Attribute]
) -> NDArray[np.uint64]:
    """Where each function begins; 0 where that is not known.

    Args:
        units: the units.
        unit: each function's unit.
        attributes: DW_AT_low_pc and DW_AT_ranges of the functions.
    """
    dwarf = units.dwarf
    low, ranges = attributes[AT_LOW_PC], attributes[AT_RANGES]
    address = np.where(low.form == FORM_ADDR, low.value, 0)
    indexed = np.flatnonzero(np.isin(low.form, _INDEXED))
    if len(indexed):
        base = units.roots[AT_ADDR_BASE].value[unit[indexed]]
        at = base + low.value[indexed] * np.uint64(dwarf.width)
        inside = at < len(dwarf.addr)
        where = np.where(inside, at, 0).astype(np.int64)
        address[indexed] = np.where(inside, dwarf.addr.numbers(dwarf.width, where), 0)
    listed = np.flatnonzero(np.isin(ranges.form, OFFSET_FORMS) & (low.form == 0))
    if len(listed):
        address[listed] = first_of_ranges(dwarf, ranges.value[listed], units.version[unit[listed]])
    return address


def first_of_ranges(
    dwarf: Dwarf, offset: NDArray[np.uint64], version: Positions
) -> NDArray[np.uint64]:
    """Where the first range of each list begins; 0 where the list is of a kind not read here.

    A list that counts from its unit's base address is not read: a compiler splits a function
    into parts only to put them into different sections, which have no common base.
    """
    address = np.zeros(len(offset), np.uint64)
    at = np.minimum(offset, np.uint64(1 << 62)).astype(np.int64)
    width = dwarf.width
    new = np.flatnonzero((version >= 5) & (at < len(dwarf.rnglists)))
    if len(new):  # DWARF 5, section 7.25
        lists, here = dwarf.rnglists, at[new]
        kind, first = lists.bytes(here), lists.numbers(width, here + 1)
        direct = (kind == 0x06) | (kind == 0x07)  # DW_RLE_start_end, DW_RLE_start_length
        based = (kind == 0x05) & (lists.bytes(here + 1 + width) == 0x04)  # ..._offset_pair
        begin = first + lists.ulebs(here + 2 + width)[0].astype(np.uint64)
        address[new] = np.where(direct, first, np.where(based, begin, 0))
    old = np.flatnonzero((version < 5) & (at < len(dwarf.ranges)))
    if len(old):  # DWARF 4, section 2.17.3
        pairs, here = dwarf.ranges, at[old]
        first, second = pairs.numbers(width, here), pairs.numbers(width, here + width)
        selects = first == np.uint64((1 << 8 * width) - 1)
        address[old] = np.where(selects, second + pairs.numbers(width, here + 2 * width), first)
    return address
