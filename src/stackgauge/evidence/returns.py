"""Calls that do not come back: of ``panic``, ``do_exit`` and the like, told by their own code.

The compiler knows them by their declarations. It lets a call of one end a path, with whatever
arguments are pushed, and lets any other code follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.pieces import Placed
from stackgauge.image.arrays import member
from stackgauge.isa.model import Effect, Flow

_LEAVES = np.zeros(len(Flow), bool)
_LEAVES[[Flow.STOP, Flow.INDIRECT]] = True


def endless_calls(code: Placed, routines: int, named: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Which steps call a routine that does not return.

    One of the code's own does not if nothing in it returns or jumps out of it, and control can't
    run over its end: the last instruction jumps, or calls another such routine.

    Args:
        code: what the instructions do.
        routines: how many there are.
        named: addresses, ascending, of routines that are known not to return.
    """
    steps, pieces = code.steps, code.pieces
    if not len(steps):
        return np.zeros(0, np.intp)
    returns = np.zeros(routines, bool)
    # A trap that moves the stack pointer is a return from an interrupt.
    leaves = _LEAVES.take(steps.flow) | (steps.flow == Flow.TRAP) & (steps.effect != Effect.NONE)
    returns[code.routine(np.flatnonzero(leaves))] = True
    jumps = np.flatnonzero((steps.flow == Flow.JUMP) | (steps.flow == Flow.BRANCH))
    jumps = jumps[~returns[code.routine(jumps)]]
    out = code.leaving(jumps)[1]
    returns[code.routine(jumps[out])] = True
    # The pieces of what is left; a piece that is not entered, such as a cold one or an
    # alternative, is left for code of the same routine.
    whole = np.flatnonzero(pieces.entry & ~returns[pieces.routine])
    last = np.maximum(code.after[whole] - 1, 0)
    closed = (code.after[whole] > code.first[whole]) & (steps.end[last] == pieces.end[whole])
    returns[pieces.routine[whole[~closed]]] = True
    ends = np.isin(steps.flow[last], (Flow.JUMP, Flow.CALL))
    returns[pieces.routine[whole[~ends]]] = True
    calling = whole[steps.flow[last] == Flow.CALL]
    target = steps.target[code.after[calling] - 1]
    callee = pieces.at(target)
    met = (callee >= 0) & pieces.entry[callee] & (target == pieces.start[callee])
    sure = member(target, named)
    # Each turn finds one at least, and few have more than two or three turns.
    known = returns.copy()
    known[pieces.routine[calling]] = True
    before = -1
    while before != (before := int(known.sum())):
        ends = sure | met & ~known[pieces.routine[callee]]
        ends &= ~returns[pieces.routine[calling]]
        known[pieces.routine[calling[ends]]] = False
    never = pieces.start[pieces.entry & ~known[pieces.routine]]
    calls = np.flatnonzero(steps.flow == Flow.CALL)
    target = steps.target[calls]
    return calls[member(target, never) | member(target, named)]
