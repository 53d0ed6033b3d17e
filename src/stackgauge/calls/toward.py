"""The chains that lead to a function, in place of those that end anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stackgauge.calls.depths import Calls, Flags, Why
from stackgauge.calls.sweep import NOWHERE, Indices

# What is not known, or only assumed, of calls anywhere below may lead there too.
_MAY_LEAD = np.uint32(
    Why.TABLE | Why.TYPE | Why.ANNOTATED | Why.IGNORED | Why.OUTSIDE | Why.UNRESOLVED
)


def toward(calls: Calls, targets: Indices, why: Flags) -> Calls:
    """The calls of which chains consist that end with the whole frame of one of some functions.

    Args:
        calls: all calls.
        targets: rows of the functions.
        why: Why, of all that each function leads to.
    """
    ends = np.zeros(len(calls), bool)
    ends[targets] = True
    reaches = ends.copy()
    onward = ~ends[calls.caller]
    # A round a call of the longest of the shortest ways.
    while True:
        more = calls.caller[onward & reaches[calls.callee]]
        if reaches[more].all():
            break
        reaches[more] = True
    kept = onward & reaches[calls.callee]
    return replace(
        calls,
        least=np.where(ends, calls.least, NOWHERE),
        most=np.where(ends, calls.most, NOWHERE),
        why=np.where(reaches, calls.why | why & _MAY_LEAD, np.uint32(0)),
        caller=calls.caller[kept],
        callee=calls.callee[kept],
        least_at=calls.least_at[kept],
        most_at=calls.most_at[kept],
    )
