"""Routines whose stack is the same on every path: what sums say of them is what their paths say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.evidence import flow
from stackgauge.evidence.pieces import Pieces, place
from stackgauge.evidence.plain import plain_rows
from stackgauge.evidence.table import Rows, known, peaks, sample
from stackgauge.isa.model import Effect, Flow, Steps
from stackgauge.kernel.tables import NO_JUMPS, Jumps
from tests.evidence.test_flow import ISA

FIRST = 100

INSTRUCTIONS = st.one_of(
    st.tuples(
        st.sampled_from([Effect.ADD]),
        st.sampled_from([-16, -8, -8, 8, 8, 16]),
        st.just(0),
        st.just(Flow.NEXT),
    ),
    st.tuples(
        st.sampled_from([Effect.COPY, Effect.RESTORE]),
        st.sampled_from([0, 0, 8, -8]),
        st.sampled_from([0, 0, 1]),
        st.just(Flow.NEXT),
    ),
    st.tuples(
        st.just(Effect.NONE),
        st.just(0),
        st.just(0),
        st.sampled_from(
            [Flow.NEXT, Flow.BRANCH, Flow.BRANCH, Flow.JUMP, Flow.CALL, Flow.STOP, Flow.TRAP]
        ),
    ),
    st.tuples(st.just(Effect.LOST), st.just(0), st.just(0), st.just(Flow.NEXT)),
    st.tuples(st.just(Effect.NONE), st.just(0), st.just(0), st.just(Flow.INDIRECT)),
)


def program(rows: list[tuple[Effect, int, int, Flow]], targets: list[int]) -> Steps:
    """Instructions of one byte, from FIRST on; branches and jumps go where ``targets`` say."""
    start = np.arange(FIRST, FIRST + len(rows), dtype=np.uint64)
    effect, value, slot, kind = (np.array(column) for column in zip(*rows, strict=True))
    leads = np.isin(kind, (Flow.BRANCH, Flow.JUMP))
    target = np.where(leads, FIRST + np.resize(targets, len(rows)) % (len(rows) + 2), 0)
    steps = Steps(
        start, start + np.uint64(1), effect.astype(np.uint8), slot.astype(np.uint8),
        value.astype(np.int32), kind.astype(np.uint8), target.astype(np.uint64),
    )  # fmt: skip
    # What says nothing is no step.
    return steps.take((steps.effect != Effect.NONE) | (steps.flow != Flow.NEXT))


@given(
    st.lists(INSTRUCTIONS, min_size=1, max_size=24),
    st.lists(st.integers(0, 30), min_size=1, max_size=24),
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)), max_size=2),
)
@settings(max_examples=15000)
def test_any_program(
    rows: list[tuple[Effect, int, int, Flow]],
    targets: list[int],
    listed: list[tuple[int, int]],
) -> None:
    steps = program(rows, targets)
    start = np.array([FIRST], np.uint64)
    pieces = Pieces(start, start + np.uint64(len(rows)), np.zeros(1, np.intp), np.ones(1, bool))
    jumps = NO_JUMPS
    if listed:
        source, target = np.array(listed, np.uint64).T + np.uint64(FIRST)
        jumps = Jumps(source, target)
    plain = plain_rows(place(steps, pieces), ISA, jumps, 1)
    if not plain.routine[0]:
        assert not len(plain.rows)
        return
    followed = flow._follow_paths(steps, pieces, ISA, jumps)
    assert not followed.doubtful[0]
    assert not followed.dynamic[0]
    address = np.arange(FIRST, FIRST + len(rows), dtype=np.uint64)
    # An indirect jump may land where no step is, which does not matter.
    ours, theirs = said(plain.rows, address), said(followed.rows, address)
    assert ours == [there and here for here, there in zip(theirs, ours, strict=True)]
    by_sums, by_paths = (peaks(one, start, pieces.end) for one in (plain.rows, followed.rows))
    assert by_sums.settled.tolist() == by_paths.settled.tolist()
    assert by_sums.depth.tolist() == by_paths.depth.tolist()


def said(rows: Rows, address: np.ndarray) -> list[tuple[int, int, int] | None]:
    """Depth, most and base at each address; None where nothing is known."""
    row = sample(rows, address)
    assert (row >= 0).all()
    says = known(rows)
    return [
        (int(rows.depth[one]), int(rows.most[one]), int(rows.base[one])) if says[one] else None
        for one in row.tolist()
    ]


def test_a_rotated_loop_is_plain() -> None:
    # push; jmp cond; body: push; pop; cond: jcc body; pop; ret
    rows = [
        (Effect.ADD, -8, 0, Flow.NEXT),
        (Effect.NONE, 0, 0, Flow.JUMP),
        (Effect.ADD, -8, 0, Flow.NEXT),
        (Effect.ADD, 8, 0, Flow.NEXT),
        (Effect.NONE, 0, 0, Flow.BRANCH),
        (Effect.ADD, 8, 0, Flow.NEXT),
        (Effect.NONE, 0, 0, Flow.STOP),
    ]
    steps = program(rows, [0, 4, 0, 0, 2, 0, 0])
    start = np.array([FIRST], np.uint64)
    pieces = Pieces(start, start + np.uint64(7), np.zeros(1, np.intp), np.ones(1, bool))
    plain = plain_rows(place(steps, pieces), ISA, NO_JUMPS, 1)
    assert plain.routine.tolist() == [True]
    assert said(plain.rows, steps.start) == [
        (depth, depth, 0) for depth in (8, 16, 16, 24, 16, 16, 8)
    ]


def test_huge_numbers_are_not_summed() -> None:
    rows = [(Effect.ADD, -(1 << 30), 0, Flow.NEXT)] * 5 + [(Effect.NONE, 0, 0, Flow.STOP)]
    steps = program(rows, [0])
    start = np.array([FIRST], np.uint64)
    pieces = Pieces(start, start + np.uint64(6), np.zeros(1, np.intp), np.ones(1, bool))
    assert not plain_rows(place(steps, pieces), ISA, NO_JUMPS, 1).routine.any()
