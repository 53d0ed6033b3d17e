"""What debug information says of the registers that loads go through: which variable is there.

Where a structure is found from a pointer to a part of it, or through ``void *``, the prototypes
and fields tell nothing; but a variable mostly holds the pointer, and debug information says which,
of what type, in which register.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.debug import function_entries
from stackgauge.calls.indirect.layout import UNKNOWN, Fields, Layouts
from stackgauge.calls.indirect.program import Program
from stackgauge.calls.indirect.slots import stack_places
from stackgauge.calls.indirect.variables import types_in_btf
from stackgauge.frames.measure import Frames
from stackgauge.image.btf import BtfKind
from stackgauge.image.dwarf_lists import FRAME_BASE
from stackgauge.image.dwarf_locals import Locals, find_locals, no_locals
from stackgauge.image.dwarf_names import TYPE_TAGS, name_types
from stackgauge.image.dwarf_variables import TAG_PARAMETER, TAG_VARIABLE

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]


def hinted_fields(frames: Frames, program: Program, layouts: Layouts, rows: Indices) -> Fields:
    """The field at the address of each of some instructions, by the variable in its base.

    Args:
        frames: the image.
        program: its code.
        layouts: its types.
        rows: instructions that load from or store to ``base + disp``.

    Returns:
        One row an instruction; of UNKNOWN where no variable is there or several disagree. A
        pointee alone is that of a variable which is what is loaded.
    """
    found = Fields(*np.zeros((3, len(rows)), np.int64))
    if not len(rows):
        return found
    locals_, type_ = _locals(frames, layouts, np.unique(program.routine(rows)))
    code, convention = program.code, program.convention
    on_stack = code.base[rows] == convention.stack
    disp = code.disp[rows]
    disp[on_stack] = stack_places(code, rows[on_stack], program.tables)
    dwarf = np.append(np.array(convention.dwarf), -1)
    base = code.base[rows].astype(np.intp)
    register = dwarf[np.where(base < len(dwarf) - 1, base, -1)]
    register[on_stack] = FRAME_BASE
    query, where = _covering(locals_, code.start[rows], register)
    # What lies there, or what the register points to.
    inside = disp[query] - locals_.plus[where]
    return _agreed(layouts, len(rows), query, layouts.fields(type_[where], inside))


def _locals(frames: Frames, layouts: Layouts, functions: Indices) -> tuple[Locals, Numbers]:
    """The variables of some functions, and what lies there or what they point to."""
    debug = function_entries(frames, functions, (TAG_VARIABLE, TAG_PARAMETER, *TYPE_TAGS))
    if debug is None:
        return no_locals(), np.zeros(0, np.int64)
    units, abbrevs, entries = debug
    end = frames.functions.end[functions]
    found = find_locals(units, abbrevs, entries, end[entries.wanted])
    named = name_types(units, abbrevs, found.type)
    own = np.maximum(types_in_btf(layouts, named), UNKNOWN)
    btf = layouts.btf
    pointee = np.where(btf.kind[own] == BtfKind.PTR, btf.plain[btf.type[own]], UNKNOWN)
    return found, np.where(found.memory, own, pointee)


def _covering(
    found: Locals, address: NDArray[np.uint64], register: Numbers
) -> tuple[Indices, Indices]:
    """Pairs of a question and a variable that is in its register at its address."""
    order = np.lexsort((address, register))
    place = np.searchsorted(np.sort(address), address[order])
    # By register, then by the rank of the address: one ascending number.
    span, ranked = len(address) + 1, np.sort(address)
    key = register[order] * span + place
    low = found.register * span + np.searchsorted(ranked, found.start)
    high = found.register * span + np.searchsorted(ranked, found.end)
    first, last = np.searchsorted(key, low), np.searchsorted(key, high)
    many = np.maximum(last - first, 0)
    where = np.repeat(np.arange(len(many)), many)
    at = np.arange(len(where)) - np.repeat(np.cumsum(many) - many - first, many)
    return order[at], where


def _agreed(layouts: Layouts, count: int, query: Indices, fields: Fields) -> Fields:
    """One field for each question, where all variables that have one say the same."""
    result = Fields(*np.zeros((3, count), np.int64))
    name = layouts.first_named[fields.pointee]
    places = [(0, fields.owner, fields.owner), (1, fields.offset, fields.offset)]
    for told, columns in (
        (fields.owner != UNKNOWN, places),
        (fields.pointee != UNKNOWN, [(2, name, fields.pointee)]),
    ):
        rows = query[told]
        same = np.ones(count, bool)
        for _, compared, _ in columns:
            least, most = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
            np.minimum.at(least, rows, compared[told])
            np.maximum.at(most, rows, compared[told])
            same &= least == most
        for which, _, values in columns:
            result[which][rows] = np.where(same[rows], values[told], UNKNOWN)
    return result
