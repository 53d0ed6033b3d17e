"""Calls that do not come back end a path, whatever is pushed for them."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.evidence.flow import Followed, follow
from stackgauge.evidence.pieces import Pieces
from stackgauge.evidence.table import NO_LIMIT, peaks
from stackgauge.isa.model import Effect, Flow, Steps
from tests.evidence.test_flow import ISA

CALLER, CALLEE, OTHER = 100, 110, 120


def run(
    callee: list[tuple[Effect, int, Flow, int]], other: list[tuple[Effect, int, Flow, int]]
) -> Followed:
    """A caller that pushes in a loop before each call, and two more routines."""
    caller = [
        (Effect.ADD, -8, Flow.NEXT, 0),
        (Effect.NONE, 0, Flow.BRANCH, CALLER + 4),
        (Effect.ADD, -16, Flow.NEXT, 0),
        (Effect.NONE, 0, Flow.CALL, CALLEE),
        # Behind the call there is other code, which the call does not come back to.
        (Effect.NONE, 0, Flow.BRANCH, CALLER + 1),
        (Effect.ADD, 8, Flow.NEXT, 0),
        (Effect.NONE, 0, Flow.STOP, 0),
    ]
    rows = [
        (base + place, *row)
        for base, part in ((CALLER, caller), (CALLEE, callee), (OTHER, other))
        for place, row in enumerate(part)
    ]
    start, effect, value, flow, target = (np.array(column) for column in zip(*rows, strict=True))
    steps = Steps(
        start.astype(np.uint64), start.astype(np.uint64) + np.uint64(1), effect.astype(np.uint8),
        np.zeros(len(rows), np.uint8), value.astype(np.int32), flow.astype(np.uint8),
        target.astype(np.uint64),
    )  # fmt: skip
    begin = np.array([CALLER, CALLEE, OTHER], np.uint64)
    size = np.array([len(caller), len(callee), len(other)], np.uint64)
    pieces = Pieces(begin, begin + size, np.arange(3), np.ones(3, bool))
    return follow(steps, pieces, ISA)


SPIN = [(Effect.ADD, -32, Flow.NEXT, 0), (Effect.NONE, 0, Flow.JUMP, OTHER + 1)]
RETURN = [(Effect.NONE, 0, Flow.STOP, 0)]


@pytest.mark.parametrize(
    ("callee", "other"),
    [
        ([(Effect.NONE, 0, Flow.JUMP, CALLEE)], RETURN),
        # One that ends with the call of another such.
        ([(Effect.NONE, 0, Flow.CALL, 0), (Effect.NONE, 0, Flow.CALL, OTHER)], SPIN),
    ],
)
def test_a_call_of_what_spins(
    callee: list[tuple[Effect, int, Flow, int]], other: list[tuple[Effect, int, Flow, int]]
) -> None:
    followed = run(callee, other)
    found = peaks(followed.rows, followed.pieces.start, followed.pieces.end)
    assert (found.depth[0], found.most[0]) == (32, 32)
    assert not followed.dynamic[0]


@pytest.mark.parametrize(
    ("callee", "other"),
    [
        (RETURN, RETURN),
        # A branch on the way returns.
        ([(Effect.NONE, 0, Flow.BRANCH, CALLEE + 2), (Effect.NONE, 0, Flow.JUMP, CALLEE)], RETURN),
        # It jumps elsewhere.
        ([(Effect.NONE, 0, Flow.JUMP, OTHER)], SPIN),
        ([(Effect.NONE, 0, Flow.INDIRECT, 0)], SPIN),
        # What it calls last returns.
        ([(Effect.NONE, 0, Flow.CALL, OTHER)], RETURN),
        # It traps, which may be resumed.
        ([(Effect.NONE, 0, Flow.TRAP, 0)], RETURN),
        # It returns from an interrupt.
        ([(Effect.ADD, 40, Flow.TRAP, 0), (Effect.NONE, 0, Flow.JUMP, CALLEE + 1)], RETURN),
    ],
)
def test_a_call_of_what_may_return(
    callee: list[tuple[Effect, int, Flow, int]], other: list[tuple[Effect, int, Flow, int]]
) -> None:
    followed = run(callee, other)
    found = peaks(followed.rows, followed.pieces.start, followed.pieces.end)
    assert found.most[0] == NO_LIMIT
    assert followed.unlimited[0]
