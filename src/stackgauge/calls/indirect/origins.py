"""Which fields, functions and arguments what is called at a site can come from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.tables import NO_FIELD, field_key
from stackgauge.calls.indirect.typing import Typed
from stackgauge.calls.indirect.values import UNKNOWN_VALUE, Source, Values
from stackgauge.image.arrays import sorted_unique
from stackgauge.isa.operands import NO_REGISTER, Op, Operands

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

# Pairs of a question and a value on the way: a kernel has some hundred thousand.
_MOST_PAIRS = 1 << 24


class Origins(NamedTuple):
    """Where called values come from: pairs of a question and a value that is no copy of others.

    Attributes:
        asked: the index of the value that was asked about, intp.
        value: the value, intp.
        field: the field that it was loaded from, by ``field_key``; NO_FIELD where it is no load
            or that is not known, int64.
        constant: whether it is an address that the code names, bool.
    """

    asked: Indices
    value: Indices
    field: Numbers
    constant: NDArray[np.bool_]


def origins(
    code: Operands,
    values: Values,
    typed: Typed,
    asked: Indices,
    through: NDArray[np.bool_] | None = None,
) -> Origins:
    """Follow values through copies to what they are copies of.

    Args:
        code: the instructions that define values.
        values: all values.
        typed: their types.
        asked: the values to follow.
        through: by value, whether it is followed to what it is made of, besides copies.
    """
    defined = values.source == Source.DEFINED
    op = np.where(defined, code.op[values.row], Op.OTHER)
    passes = (op == Op.COPY) | (op == Op.SELECT) | (values.source == Source.MERGED)
    if through is not None:
        passes |= through
    count = len(values)
    frontier = sorted_unique(np.arange(len(asked)) * count + asked)
    parts, total = [frontier], 0
    while len(frontier):
        question, value = np.divmod(frontier, count)
        goes = passes[value]
        question, value = question[goes], value[goes]
        lane, used = values.inputs(value)
        frontier = sorted_unique(question[lane] * count + used)
        # Rounds are many and soon small: what was seen in all is merged as seldom as that pays.
        for earlier in parts:
            place = np.minimum(np.searchsorted(earlier, frontier), len(earlier) - 1)
            frontier = frontier[earlier[place] != frontier]
        parts.append(frontier)
        while len(parts) > 1 and 2 * len(parts[-1]) > len(parts[-2]):
            parts[-2:] = [sorted_unique(np.concatenate(parts[-2:]))]
        total += len(frontier)
        if total > _MOST_PAIRS:
            # What is not followed to its end may come from anywhere.
            parts.append(frontier // count * count + UNKNOWN_VALUE)
            break
    question, value = np.divmod(sorted_unique(np.concatenate(parts)), count)
    ends = ~passes[value]
    question, value = question[ends], value[ends]
    op = op[value]
    loaded = (op == Op.LOAD) | (op == Op.GO_LOADED)
    field = np.where(loaded, field_key(typed.owner[value], typed.field[value]), NO_FIELD)
    row = values.row[value]
    constant = (op == Op.ADDRESS) & (code.base[row] == NO_REGISTER)
    return Origins(question, value, field, constant)


def made_of(values: Values, asked: Indices) -> NDArray[np.bool_]:
    """Which values those asked about are made of, in however many steps; bool by value."""
    seen = np.zeros(len(values), bool)
    seen[asked] = True
    frontier = np.flatnonzero(seen)
    while len(frontier):  # each value once
        frontier = sorted_unique(values.inputs(frontier)[1])
        frontier = frontier[~seen[frontier]]
        seen[frontier] = True
    return seen
