"""Attributes of many debug entries at once (DWARF 5, section 7.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.dwarf_abbrev import FORM_SIZES, Lists
from stackgauge.image.dwarf_bytes import Dwarf, Positions, Reader

AT_SIBLING = 0x01
AT_NAME = 0x03
AT_STMT_LIST = 0x10
AT_LOW_PC = 0x11
AT_HIGH_PC = 0x12
AT_COMP_DIR = 0x1B
AT_PRODUCER = 0x25
AT_ABSTRACT_ORIGIN = 0x31
AT_DECL_FILE = 0x3A
AT_DECL_LINE = 0x3B
AT_FRAME_BASE = 0x40
AT_SPECIFICATION = 0x47
AT_TYPE = 0x49
AT_RANGES = 0x55
AT_STR_OFFSETS_BASE = 0x72
AT_ADDR_BASE = 0x73

# A string inside an entry is short: compilers put anything longer into .debug_str.
_LONGEST_STRING = 512


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute of many entries.

    Attributes:
        at: where its value stands in ``.debug_info``; -1 where the entry does not have it.
        form: its DW_FORM_*; 0 where the entry does not have it.
        value: the number there, 0 for blocks; of a string in place, where it begins; uint64.
    """

    at: Positions
    form: NDArray[np.uint8]
    value: NDArray[np.uint64]

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which entries have it."""
        return np.not_equal(self.form, 0)

    def take(self, which: Positions | NDArray[np.bool_]) -> Attribute:
        """The attribute of some of the entries."""
        return Attribute(self.at[which], self.form[which], self.value[which])


def read_entries(
    dwarf: Dwarf,
    lists: Lists,
    row: Positions,
    at: Positions,
    end: Positions,
    wanted: tuple[int, ...],
) -> tuple[NDArray[np.bool_], dict[int, Attribute]]:
    """Read entries through to their ends.

    Args:
        dwarf: the sections.
        lists: the attributes of declarations.
        row: each entry's declaration, an index into ``lists``.
        at: where each entry's attributes begin, after its code.
        end: where its unit ends.
        wanted: DW_AT_* to return.

    Returns:
        Which entries are whole, with forms that are known, and the attributes by name.
    """
    info, sizes = dwarf.info, FORM_SIZES[dwarf.width]
    slots = np.full(256, -1, np.int8)
    slots[list(wanted)] = np.arange(len(wanted))
    where = np.full((len(wanted), len(row)), -1)
    which = np.zeros((len(wanted), len(row)), np.int64)
    first, count, position = lists.first[row], lists.count[row], at.copy()
    whole = count > 0
    live = np.flatnonzero(whole)
    # One round for each attribute of the longest declaration.
    for step in range(int(count.max(initial=0))):
        live = live[count[live] > step]
        index = first[live] + step
        here = position[live]
        slot = slots[lists.attr[index]]
        taken = np.flatnonzero(slot >= 0)
        where[slot[taken], live[taken]] = here[taken]
        which[slot[taken], live[taken]] = index[taken]
        form = lists.form[index]
        size = sizes[form]
        after = here + size
        varying = np.flatnonzero(size < 0)
        if len(varying):
            after[varying] = _skip(info, size[varying], here[varying], len(info))
        position[live] = after
        inside = after <= end[live]
        if not inside.all():
            whole[live[~inside]] = False
            live = live[inside]
    attributes = {}
    for name, places, indices in zip(wanted, where, which, strict=True):
        places[~whole] = -1
        form = np.where(places >= 0, lists.form[indices], 0) if len(lists.form) else _none(at)
        constants = lists.const[indices] if len(lists.const) else indices
        attributes[name] = Attribute(places, form, _values(info, form, places, constants, sizes))
    return whole, attributes


def entry_ends(dwarf: Dwarf, lists: Lists, row: Positions, at: Positions) -> Positions:
    """Where entries end: the next entry, a child where they have any, begins there.

    Args:
        dwarf: the sections.
        lists: the attributes of declarations.
        row: each entry's declaration, an index into ``lists``.
        at: where each entry's attributes begin, after its code.

    Returns:
        Positions; beyond the section where that cannot be told.
    """
    info, sizes = dwarf.info, FORM_SIZES[dwarf.width]
    position, first, count = at.copy(), lists.first[row], lists.count[row]
    # One round for each attribute of the longest declaration.
    for step in range(int(count.max(initial=0))):
        live = np.flatnonzero((count > step) & (position <= len(info)))
        here, size = position[live], sizes[lists.form[first[live] + step]]
        after = here + size
        varying = np.flatnonzero(size < 0)
        after[varying] = _skip(info, size[varying], here[varying], len(info))
        position[live] = after
    return position


def _none(like: Positions) -> NDArray[np.uint8]:
    return np.zeros(len(like), np.uint8)


def _skip(info: Reader, kind: NDArray[np.int8], at: Positions, never: int) -> Positions:
    """Where values of varying size end; beyond the section where that cannot be told."""
    after = np.full(len(at), never + 1)
    for each in sorted_unique(kind).tolist():
        rows = np.flatnonzero(kind == each)
        here = at[rows]
        if each == forms.LEB:
            after[rows] = info.ulebs(here)[1]
        elif each == forms.BLOCK:
            length, begin = info.ulebs(here)
            after[rows] = begin + np.minimum(length, never + 1)
        elif each == forms.STRING:
            after[rows] = _string_ends(info, here)
        elif each in _BLOCK_SIZES:
            size = _BLOCK_SIZES[each]
            after[rows] = here + size + info.numbers(size, here).astype(np.int64)
    return after


_BLOCK_SIZES = {forms.BLOCK1: 1, forms.BLOCK2: 2, forms.BLOCK4: 4}


def _string_ends(info: Reader, at: Positions) -> Positions:
    """The position after each string's NUL; beyond the section where it is too long."""
    end = np.full(len(at), len(info) + 1)
    live = np.arange(len(at))
    for length in range(_LONGEST_STRING):
        nul = info.bytes(at[live] + length) == 0
        end[live[nul]] = at[live[nul]] + length + 1
        live = live[~nul]
        if not len(live):
            break
    return end


def _values(
    info: Reader,
    form: NDArray[np.uint8],
    at: Positions,
    const: Positions,
    sizes: NDArray[np.int8],
) -> NDArray[np.uint64]:
    value = np.zeros(len(at), np.uint64)
    kinds = np.flatnonzero(np.bincount(form, minlength=1)).tolist()
    for kind in kinds:
        if kind == 0:
            continue
        rows = slice(None) if len(kinds) == 1 else np.flatnonzero(form == kind)
        size = int(sizes[kind])
        if kind == forms.FORM_IMPLICIT_CONST:
            value[rows] = const[rows].astype(np.uint64)
        elif kind == forms.FORM_FLAG_PRESENT:
            value[rows] = 1
        elif size in (1, 2, 4, 8):
            value[rows] = info.numbers(size, at[rows])
        elif size == 3:
            low, high = info.numbers(2, at[rows]), info.numbers(1, at[rows] + 2)
            value[rows] = low | high << np.uint64(16) if info.order == "<" else 0
        elif size == forms.LEB:
            value[rows] = info.ulebs(at[rows])[0].astype(np.uint64)
        elif size == forms.STRING:
            value[rows] = at[rows].astype(np.uint64)
    return value
