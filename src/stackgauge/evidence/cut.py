"""Code that a label has cut in two: it goes on elsewhere with something on the stack.

Where no symbol says how long a routine is, each label in it begins another one. What lies behind
the label then counts as a routine of its own, and the first part's frame is too small. A compiled
function never does such a thing: it has given back its stack where it jumps to another one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.pieces import Pieces, Placed
from stackgauge.evidence.table import Rows, known, sample
from stackgauge.isa.model import Effect, Flow, Isa, Steps

Mask = NDArray[np.bool_]

# After these nothing of the same path follows; a call at the end is one that does not return.
_FINAL = (Flow.JUMP, Flow.STOP, Flow.INDIRECT, Flow.CALL, Flow.TRAP)


def leaves_deep(code: Placed, rows: Rows, isa: Isa, listed: Pieces) -> Mask:
    """Which pieces lead over their end, or jump to another routine, with stack in use.

    Args:
        code: what the instructions do.
        rows: where the stack pointer is in it.
        isa: gives the depth at entry.
        listed: all pieces of the image; code in none of them is not taken for a routine.

    Returns:
        A mask over the code's pieces.
    """
    steps, pieces = code.steps, code.pieces
    result = np.zeros(len(pieces.start), bool)
    jumps = np.flatnonzero((steps.flow == Flow.JUMP) | (steps.flow == Flow.BRANCH))
    jumps = jumps[code.leaving(jumps)[1]]
    jumps = jumps[listed.at(steps.target[jumps]) >= 0]
    added, restored = _in_slot(steps, jumps)
    deep = _deep(rows, steps.start[jumps], added, isa) & ~restored
    result[code.piece[jumps[deep]]] = True
    goes_on = np.flatnonzero(leads_on(code))
    last = np.maximum(code.after[goes_on] - 1, 0)
    # A step at the very end counts as well.
    ends = code.after[goes_on] > code.first[goes_on]
    ends[ends] = steps.end[last[ends]] >= pieces.end[goes_on[ends]]
    moved, lost = np.zeros(len(last), np.int32), np.zeros(len(last), bool)
    effect = steps.effect[last[ends]]
    moved[ends] = np.where(effect == Effect.ADD, steps.value[last[ends]], 0)
    lost[ends] = (effect != Effect.ADD) & (effect != Effect.NONE)
    deep = _deep(rows, pieces.end[goes_on] - np.uint64(1), moved, isa)
    result[goes_on[deep | lost]] = True
    return result


def leads_on(code: Placed) -> Mask:
    """Which pieces control can run over the end of; a call there is one that does not return."""
    last = np.maximum(code.after - 1, 0)
    result = np.ones(len(last), bool)
    some = np.flatnonzero(code.after > code.first)
    last = last[some]
    # What looks like padding may be the end of an instruction.
    ends = code.steps.end[last] >= code.pieces.end[some]
    result[some] = ~(ends & np.isin(code.steps.flow[last], _FINAL))
    return result


def _in_slot(steps: Steps, jumps: NDArray[np.intp]) -> tuple[NDArray[np.int32], Mask]:
    """What a jump's delay slot adds to the stack pointer, and whether it restores it."""
    before = np.maximum(jumps - 1, 0)
    slot = (before < jumps) & (steps.start[before] == steps.start[jumps])
    effect = steps.effect[before]
    added = np.where(slot & (effect == Effect.ADD), steps.value[before], np.int32(0))
    return added, slot & (effect == Effect.RESTORE)


def _deep(rows: Rows, address: NDArray[np.uint64], added: NDArray[np.int32], isa: Isa) -> Mask:
    """Where there is anything else on the stack than at entry, after what is added there."""
    row = sample(rows, address)
    deep: Mask = row >= 0
    found = rows.take(row[deep])
    deep[deep] = known(found) & (found.depth - added[deep] != isa.entry_depth)
    return deep


def in_midst(address: NDArray[np.uint64], table: Rows, isa: Isa) -> Mask:
    """Which addresses a table says to have more on the stack than a call puts there."""
    return _deep(table, address, np.zeros(len(address), np.int32), isa)
