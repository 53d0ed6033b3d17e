"""Stretches of code without a way in but at the start, and which of them lead to which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import member
from stackgauge.isa.model import Flow
from stackgauge.isa.operands import NO_REGISTER, Op, Operands
from stackgauge.kernel.tables import Jumps

Indices = NDArray[np.intp]

_FALLS = np.zeros(len(Flow), bool)
_FALLS[[Flow.NEXT, Flow.BRANCH, Flow.CALL, Flow.TRAP]] = True
_ENDS = np.ones(len(Flow), bool)
_ENDS[[Flow.NEXT, Flow.CALL]] = False


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of some functions' code, by ascending address.

    Attributes:
        first: the row of each one's first instruction, with one entry more at the end, intp.
        of: the block of each instruction, intp.
        routine: the function that each is part of, intp.
        entry: whether that is entered here, bool.
        hidden: whether a table of jumps may lead here, for nothing else does; bool.
        first_way: for each block, the row in ``way`` of its first way in, with one more, intp.
        way: the blocks from whose ends control may come here, intp.
    """

    first: Indices
    of: Indices
    routine: Indices
    entry: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    first_way: Indices
    way: Indices

    def __len__(self) -> int:
        """How many there are."""
        return len(self.routine)


def find_blocks(
    code: Operands,
    piece: Indices,
    routine: Indices,
    entry: NDArray[np.bool_],
    jumps: Jumps,
    noreturns: NDArray[np.uint64],
) -> Blocks:
    """Cut code into blocks.

    Args:
        code: every instruction of some pieces of functions.
        piece: the piece that each instruction is in.
        routine: by piece, the function that it is part of.
        entry: by piece, whether the function is entered at its start.
        jumps: edges that tables say.
        noreturns: functions that never return.
    """
    count = len(code)
    moves = (code.flow == Flow.BRANCH) | (code.flow == Flow.JUMP)
    source = np.flatnonzero(moves & (code.op == Op.GO) & (code.base == NO_REGISTER))
    target = code.find(code.disp[source].view(np.uint64))
    more = np.stack([code.find(jumps.source), code.find(jumps.target)])
    source = np.concatenate([source, more[0]])
    target = np.concatenate([target, more[1]])
    inside = (source >= 0) & (target >= 0)
    source, target = source[inside], target[inside]
    same = routine[piece[source]] == routine[piece[target]]
    source, target = source[same], target[same]
    ends = _ENDS[code.flow]
    ends[source] = True
    ended = (code.flow == Flow.CALL) & (code.op == Op.GO) & (code.base == NO_REGISTER)
    ended &= member(code.disp.view(np.uint64), noreturns)
    ends |= ended
    begins = np.ones(count, bool)
    begins[1:] = ends[:-1] | (piece[1:] != piece[:-1])
    begins[target] = True
    first = np.flatnonzero(begins)
    of = np.cumsum(begins) - 1
    last = np.append(first[1:], count) - 1
    # From one block straight on into the next.
    falls = (_FALLS[code.flow] & ~ended)[last[:-1]] & (piece[first[1:]] == piece[last[:-1]])
    straight = np.flatnonzero(falls)
    come = np.concatenate([straight, of[source]])
    go = np.concatenate([straight + 1, of[target]])
    order = np.argsort(go, kind="stable")
    first_way = np.searchsorted(go[order], np.arange(len(first) + 1))
    starts = np.ones(len(first), bool)
    starts[1:] = piece[first[1:]] != piece[first[:-1]]
    starts &= entry[piece[first]]
    # Code that nothing leads to never runs, but where its function jumps by a table.
    part = routine[piece[first]]
    jumping = np.unique(routine[piece[np.flatnonzero(code.flow == Flow.INDIRECT)]])
    hidden = (np.diff(first_way) == 0) & ~starts & member(part, jumping)
    return Blocks(np.append(first, count), of, part, starts, hidden, first_way, come[order])
