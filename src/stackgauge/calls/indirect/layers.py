"""The layers of indirect edges: by table, by what code stores and passes, by type.

What an edge rests on:

- TABLE: the type of the structure that the call loads from is known, and the functions are those
  that static data or code seen here puts into that field, or that direct calls pass as that
  argument.
- TYPE: the same prototype. For a field or argument that is known, only functions whose address is
  taken in a way that could not be followed; where none is known, all whose address is taken.

Neither can see a function that is put into a field by a copy of memory, nor one of a module that
is not given: depths that rest on these layers are assumed, never bounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph
from stackgauge.calls.indirect.hints import hinted_fields
from stackgauge.calls.indirect.hooks import Hooks
from stackgauge.calls.indirect.known import Study
from stackgauge.calls.indirect.layout import UNKNOWN, Fields, Layouts
from stackgauge.calls.indirect.members import argument_place, gather
from stackgauge.calls.indirect.modules import taken_by_modules
from stackgauge.calls.indirect.origins import Origins, made_of, origins
from stackgauge.calls.indirect.program import convention_of, read_program
from stackgauge.calls.indirect.prototypes import Prototypes, function_prototypes
from stackgauge.calls.indirect.signatures import coarse_shapes
from stackgauge.calls.indirect.stores import NO_FUNCTION, Moved, arguments_of, ask, moved, unplaced
from stackgauge.calls.indirect.tables import (
    NO_FIELD,
    Words,
    function_words,
    initcalls,
    word_fields,
)
from stackgauge.calls.indirect.typing import NO_ADDRESS, Typed, Typer
from stackgauge.calls.indirect.values import Source, Tracer, Values
from stackgauge.calls.indirect.variables import read_variables
from stackgauge.calls.model import Kind
from stackgauge.frames.measure import Frames
from stackgauge.image.arrays import member
from stackgauge.image.btf import BtfKind, read_btf
from stackgauge.isa.operands import NO_REGISTER, Convention, Op

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def study(graph: Graph) -> Study | None:
    """Look at the indirect sites of the first image that are not closed.

    Returns:
        None where the image has no BTF, or is of an architecture whose instructions are not read
        here: then there are no such layers.
    """
    frames = graph.frames[0]
    convention = convention_of(frames.image.elf.machine)
    btf = read_btf(frames.image.elf, frames.contents) if convention else None
    if btf is None or convention is None or not len(frames.functions):
        return None
    layouts = Layouts(btf)
    return _Study(graph, frames, convention, layouts).result()


class _Study:
    """The steps of ``study``."""

    def __init__(
        self, graph: Graph, frames: Frames, convention: Convention, layouts: Layouts
    ) -> None:
        self._graph, self._frames, self._layouts = graph, frames, layouts
        self._functions = frames.functions
        self._prototypes = Prototypes(layouts)
        self._prototype = function_prototypes(layouts.btf, self._functions)
        sites = graph.sites
        indirect = (sites.kind == Kind.INDIRECT_CALL) | (sites.kind == Kind.INDIRECT_TAIL)
        indirect &= sites.function < len(self._functions)
        self._site = np.flatnonzero(indirect & ~graph.closed)
        self._takes = self._arguments_taken(convention)
        self._program = read_program(frames, convention)
        code = self._program.code
        alone = code.base == NO_REGISTER
        self._words = function_words(frames)
        image = frames.image
        self._variables = read_variables(
            image.elf, frames.contents, image.symbols, layouts, self._addresses(alone)
        )
        self._function_at = self._starting(
            code.disp, alone & ((code.op == Op.GO) | (code.op == Op.ADDRESS))
        )
        self._stored = self._starting(code.value.astype(np.int64), code.op == Op.STORE_CONSTANT)

    def _addresses(self, alone: Mask) -> NDArray[np.uint64]:
        """Addresses of data that matter: what code names, and where functions stand."""
        code = self._program.code
        kinds = np.zeros(len(Op), bool)
        kinds[[Op.LOAD, Op.ADDRESS, Op.STORE, Op.STORE_CONSTANT, Op.GO_LOADED]] = True
        named = code.disp[alone & kinds[code.op]].view(np.uint64)
        return np.concatenate([named, self._words.address])

    def _arguments_taken(self, convention: Convention) -> Numbers:
        """By function, a bit for each argument register that it gets a function in."""
        takes = np.zeros(len(self._functions), np.int64)
        for argument in range(len(convention.arguments)):
            register = np.full(len(takes), argument)
            pointee = self._prototypes.argument(self._prototype, register)
            is_function = self._layouts.btf.kind[pointee] == BtfKind.FUNC_PROTO
            takes |= is_function.astype(np.int64) << argument
        return takes

    def _starting(self, address: Numbers, which: Mask) -> Indices:
        """The function that begins at each of some addresses; NO_FUNCTION for none."""
        start, rows = self._functions.start, np.flatnonzero(which)
        value = address[rows].view(np.uint64)
        at = np.minimum(np.searchsorted(start, value), len(start) - 1)
        result = np.full(len(address), NO_FUNCTION, np.intp)
        result[rows] = np.where(start[at] == value, self._functions.routine[at], NO_FUNCTION)
        return result

    def result(self) -> Study:
        program, code = self._program, self._program.code
        tracer = Tracer(code, program.blocks, program.convention)
        row = code.find(self._graph.sites.address[self._site])
        by_register = np.flatnonzero(
            (row >= 0) & (code.op[row] == Op.GO) & (code.base[row] != NO_REGISTER)
        )
        by_load = np.flatnonzero((row >= 0) & (code.op[row] == Op.GO_LOADED))
        called = np.concatenate([
            tracer.reaching(row[by_register], code.base[row[by_register]].astype(np.intp)),
            tracer.loaded(row[by_load]),
        ])  # fmt: skip
        asked = ask(program, tracer, self._function_at, self._stored, self._takes)
        values = tracer.follow()
        hints = Fields(*np.zeros((3, len(code)), np.int64))
        typer = self._typer(values)
        typed = typer.run()
        found = origins(code, values, typed, called)
        rows = np.union1d(
            self._untold(values, typed, found),
            unplaced(
                program, tracer, typed, asked, self._layouts, self._variables, self._function_at,
                self._stored,
            ),
        )  # fmt: skip
        for into, column in zip(
            hints, hinted_fields(self._frames, program, self._layouts, rows), strict=True
        ):
            into[rows] = column
        typed = typer.run_with(hints, rows)
        found = origins(code, values, typed, called)
        what = moved(
            program, values, typed, asked, self._layouts, self._variables, self._function_at,
            self._stored, hints,
        )  # fmt: skip
        words = self._words
        return self._study(
            np.concatenate([by_register, by_load]), found, values, typed, what, words
        )

    def _untold(self, values: Values, typed: Typed, found: Origins) -> Indices:
        """Loads whose field is not known and matters to what is called."""
        code = self._program.code
        open_ = (found.field == NO_FIELD) & ~found.constant
        matters = made_of(values, found.value[open_]) & (values.source == Source.DEFINED)
        matters &= typed.type == UNKNOWN
        rows = values.row[matters]
        loads = (code.op[rows] == Op.LOAD) | (code.op[rows] == Op.GO_LOADED)
        loads &= code.base[rows] != NO_REGISTER
        return np.flatnonzero(np.bincount(rows[loads], minlength=1))

    def _typer(self, values: Values) -> Typer:
        program = self._program
        argument = program.argument(values.register)
        is_argument = (values.source == Source.ARGUMENT) & (argument >= 0)
        function = program.blocks.routine[np.where(is_argument, values.row, 0)]
        pointee = self._prototypes.argument(self._prototype[function], argument)
        at = self._function_at
        return Typer(
            program.code, values, self._prototypes, self._variables,
            np.where(at >= 0, self._prototype[at], UNKNOWN),
            np.where(is_argument, pointee, UNKNOWN),
        )  # fmt: skip

    def _initcall_place(self) -> int:
        """Where initcalls are passed; NO_FIELD where that is not known."""
        address = self._frames.image.symbols.find("do_one_initcall")
        if address is None:
            return NO_FIELD
        at = self._starting(np.array([address], np.uint64).view(np.int64), np.ones(1, bool))
        return int(argument_place(at, np.zeros(1, np.int64))[0]) if at[0] >= 0 else NO_FIELD

    def _study(
        self,
        which: Indices,
        found: Origins,
        values: Values,
        typed: Typed,
        what: Moved,
        words: Words,
    ) -> Study:
        field = word_fields(words, self._variables, self._layouts)
        placed = field != NO_FIELD
        hooks = Hooks(self._frames, self._layouts, self._variables)
        started, starter = initcalls(self._frames), self._initcall_place()
        members = gather(
            np.concatenate(
                [field[placed], what.place, hooks.place, np.full(len(started), starter)]
            ),
            np.concatenate([words.function[placed], what.function, hooks.function, started]),
            what.into,
            what.source,
        )
        shape = self._prototypes.shape
        argument = arguments_of(self._program, values, found)
        type_ = np.maximum(typed.type[found.value], 0)
        # An argument without a prototype of its own may be no pointer to a function.
        is_function = self._layouts.btf.kind[type_] == BtfKind.FUNC_PROTO
        place = np.where(found.field != NO_FIELD, found.field, np.where(is_function, argument, 0))
        hook = hooks.places(self._program.code, values, typed, found)
        place = np.where(hook != NO_FIELD, hook, place)
        row = values.row[found.value]
        named = np.where(found.constant, self._function_at[row], NO_FUNCTION)
        taken = np.union1d(np.union1d(what.named, words.function), started)
        unknown = taken[self._prototype[taken] == UNKNOWN]
        coarse, own = np.zeros((2, len(self._graph)), np.int64)
        own[: len(self._functions)] = shape[self._prototype]
        modules = taken_by_modules(self._graph, self._prototypes)
        # Of the kernel's own functions the kernel knows the prototypes.
        own[modules.function] = np.where(modules.shape > 0, modules.shape, own[modules.function])
        coarse[unknown] = coarse_shapes(self._frames, self._layouts, unknown)
        return Study(
            site=self._site[which],
            found=found,
            place=place,
            shape=shape[type_],
            coarse=self._prototypes.coarse[type_],
            constant=named,
            null=found.constant & (np.abs(self._program.code.disp[row]) < NO_ADDRESS),
            # What computes the addresses of initcalls from their tables is not followed.
            open=member(place, what.open) & (place != NO_FIELD) & (place != starter),
            members=members,
            loose=np.union1d(np.union1d(what.loose, words.function[~placed]), modules.function),
            taken=np.union1d(taken, modules.function),
            function_shape=own,
            function_coarse=coarse,
        )
