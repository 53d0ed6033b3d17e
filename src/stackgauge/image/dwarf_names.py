"""What types of debug information are called: a structure's name, and the pointers to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_abbrev import Abbrevs
from stackgauge.image.dwarf_bytes import Positions
from stackgauge.image.dwarf_entries import AT_NAME, AT_TYPE, read_entries
from stackgauge.image.dwarf_units import Units
from stackgauge.image.dwarf_variables import reference_targets

TAG_ARRAY = 0x01
TAG_POINTER = 0x0F
TAG_STRUCT = 0x13
TAG_SUBROUTINE = 0x15
TAG_TYPEDEF = 0x16
TAG_UNION = 0x17
TAG_CONST = 0x26
TAG_VOLATILE = 0x35

TYPE_TAGS = (
    TAG_ARRAY, TAG_POINTER, TAG_STRUCT, TAG_SUBROUTINE, TAG_TYPEDEF, TAG_UNION, TAG_CONST,
    TAG_VOLATILE,
)  # fmt: skip

# Typedefs, qualifiers, arrays and pointers on the way; no declaration has more.
_LONGEST_CHAIN = 24


@dataclass(frozen=True, eq=False)
class Named:
    """Types, one row each.

    Attributes:
        tag: TAG_STRUCT, TAG_UNION or TAG_SUBROUTINE; 0 for what is of another kind, uint8.
        pointers: how many pointers lead to it from the type that was asked for, int64.
        name: its name, or that of the typedef it stands behind, an index into ``names``; that of
            the empty one where it has neither; int64.
        names: the names, each once.
    """

    tag: NDArray[np.uint8]
    pointers: Positions
    name: Positions
    names: list[str]


def name_types(units: Units, abbrevs: Abbrevs, at: Positions) -> Named:
    """Follow entries of types through typedefs, qualifiers, arrays and pointers.

    Args:
        units: the units.
        abbrevs: their declarations, those of TYPE_TAGS among them.
        at: where the entries begin in ``.debug_info``.
    """
    wanted, of = np.unique(at, return_inverse=True)
    count = len(wanted)
    tag, pointers = np.zeros(count, np.uint8), np.zeros(count, np.int64)
    form, value, name_unit = np.zeros(count, np.uint8), np.zeros(count, np.uint64), wanted * 0
    row, here = np.arange(count), wanted
    for _ in range(_LONGEST_CHAIN):
        unit = units.holding(here)
        code, attributes = units.dwarf.info.ulebs(here)
        decl = np.where(unit >= 0, abbrevs.find(units.table[unit], code), -1)
        kept = np.flatnonzero(decl >= 0)
        which, list_row = np.unique(decl[kept], return_inverse=True)
        whole, read = read_entries(
            units.dwarf, abbrevs.lists(which), list_row, attributes[kept], units.end[unit[kept]],
            (AT_NAME, AT_TYPE),
        )  # fmt: skip
        # A type without attributes (``const void``) ends here too.
        row, unit, decl = row[kept], unit[kept], decl[kept]
        kind = abbrevs.tag[decl]
        ends = (kind == TAG_STRUCT) | (kind == TAG_UNION) | (kind == TAG_SUBROUTINE)
        tag[row[ends]] = kind[ends]
        pointers[row] += kind == TAG_POINTER
        # A typedef's name is only of use where it leads straight to a structure without one.
        named = read[AT_NAME].there & (ends | (kind == TAG_TYPEDEF))
        forgets = (kind == TAG_POINTER) | (kind == TAG_ARRAY)
        form[row[forgets]] = 0
        form[row[named]], value[row[named]] = read[AT_NAME].form[named], read[AT_NAME].value[named]
        name_unit[row[named]] = unit[named]
        target = reference_targets(units, unit, read[AT_TYPE])
        going = whole & ~ends & (target >= 0)
        row, here = row[going], target[going]
        if not len(row):
            break
    name, names = _texts(units, name_unit, form, value, tag)
    return Named(tag[of], pointers[of], name[of], names)


def _texts(
    units: Units,
    unit: Positions,
    form: NDArray[np.uint8],
    value: NDArray[np.uint64],
    tag: NDArray[np.uint8],
) -> tuple[Positions, list[str]]:
    told = np.flatnonzero((tag > 0) & (form > 0))
    # One look-up for each distinct string; those in place are short and few.
    alike = np.where(form == forms.FORM_STRP, value, value + (np.uint64(1) << np.uint64(48)))
    _, first, of = np.unique(alike[told], return_index=True, return_inverse=True)
    once = told[first]
    each = zip(unit[once].tolist(), form[once].tolist(), value[once].tolist(), strict=True)
    numbers: dict[str, int] = {"": 0}
    number = [numbers.setdefault(units.string(*one), len(numbers)) for one in each]
    name = np.zeros(len(tag), np.int64)
    name[told] = np.array(number, np.int64)[of]
    return name, list(numbers)
