"""Functions that code stores in fields, and passes as arguments to functions that it calls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.layout import Fields, Layouts
from stackgauge.calls.indirect.members import argument_place
from stackgauge.calls.indirect.origins import Origins, origins
from stackgauge.calls.indirect.program import Program
from stackgauge.calls.indirect.tables import NO_FIELD, field_key
from stackgauge.calls.indirect.typing import Typed
from stackgauge.calls.indirect.values import Source, Tracer, Values
from stackgauge.calls.indirect.variables import FUNCTION_POINTER, Variables
from stackgauge.isa.operands import NO_REGISTER, Op

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

NO_FUNCTION = -1


class Asked(NamedTuple):
    """Values that are stored or passed, before they have been followed; columns of one length.

    Attributes:
        row: the instruction, intp.
        value: what it stores or passes; UNKNOWN_VALUE of a number in the instruction, intp.
        base: where it stores, the value of the address's register; UNKNOWN_VALUE for none, intp.
        place: of what is passed, the argument, by ``argument_place``; of what is stored 0, int64.
    """

    row: Indices
    value: Indices
    base: Indices
    place: Numbers


class Moved(NamedTuple):
    """What code puts into fields and arguments.

    Attributes:
        place, function: functions that are put somewhere by name; columns of one length.
        into, source: places that get what another one holds; columns of one length.
        open: fields and arguments that get something that could not be followed, int64.
        loose: functions whose address is taken for a use that could not be followed, intp.
        named: functions whose address the code takes, intp.
    """

    place: Numbers
    function: Indices
    into: Numbers
    source: Numbers
    open: Numbers
    loose: Indices
    named: Indices


def ask(
    program: Program,
    tracer: Tracer,
    function_at: Indices,
    stored: Indices,
    takes: NDArray[np.int64],
) -> Asked:
    """Ask where what code stores and passes comes from.

    Args:
        program: the code.
        tracer: that of the code.
        function_at: by instruction, the function that ``disp`` is the beginning of, or
            NO_FUNCTION.
        stored: by instruction, the function that ``value`` is the beginning of, or NO_FUNCTION.
        takes: by function, a bit for each argument register that it gets a function in.
    """
    code, convention = program.code, program.convention
    stores = _stores(program, tracer, function_at, stored, takes)
    value, base = np.zeros((2, len(stores)), np.intp)
    some = np.flatnonzero(code.op[stores] == Op.STORE)
    value[some] = tracer.reaching(stores[some], code.source[stores[some]].astype(np.intp))
    based = (code.base[stores] != NO_REGISTER) & (code.base[stores] != convention.stack)
    some = np.flatnonzero(based)
    base[some] = tracer.reaching(stores[some], code.base[stores[some]].astype(np.intp))
    parts = [(stores, value, base, np.zeros(len(stores), np.int64))]
    calls = np.flatnonzero((code.op == Op.GO) & (function_at >= 0))
    # A loop over the few registers that arguments come in.
    for argument, register in enumerate(convention.arguments):
        rows = calls[takes[function_at[calls]] >> argument & 1 != 0]
        # A jump inside the function itself passes nothing.
        rows = rows[function_at[rows] != program.routine(rows)]
        passed = tracer.reaching(rows, np.full(len(rows), register))
        place = argument_place(function_at[rows], np.full(len(rows), argument))
        parts.append((rows, passed, np.zeros(len(rows), np.intp), place))
    return Asked(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _stores(
    program: Program,
    tracer: Tracer,
    function_at: Indices,
    stored: Indices,
    takes: NDArray[np.int64],
) -> Indices:
    """Instructions that may store the address of a function."""
    code, convention = program.code, program.convention
    by_number = np.flatnonzero(stored != NO_FUNCTION)
    rows = np.flatnonzero(code.op == Op.STORE)
    origin = tracer.defined(rows, code.source[rows].astype(np.intp))
    op, base = code.op[origin], code.base[origin]
    names = (op == Op.ADDRESS) & (function_at[origin] != NO_FUNCTION)
    loads = (op == Op.LOAD) & (base != convention.stack)
    on_stack = code.base[rows] == convention.stack
    here = (origin >= 0) & (names | ~on_stack & (loads | (op == Op.COPY) | (op == Op.SELECT)))
    # From before the block: only where the function gets or names the address of one.
    knows = takes > 0
    naming = (code.op == Op.ADDRESS) & (function_at != NO_FUNCTION)
    knows[program.routine(np.flatnonzero(naming))] = True
    rows = rows[here | (origin < 0) & ~on_stack & knows[program.routine(rows)]]
    return np.sort(np.concatenate([rows, by_number]))


def moved(
    program: Program,
    values: Values,
    typed: Typed,
    asked: Asked,
    layouts: Layouts,
    variables: Variables,
    function_at: Indices,
    stored: Indices,
    hints: Fields,
) -> Moved:
    """What the answers say.

    Args:
        program: the code.
        values, typed: all values, followed and typed.
        asked: what ``ask`` asked.
        layouts: the image's types.
        variables: its variables.
        function_at: as for ``ask``.
        stored: as for ``ask``.
        hints: by instruction, the field that it stores to where nothing else tells.
    """
    code = program.code
    place = _places(program, typed, asked, layouts, variables)
    hint = field_key(hints.owner[asked.row], hints.offset[asked.row])
    place = np.where(place == NO_FIELD, hint, place)
    by_number = np.flatnonzero(code.op[asked.row] == Op.STORE_CONSTANT)
    number = stored[asked.row[by_number]]
    by_number, number = by_number[number >= 0], number[number >= 0]
    rest = np.flatnonzero(asked.value > 0)
    found = origins(code, values, typed, asked.value[rest])
    lane = rest[found.asked]
    target = place[lane]
    named = np.where(found.constant, function_at[values.row[found.value]], NO_FUNCTION)
    source = np.where(found.field != NO_FIELD, found.field, arguments_of(program, values, found))
    put = (named >= 0) & (target != NO_FIELD)
    copied = (source != NO_FIELD) & (target != NO_FIELD) & ~found.constant
    lost = (target != NO_FIELD) & ~found.constant & (source == NO_FIELD)
    put_numbers = place[by_number] != NO_FIELD
    # Every place in the code where a function's address is taken, and those accounted for.
    takes = (code.op == Op.ADDRESS) & (code.base == NO_REGISTER) & (function_at >= 0)
    taken = np.concatenate([np.flatnonzero(takes), np.flatnonzero(stored >= 0)])
    function = np.concatenate([function_at[takes], stored[stored >= 0]])
    told = np.concatenate([
        values.row[found.value[put]], asked.row[by_number[put_numbers]]
    ])  # fmt: skip
    return Moved(
        place=np.concatenate([target[put], place[by_number[put_numbers]]]),
        function=np.concatenate([named[put], number[put_numbers]]),
        into=target[copied],
        source=source[copied],
        open=np.unique(target[lost]),
        loose=np.unique(function[~np.isin(taken, told)]),
        named=np.unique(function),
    )


def unplaced(
    program: Program,
    tracer: Tracer,
    typed: Typed,
    asked: Asked,
    layouts: Layouts,
    variables: Variables,
    function_at: Indices,
    stored: Indices,
) -> Indices:
    """Instructions that store the address of a function where it is not known; as for ``moved``."""
    code, row = program.code, asked.row
    lacking = _places(program, typed, asked, layouts, variables) == NO_FIELD
    lacking &= (code.base[row] != NO_REGISTER) & (code.op[row] != Op.GO)
    row = row[lacking]
    names = stored[row] != NO_FUNCTION
    by_register = np.flatnonzero(code.op[row] == Op.STORE)
    origin = tracer.defined(row[by_register], code.source[row[by_register]].astype(np.intp))
    names[by_register] = (origin >= 0) & (function_at[origin] != NO_FUNCTION)
    result: Indices = row[names]
    return result


def _places(
    program: Program, typed: Typed, asked: Asked, layouts: Layouts, variables: Variables
) -> Numbers:
    """Where each is put; NO_FIELD where that is not known."""
    code, row = program.code, asked.row
    absolute = (asked.place == 0) & (code.base[row] == NO_REGISTER)
    address = code.disp[row].view(np.uint64)
    variable = variables.find(address)
    there = absolute & (variable >= 0)
    type_ = np.where(absolute, np.where(there, variables.type[variable], 0), typed.type[asked.base])
    start = np.where(there, variables.start[variable], np.uint64(0))
    offset = np.where(absolute, (address - start).view(np.int64),
                      typed.offset[asked.base] + code.disp[row])  # fmt: skip
    size = np.maximum(layouts.size[np.maximum(type_, 0)], 1)
    offset = np.where(there, offset % size, offset)
    found = layouts.fields(np.maximum(type_, 0), offset)
    key = np.where(code.indexed[row] & ~absolute, NO_FIELD, field_key(found.owner, found.offset))
    single = field_key(len(layouts.btf) + variable, np.zeros(len(row), np.int64))
    key = np.where(there & (type_ == FUNCTION_POINTER), single, key)
    return np.where(asked.place != 0, asked.place, key)


def arguments_of(program: Program, values: Values, found: Origins) -> Numbers:
    """The argument that each value is; NO_FIELD where it is none."""
    argument = program.argument(values.register[found.value])
    is_one = (values.source[found.value] == Source.ARGUMENT) & (argument >= 0)
    function = program.blocks.routine[np.where(is_one, values.row[found.value], 0)]
    return np.where(is_one, argument_place(function, argument), NO_FIELD)
