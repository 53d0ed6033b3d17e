"""Strong components and sweeps, against reachability worked out the plain way."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.calls.components import components
from stackgauge.calls.sweep import arrange, gathered, levels

Pairs = list[tuple[int, int]]


@st.composite
def edges(draw: st.DrawFn) -> tuple[int, Pairs]:
    count = draw(st.integers(1, 12))
    node = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(node, node), max_size=30))


def _columns(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _reach(count: int, pairs: Pairs) -> np.ndarray:
    """Which nodes each leads to, itself included."""
    reach = np.eye(count, dtype=bool)
    for _ in range(count):
        for one, two in pairs:
            reach[one] |= reach[two]
    return reach


@given(edges())
def test_components(given_: tuple[int, Pairs]) -> None:
    count, pairs = given_
    found = components(count, *_columns(pairs))
    reach = _reach(count, pairs)
    both = reach & reach.T
    assert found.label.tolist() == [int(np.flatnonzero(both[one])[0]) for one in range(count)]
    # The edges that lead to a node left earlier make no circle in any component.
    kept = [
        (one, two) for one, two in pairs if both[one, two] and found.finish[two] < found.finish[one]
    ]
    assert (levels(count, *_columns(kept)) >= 0).all()
    # And those of a walk are there: every other member is reached from one of them.
    for label in np.unique(found.label).tolist():
        members = np.flatnonzero(found.label == label)
        last = members[np.argmax(found.finish[members])]
        assert _reach(count, kept)[last, members].all()


@given(edges())
def test_sweeps(given_: tuple[int, Pairs]) -> None:
    count, pairs = given_
    pairs = [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
    reach = _reach(count, pairs)
    dag = arrange(count, *_columns(pairs))
    numbers = np.arange(count, dtype=np.int64)
    assert np.array_equal(
        gathered(dag, np.maximum, numbers), [int(np.flatnonzero(row)[-1]) for row in reach]
    )
    bits = np.uint32(1) << np.arange(count, dtype=np.uint32)
    expected = [int(np.bitwise_or.reduce(bits[row])) for row in reach]
    assert gathered(dag, np.bitwise_or, bits).tolist() == expected


def test_levels_of_what_leads_into_a_circle() -> None:
    source, target = _columns([(0, 1), (1, 2), (2, 1), (3, 4), (2, 4)])
    assert levels(5, source, target).tolist() == [-1, -1, -1, 1, 0]
    assert arrange(5, source, target).edges.tolist() == [3]
    assert components(5, source, target).label.tolist() == [0, 1, 1, 3, 4]


def test_nothing() -> None:
    none = np.zeros(0, np.intp)
    assert len(components(0, none, none).label) == 0
    assert len(arrange(0, none, none).edges) == 0
    assert levels(2, none, none).tolist() == [0, 0]


def test_walks_do_not_recurse() -> None:
    count = 20_000
    ring = np.arange(count)
    found = components(count, ring, np.roll(ring, -1))
    assert not found.label.any()
    assert found.finish[0] == count - 1
