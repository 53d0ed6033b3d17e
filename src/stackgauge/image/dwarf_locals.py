"""Where variables and arguments of many functions are, without walking the entries.

The entries of a function lie behind its own, up to its DW_AT_sibling. At each byte of that stretch
an entry of a variable with a location list may begin, if the unit's abbreviations have such a
declaration by that code; it is then read, and counts if its list speaks of the function's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_abbrev import FORM_SIZES, Abbrevs, Lists
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import (
    AT_ABSTRACT_ORIGIN,
    AT_FRAME_BASE,
    AT_LOW_PC,
    AT_SIBLING,
    AT_TYPE,
    Attribute,
    read_entries,
)
from stackgauge.image.dwarf_lists import FRAME_BASE, read_lists, simple_expressions
from stackgauge.image.dwarf_subprograms import Subprograms
from stackgauge.image.dwarf_units import Units
from stackgauge.image.dwarf_variables import (
    AT_LOCATION,
    TAG_PARAMETER,
    TAG_VARIABLE,
    reference_targets,
    referred_types,
)

_FORM_SEC_OFFSET = 0x17
_FORMS = (_FORM_SEC_OFFSET, forms.FORM_EXPRLOC)

# Expressions of more bytes are not read here.
_LONGEST_EXPRESSION = 16

# Bytes of entries looked at together, so that memory stays bounded.
_PIECE = 1 << 20


@dataclass(frozen=True, eq=False)
class Locals:
    """Stretches of code where a variable is, or lies at, what a register holds plus a number.

    Attributes:
        start, end: addresses, uint64.
        register: its DWARF number, or FRAME_BASE, int64.
        plus: int64.
        memory: whether the variable lies there, and is not that itself; bool.
        unit: the unit of the variable's entry, an index, int64.
        type: where the entry of its type begins in ``.debug_info``, int64.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    register: Positions
    plus: Positions
    memory: NDArray[np.bool_]
    unit: Positions
    type: Positions


def no_locals() -> Locals:
    """None at all."""
    none, whole = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return Locals(none, none, whole, whole, np.zeros(0, bool), whole, whole)


def find_locals(
    units: Units, abbrevs: Abbrevs, functions: Subprograms, ends: NDArray[np.uint64]
) -> Locals:
    """The variables and arguments of some functions, what is inlined into them included.

    Args:
        units: the units of the functions.
        abbrevs: declarations of these units, those of variables and arguments among them.
        functions: the functions' entries, of ``units``.
        ends: where each function ends, for its lists to be told from other bytes.
    """
    shapes = _shapes(units, abbrevs)
    base = unit_bases(units)
    columns: list[tuple[NDArray[Any], ...]] = []
    for rows, at in _pieces(units, functions):
        unit = functions.unit[rows]
        shape, after = _beginning(units, abbrevs, shapes, unit, at)
        fits = np.flatnonzero(shape >= 0)
        fits = fits[_may_be_located(units, shapes, shape[fits], after[fits])]
        columns.append(
            _read(units, abbrevs, shapes.lists, shape[fits], after[fits], unit[fits],
                  functions.address[rows[fits]], ends[rows[fits]], base)
        )  # fmt: skip
    if not columns:
        return no_locals()
    return Locals(*(np.concatenate(column) for column in zip(*columns, strict=True)))


class _Shapes(NamedTuple):
    """Declarations of variables and arguments that have a location.

    Attributes:
        lists: the attributes of all declarations of variables and arguments.
        of: by declaration of any kind, the row in ``lists``, -1 for others; int64.
        short: by table and code below 0x80, the same; (tables, 128).
        table: by unit, the row in ``short``, int64.
        before: by row in ``lists``, the bytes from the code to the location, -1 where these vary.
        listed: by row in ``lists``, whether the location is a list.
    """

    lists: Lists
    of: Positions
    short: Positions
    table: Positions
    before: Positions
    listed: NDArray[np.bool_]


def _shapes(units: Units, abbrevs: Abbrevs) -> _Shapes:
    decl = np.flatnonzero((abbrevs.tag == TAG_VARIABLE) | (abbrevs.tag == TAG_PARAMETER))
    lists = abbrevs.lists(decl)
    place = np.flatnonzero((lists.attr == AT_LOCATION) & np.isin(lists.form, _FORMS))
    row = lists.owners()[place]
    size = FORM_SIZES[units.dwarf.width][lists.form].astype(np.int64)
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.maximum(size, 0))))
    varying = np.concatenate((np.zeros(1, np.int64), np.cumsum(size < 0)))
    first = lists.first[row]
    before = np.full(len(decl), -1)
    before[row] = np.where(varying[place] == varying[first], sums[place] - sums[first], -1)
    listed = np.zeros(len(decl), bool)
    listed[row] = lists.form[place] == _FORM_SEC_OFFSET
    of = np.full(len(abbrevs), -1)
    of[decl[row]] = row
    tables, table = np.unique(units.table, return_inverse=True)
    short = np.full((len(tables), 128), -1)
    small = decl[row][abbrevs.code[decl[row]] < 128]
    short[np.searchsorted(tables, abbrevs.table[small]), abbrevs.code[small]] = of[small]
    return _Shapes(lists, of, short, table, before, listed)


