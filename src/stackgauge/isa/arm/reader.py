"""The stack steps of Arm's 32-bit code: A32 and Thumb, by mapping symbols or by what it looks like.

Nearly every instruction of A32 can have a condition, and some of Thumb's. What one does if its
condition holds is a range here: a push may have taken stack, a pop may not have given it back. A
return with a condition says nothing about the path on which it is none.
"""

from __future__ import annotations

import numpy as np

from stackgauge.image.mapping import MappingSymbols
from stackgauge.isa.arm.branches import Branches, flow_of, is_profiling, unless_returned
from stackgauge.isa.arm.candidates import candidates
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.arm.moves import read_moves
from stackgauge.isa.arm.out import Out
from stackgauge.isa.arm.registers import add_followed, copies_of
from stackgauge.isa.arm.sets import listings
from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps, joined


def read_arm(
    code: Code, ranges: Ranges, *, symbols: MappingSymbols, order: str, data_order: str
) -> Steps:
    """The stack steps of A32 and Thumb code.

    Args:
        code: one section.
        ranges: the stretches of it to read.
        symbols: those that tell A32 from Thumb, and both from data.
        order: NumPy's character of the byte order of instructions.
        data_order: that of data.
    """
    marks = symbols.between(code.address, code.address + len(code.data))
    parts = [_steps(listing) for listing in listings(code, ranges, marks, order, data_order)]
    steps = joined(parts)
    if len(parts) < 2:
        return steps
    return steps.take(np.argsort(steps.start, kind="stable"))


def _steps(listing: Listing) -> Steps:
    text = listing.text
    out = Out(listing)
    at = candidates(text.words, listing.inside, listing.thumb is not None)
    words = text.words[at]
    flow = flow_of(listing, at, words)
    edges = flow != Flow.NEXT
    branches = Branches(listing, at[edges], words[edges], flow[edges])
    skipped = unless_returned(listing, branches)
    # A return that pops more than was pushed shows that the caller has pushed for this function.
    returns = (flow == Flow.STOP) & ~skipped[at]
    popped = read_moves(listing, at[returns], words[returns])
    out.added(popped.added, popped.value)
    moving = (flow == Flow.NEXT) & ~skipped[at]
    at, words = at[moving], words[moving]
    kept = ~is_profiling(listing, branches, at, words)
    moves = read_moves(listing, at[kept], words[kept])
    out.added(moves.added, moves.value)
    out.add(moves.lost, effect=Effect.LOST)
    out.add(moves.aligned, effect=Effect.ALIGN, value=moves.alignment)
    add_followed(listing, branches, moves, copies_of(listing, at, words), skipped, out)
    branches.add(out)
    # Data, where no path goes on.
    out.stops(*listing.stops)
    return out.steps()
