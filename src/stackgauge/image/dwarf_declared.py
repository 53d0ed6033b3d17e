"""Where functions are declared, and what they are called, by their debug entries.

A copy of a function that was also inlined, a clone, and a method say only what is their own: the
rest stands in the entry that DW_AT_abstract_origin or DW_AT_specification refers to (DWARF 5,
sections 3.3.8.2 and 2.13.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.dwarf_abbrev import FORM_REF_ADDR, TAG_SUBPROGRAM
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import (
    AT_ABSTRACT_ORIGIN,
    AT_DECL_FILE,
    AT_DECL_LINE,
    AT_NAME,
    AT_SPECIFICATION,
    Attribute,
    read_entries,
)
from stackgauge.image.dwarf_subprograms import Subprograms
from stackgauge.image.dwarf_units import Units, all_unit_offsets, read_units

_WANTED = (AT_NAME, AT_DECL_FILE, AT_DECL_LINE, AT_ABSTRACT_ORIGIN, AT_SPECIFICATION)

# A clone, its origin, a method's declaration: no compiler's chain is longer.
_LONGEST_CHAIN = 4

# Lines from here on do not exist in files; compilers cap theirs lower.
_MOST_LINES = 1 << 31


@dataclass(frozen=True, eq=False)
class Declared:
    """What some subprograms say of themselves, one row each.

    Attributes:
        units: the units that the columns ``…_unit`` are indices of.
        name_unit: the unit of the entry that has the name; -1 where none has, int64.
        name_form, name_value: the name, as ``Units.string`` takes it.
        file_unit: the unit whose table the file's number belongs to; -1 where not told, int64.
        file: the file's number there, int64.
        line: 0 where not told, int64.
    """

    units: Units
    name_unit: Positions
    name_form: NDArray[np.uint8]
    name_value: NDArray[np.uint64]
    file_unit: Positions
    file: Positions
    line: Positions

    def names(self) -> list[str]:
        """The names; empty where not told. One look-up a row: for few rows."""
        return [
            self.units.string(unit, form, value) if unit >= 0 else ""
            for unit, form, value in zip(
                self.name_unit.tolist(),
                self.name_form.tolist(),
                self.name_value.tolist(),
                strict=True,
            )
        ]


def declared(units: Units, found: Subprograms) -> Declared:
    """Follow the entries of functions to those that say name, file and line."""
    count = len(found.unit)
    name_form, name_value = np.zeros(count, np.uint8), np.zeros(count, np.uint64)
    name_unit, file_unit = np.full(count, -1), np.full(count, -1)
    file, line = np.zeros(count, np.int64), np.zeros(count, np.int64)
    row, unit, attributes = np.arange(count), found.unit, found.attributes
    for _ in range(_LONGEST_CHAIN):
        name, number, at_line = (attributes[a] for a in (AT_NAME, AT_DECL_FILE, AT_DECL_LINE))
        new = name.there & (name_unit[row] < 0)
        name_unit[row[new]] = unit[new]
        name_form[row[new]], name_value[row[new]] = name.form[new], name.value[new]
        new = number.there & (file_unit[row] < 0)
        file_unit[row[new]], file[row[new]] = unit[new], number.value[new].astype(np.int64)
        new = at_line.there & (line[row] == 0) & (at_line.value < _MOST_LINES)
        line[row[new]] = at_line.value[new].astype(np.int64)

        wanting = (name_unit[row] < 0) | (file_unit[row] < 0) | (line[row] == 0)
        origin, specification = attributes[AT_ABSTRACT_ORIGIN], attributes[AT_SPECIFICATION]
        reference = _either(origin, specification)
        target = _targets(units, unit, reference)
        going = np.flatnonzero(wanting & (target >= 0))
        if not len(going):
            break
        row, target = row[going], target[going]
        if (units.holding(target) < 0).any():
            # Link-time optimization, and dwz, refer to other units.
            before, units = units, _with_units_of(units, target)
            name_unit, file_unit = (_moved(before, units, each) for each in (name_unit, file_unit))
        row, unit, attributes = _read_targets(units, row, target)
    return Declared(units, name_unit, name_form, name_value, file_unit, file, line)


def _either(one: Attribute, other: Attribute) -> Attribute:
    first = one.there
    return Attribute(
        np.where(first, one.at, other.at),
        np.where(first, one.form, other.form),
        np.where(first, one.value, other.value),
    )


def _targets(units: Units, unit: Positions, reference: Attribute) -> Positions:
    """Where the entries referred to begin; -1 where there is none, or it is in another file."""
    value = np.minimum(reference.value, np.uint64(1 << 62)).astype(np.int64)
    inside = (reference.form >= 0x11) & (reference.form <= 0x15)
    base = units.offset[unit] if len(units) else unit
    target = np.where(inside, base + np.minimum(value, len(units.dwarf.info)), -1)
    return np.where(reference.form == FORM_REF_ADDR, value, target)


def _with_units_of(units: Units, target: Positions) -> Units:
    """The units, and those that hold the targets."""
    offsets = all_unit_offsets(units.dwarf)
    holding = offsets[np.maximum(np.searchsorted(offsets, target, "right") - 1, 0)]
    return read_units(units.dwarf, np.concatenate((units.offset, holding)))


def _moved(before: Units, after: Units, unit: Positions) -> Positions:
    """Indices of units ``before`` as indices of the same units ``after``."""
    at = after.holding(before.root[unit])
    return np.where(unit >= 0, at, -1)


def _read_targets(
    units: Units, row: Positions, target: Positions
) -> tuple[Positions, Positions, dict[int, Attribute]]:
    unit = units.holding(target)
    code, at = units.dwarf.info.ulebs(target)
    decl = np.where(unit >= 0, units.abbrevs.find(units.table[unit], code), -1)
    good = np.flatnonzero(decl >= 0)
    good = good[units.abbrevs.tag[decl[good]] == TAG_SUBPROGRAM]
    which, lists_row = np.unique(decl[good], return_inverse=True)
    lists = units.abbrevs.lists(which)
    whole, attributes = read_entries(
        units.dwarf, lists, lists_row, at[good], units.end[unit[good]], _WANTED
    )
    kept = good[whole]
    return row[kept], unit[kept], {name: each.take(whole) for name, each in attributes.items()}