def _beginning(
    units: Units, abbrevs: Abbrevs, shapes: _Shapes, unit: Positions, at: Positions
) -> tuple[Positions, Positions]:
    """The row in ``lists`` of an entry that may begin at each byte, or -1; and its attributes."""
    info = units.dwarf.info
    byte = info.bytes(at)
    shape = shapes.short[shapes.table[unit], byte & 0x7F]
    after = at + 1
    # Codes of two bytes.
    more = np.flatnonzero(byte >= 0x80)
    high = info.bytes(after[more])
    shape[more] = -1
    more, high = more[(high > 0) & (high < 0x80)], high[(high > 0) & (high < 0x80)]
    code = (byte[more] & 0x7F).astype(np.int64) + (high.astype(np.int64) << 7)
    found = abbrevs.find(units.table[unit[more]], code)
    shape[more] = np.where(found >= 0, shapes.of[found], -1)
    after[more] += 1
    return shape, after


def _may_be_located(
    units: Units, shapes: _Shapes, shape: Positions, at: Positions
) -> NDArray[np.bool_]:
    """Which of these entries have a location that can be one, where it can be told at once."""
    before = shapes.before[shape]
    where = at + np.maximum(before, 0)
    number = units.dwarf.info.numbers(4, where)
    possible = np.where(
        shapes.listed[shape],
        number < len(units.dwarf.loclists),
        units.dwarf.info.bytes(where) < _LONGEST_EXPRESSION,
    )
    result: NDArray[np.bool_] = possible | (before < 0)
    return result


def _pieces(units: Units, functions: Subprograms) -> Iterator[tuple[Positions, Positions]]:
    """Every byte of the functions' entries, with the function's row, some at a time."""
    begin = functions.attributes[AT_FRAME_BASE].at
    sibling = functions.attributes[AT_SIBLING]
    end = np.where(
        sibling.there, reference_targets(units, functions.unit, sibling), units.end[functions.unit]
    )
    size = np.maximum(np.where(begin >= 0, end - begin, 0), 0)
    total = np.cumsum(size)
    first = 0
    while first < len(size):
        done = total[first] - size[first]
        last = max(int(np.searchsorted(total, done + _PIECE, "right")), first + 1)
        rows = np.repeat(np.arange(first, last), size[first:last])
        within = np.arange(len(rows)) - (total[rows] - size[rows] - done)
        yield rows, begin[rows] + within
        first = last


def _read(
    units: Units,
    abbrevs: Abbrevs,
    lists: Lists,
    row: Positions,
    at: Positions,
    unit: Positions,
    low: NDArray[np.uint64],
    high: NDArray[np.uint64],
    base: NDArray[np.uint64],
) -> tuple[NDArray[Any], ...]:
    """Entries that begin at ``at``, as stretches of code."""
    whole, read = read_entries(
        units.dwarf, lists, row, at, units.end[unit],
        (AT_LOCATION, AT_TYPE, AT_ABSTRACT_ORIGIN),
    )  # fmt: skip
    kept = np.flatnonzero(whole & _plausible(units, unit, read[AT_LOCATION]))
    unit, low, high = unit[kept], low[kept], high[kept]
    read = {name: each.take(kept) for name, each in read.items()}
    type_ = referred_types(units, abbrevs, unit, read)
    location = read[AT_LOCATION]
    listed = np.flatnonzero((location.form == _FORM_SEC_OFFSET) & (type_ >= 0))
    found = read_lists(
        units.dwarf, location.value[listed].astype(np.int64), base[unit[listed]], low[listed],
        high[listed],
    )  # fmt: skip
    which = listed[found.list]
    # One place for as long as the function runs: on the stack.
    size, at = units.dwarf.info.ulebs(location.at)
    register, plus, memory, simple = simple_expressions(units.dwarf.info, at, size)
    fixed = simple & memory & (register == FRAME_BASE) & (type_ >= 0)
    fixed = np.flatnonzero(fixed & (location.form == forms.FORM_EXPRLOC))
    return (
        np.append(found.start, low[fixed]), np.append(found.end, high[fixed]),
        np.append(found.register, register[fixed]),
        np.append(found.plus, plus[fixed]),
        np.append(found.memory, memory[fixed]),
        np.append(unit[which], unit[fixed]), np.append(type_[which], type_[fixed]),
    )  # fmt: skip


def _plausible(units: Units, unit: Positions, location: Attribute) -> NDArray[np.bool_]:
    """Which locations can be one: a list in its section, of DWARF 5, or a short expression."""
    listed: NDArray[np.bool_] = np.equal(location.form, _FORM_SEC_OFFSET)
    listed &= units.version[unit] >= 5
    listed &= location.value < len(units.dwarf.loclists)
    short = np.equal(location.form, forms.FORM_EXPRLOC)
    short &= units.dwarf.info.bytes(location.at) < _LONGEST_EXPRESSION
    return listed | short


def unit_bases(units: Units) -> NDArray[np.uint64]:
    """What addresses in each unit's lists count from: DW_AT_low_pc of the unit, or 0."""
    code, at = units.dwarf.info.ulebs(units.root)
    decl = units.abbrevs.find(units.table, code)
    known = np.flatnonzero(decl >= 0)
    which, row = np.unique(decl[known], return_inverse=True)
    whole, read = read_entries(
        units.dwarf, units.abbrevs.lists(which), row, at[known], units.end[known], (AT_LOW_PC,)
    )
    base = np.zeros(len(units), np.uint64)
    low = read[AT_LOW_PC]
    base[known] = np.where(whole & (low.form == forms.FORM_ADDR), low.value, 0)
    return base
