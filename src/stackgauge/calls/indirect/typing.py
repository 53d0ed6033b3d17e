"""What values point to: types carried forward from arguments, variables and results of calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.layout import UNKNOWN, Fields, Layouts
from stackgauge.calls.indirect.prototypes import Prototypes
from stackgauge.calls.indirect.values import Source, Values
from stackgauge.calls.indirect.variables import FUNCTION_POINTER, Variables
from stackgauge.isa.operands import NO_REGISTER, Op, Operands

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

# A value that may be anything that fits, for no pointer has been seen to become it: NULL, an error.
UNSET = -1

# Numbers of no more than this, or of as little below 0, are no addresses (MAX_ERRNO, a page).
NO_ADDRESS = 4096

_FAR = 1 << 60

# How often a value is looked at again, on average: a type only goes from unset to known to unknown.
_MOST_WORK = 64
# What a round costs besides, as so many values.
_ROUND = 1000


@dataclass(frozen=True, eq=False)
class Typed:
    """What each value is; columns by value, int64.

    Attributes:
        type: what it points to, UNKNOWN, or UNSET.
        offset: how far into that.
        owner: of a value that was loaded, the structure whose field it was, by its first
            like-named type; or of one loaded from a variable that points to functions,
            ``len(btf)`` and the variable's row; else UNKNOWN.
        field: the field's offset in that.
    """

    type: Numbers
    offset: Numbers
    owner: Numbers
    field: Numbers


class Typer:
    """Types values."""

    def __init__(
        self,
        code: Operands,
        values: Values,
        prototypes: Prototypes,
        variables: Variables,
        prototype_at: Numbers,
        argument_of: Numbers,
    ) -> None:
        """Take values.

        Args:
            code: the instructions that define them.
            values: the values.
            prototypes: the image's types.
            variables: its variables.
            prototype_at: of each instruction that calls or takes the address ``disp``, the
                prototype of the function there, else UNKNOWN; by instruction.
            argument_of: of each value that is an argument, what it points to, else UNKNOWN.
        """
        self._code, self._values = code, values
        self._layouts: Layouts = prototypes.layouts
        self._prototypes, self._variables = prototypes, variables
        self._prototype_at, self._argument_of = prototype_at, argument_of
        self._hints = Fields(*np.zeros((3, len(code)), np.int64))
        count = len(values)
        self.type = np.full(count, UNSET, np.int64)
        self.offset, self.owner, self.field = np.zeros((3, count), np.int64)
        self._stepping = np.zeros(count, bool)
        defined = values.source == Source.DEFINED
        self._op = np.where(defined, code.op[values.row], Op.OTHER)
        self._op[values.source == Source.MERGED] = Op.SELECT
        self._base = np.where(defined, code.base[values.row], NO_REGISTER)

    def run(self) -> Typed:
        """Carry types forward until nothing changes."""
        self._leaves()
        self._carry(np.flatnonzero(self.type != UNSET))
        return Typed(self.type, self.offset, self.owner, self.field)

    def run_with(self, hints: Fields, rows: Indices) -> Typed:
        """Once more, with what debug information says; columns are those of ``run``, changed.

        Args:
            hints: by instruction, the field that it loads from where nothing else tells.
            rows: the instructions that have one.
        """
        self._hints = hints
        hinted = np.zeros(len(self._code), bool)
        hinted[rows] = True
        loads = (self._op == Op.LOAD) | (self._op == Op.GO_LOADED)
        told = np.flatnonzero(loads & hinted[self._values.row] & (self._base != NO_REGISTER))
        again, fresh = np.zeros(len(self._values), bool), told
        again[told] = True
        while len(fresh):  # each value once
            fresh = self._values.users(fresh)
            fresh = fresh[~again[fresh]]
            again[fresh] = True
        rows = np.flatnonzero(again)
        self.type[rows] = UNSET
        self.offset[rows] = self.owner[rows] = self.field[rows] = 0
        self._carry(self._step(rows))
        return Typed(self.type, self.offset, self.owner, self.field)

    def _carry(self, changed: Indices) -> None:
        work = _MOST_WORK * len(self._values)
        while len(changed):
            rows = self._values.users(changed)
            changed = self._step(rows)
            work -= len(rows) + _ROUND
            if work < 0:
                self.type[:] = UNKNOWN
                self.owner[:] = UNKNOWN
                return

    def _step(self, rows: Indices) -> Indices:
        """Type some values again; those whose type changes."""
        before = self.type[rows], self.offset[rows]
        op = self._op[rows]
        several = rows[op == Op.SELECT]
        if len(several):
            self._merge(several)
        one = rows[op != Op.SELECT]
        if len(one):
            input_ = self._values.used[self._values.first[one]]
            type_, offset = self.type[input_], self.offset[input_]
            op = self._op[one]
            disp = self._code.disp[self._values.row[one]]
            known = type_ > 0
            follow = (op == Op.COPY) | (op == Op.ADDRESS)
            # Of an address with an index nothing is known but where it began.
            indexed = self._code.indexed[self._values.row[one]]
            kept = follow & known & ~indexed
            self.type[one[follow]] = np.where(indexed & known, UNKNOWN, type_)[follow]
            moved = np.where(op == Op.ADDRESS, disp, 0)
            self.offset[one[follow]] = np.where(kept, offset + moved, 0)[follow]
            loads = (op == Op.LOAD) | (op == Op.GO_LOADED)
            self._load(one[loads], type_[loads], (offset + disp)[loads])
            called = op == Op.GO
            result = self._prototypes.result(np.maximum(type_[called], 0))
            self.type[one[called]] = np.where(known[called], result, type_[called])
        after = self.type[rows], self.offset[rows]
        changed: Indices = rows[(before[0] != after[0]) | (before[1] != after[1])]
        return changed

    def _merge(self, rows: Indices) -> None:
        """What several values have in common; those that may be anything count for nothing."""
        each, used = self._values.inputs(rows)
        start = np.flatnonzero(np.diff(each, prepend=-1))
        type_, offset = self.type[used], self.offset[used]
        name = np.where(type_ > 0, self._layouts.first_named[type_], type_)
        # What steps through an array leads to each of its elements alike.
        lead = np.maximum.reduceat(type_, start)
        size = np.maximum(self._layouts.size[np.maximum(lead, 0)], 1)[each]
        one = offset[start][each]
        steps = np.minimum.reduceat((offset - one) % size == 0, start)
        steps &= np.maximum.reduceat((offset != one) & (type_ > 0), start)
        # Once seen to step it counts so for good, lest it be one thing and the other in turn.
        steps |= self._stepping[rows]
        self._stepping[rows] = steps
        offset = np.where(steps[each] & (type_ > 0), offset % size, offset)
        far = _FAR
        least = np.minimum.reduceat(np.where(type_ == UNSET, far, name), start)
        most = np.maximum.reduceat(name, start)
        low = np.minimum.reduceat(np.where(type_ == UNSET, far, offset), start)
        high = np.maximum.reduceat(np.where(type_ == UNSET, -far, offset), start)
        same = (least == most) & (low == high) & (most > 0)
        self.type[rows] = np.where(most == UNSET, UNSET, np.where(same, lead, UNKNOWN))
        self.offset[rows] = np.where(same, low, 0)

    def _load(self, rows: Indices, type_: Numbers, offset: Numbers) -> None:
        found = self._layouts.fields(np.maximum(type_, 0), offset)
        hint = Fields(*(column[self._values.row[rows]] for column in self._hints))
        lacking = found.pointee == UNKNOWN
        nowhere = lacking & (found.owner == UNKNOWN)
        found = Fields(
            np.where(nowhere, hint.owner, found.owner),
            np.where(nowhere, hint.offset, found.offset),
            np.where(lacking, hint.pointee, found.pointee),
        )
        waits = type_ == UNSET
        self.type[rows] = np.where(waits, UNSET, found.pointee)
        self.offset[rows] = 0
        self.owner[rows] = np.where(waits, UNKNOWN, found.owner)
        self.field[rows] = np.where(waits, 0, found.offset)

    def _leaves(self) -> None:
        """Values that are made of no others."""
        code, values = self._code, self._values
        self.type[0] = UNKNOWN
        self.type[values.source == Source.UNKNOWN] = UNKNOWN
        argument = values.source == Source.ARGUMENT
        self.type[argument] = self._argument_of[argument]
        alone = (values.source == Source.DEFINED) & (self._base == NO_REGISTER)
        rows = np.flatnonzero(alone)
        row, op = values.row[rows], self._op[rows]
        address = code.disp[row].view(np.uint64)
        variable = self._variables.find(address)
        there = variable >= 0
        type_ = np.where(there, self._variables.type[variable], UNKNOWN)
        start = np.where(there, self._variables.start[variable], np.uint64(0))
        inside = (address - start).view(np.int64)
        size = np.maximum(self._layouts.size[np.maximum(type_, 0)], 1)
        inside %= size  # an array's elements are alike
        prototype = self._prototype_at[row]
        called = op == Op.GO
        self.type[rows[called]] = self._prototypes.result(prototype[called])
        constant = op == Op.ADDRESS
        number = np.abs(code.disp[row]) < NO_ADDRESS
        points = np.where(prototype > 0, prototype, np.maximum(type_, UNKNOWN))
        self.type[rows[constant]] = np.where(number, UNSET, points)[constant]
        self.offset[rows[constant]] = np.where(points == type_, inside, 0)[constant]
        loads = np.flatnonzero((op == Op.LOAD) | (op == Op.GO_LOADED))
        self._load(rows[loads], np.maximum(type_[loads], UNKNOWN), inside[loads])
        direct = loads[type_[loads] == FUNCTION_POINTER]
        self.owner[rows[direct]] = len(self._layouts.btf) + variable[direct]
        indexed = loads[code.indexed[row[loads]] & (type_[loads] == UNKNOWN)]
        self.type[rows[indexed]] = UNKNOWN
        rest = rows[(op != Op.GO) & (op != Op.ADDRESS) & (op != Op.LOAD) & (op != Op.GO_LOADED)]
        self.type[rest] = UNKNOWN
