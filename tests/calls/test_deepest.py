"""The deepest chains, against trying all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from stackgauge.calls.deepest import deepest
from stackgauge.calls.depths import Calls, Why, status
from stackgauge.evidence.table import NO_LIMIT
from tests.calls.graphs import deepest_simple, deepest_walk, graph, graphs


@given(graphs(circles=False))
def test_exact_without_circles(calls: Calls) -> None:
    found = deepest(calls)
    every = range(len(calls))
    assert found.least.tolist() == [deepest_simple(calls, one) for one in every]
    assert found.most.tolist() == [deepest_walk(calls, one) for one in every]
    assert not found.why.any()


@given(graphs(circles=True))
def test_between_least_and_most_with_circles(calls: Calls) -> None:
    found = deepest(calls)
    assert (found.least >= calls.least).all()
    for one in range(len(calls)):
        longest = deepest_walk(calls, one)
        assert found.least[one] <= deepest_simple(calls, one)
        # Without any known bound, a circle that takes stack has none, and all else is exact.
        assert found.most[one] == longest
        assert (longest == NO_LIMIT) == bool(found.why[one] & Why.CIRCLE)


@settings(max_examples=300)
@given(graphs(circles=True, known=True))
def test_between_least_and_most_with_known_times(calls: Calls) -> None:
    found = deepest(calls)
    for one in range(len(calls)):
        assert found.least[one] <= deepest_simple(calls, one) <= found.most[one]
        longest = deepest_walk(calls, one)
        assert longest <= found.most[one]
        # What has a bound is seen to have one.
        assert (longest == NO_LIMIT) == (found.most[one] == NO_LIMIT)
        assert status(int(found.why[one])) == (
            "unbounded"
            if longest == NO_LIMIT
            else "assumed"
            if found.why[one] & Why.RECURSION
            else "bounded"
        )


def test_a_bound_counts_each_entry() -> None:
    # f calls itself at 100 bytes, three times on one stack: 100 + 100 + its frame.
    found = deepest(graph([120, 8], [(0, 0, 100), (0, 1, 50)], times={0: 3}))
    assert found.most.tolist() == [320, 8]
    assert found.least.tolist() == [120, 8]
    assert found.why.tolist() == [Why.RECURSION, 0]


def test_a_bound_on_one_function_cuts_the_circle() -> None:
    # a -> b -> a, b twice: a b a b a, and as seen from b: b a b a.
    found = deepest(graph([30, 40], [(0, 1, 20), (1, 0, 10)], times={1: 2}))
    assert found.most.tolist() == [20 + 10 + 20 + 10 + 30, 10 + 20 + 10 + 30]


def test_a_bound_of_another_circle_does_not_help() -> None:
    found = deepest(graph([1, 1, 1], [(0, 1, 5), (1, 0, 5), (2, 2, 5)], times={2: 2}))
    assert found.most.tolist() == [NO_LIMIT, NO_LIMIT, 6]


def test_a_circle_of_two_needs_no_more_than_one() -> None:
    # Both circles go through b: that a c has none does not matter.
    calls = [(0, 1, 5), (1, 0, 5), (1, 2, 7), (2, 1, 7)]
    assert (deepest(graph([1, 1, 1], calls, times={1: 1})).most < NO_LIMIT).all()
    assert (deepest(graph([1, 1, 1], calls, times={0: 1})).most == NO_LIMIT).all()


def test_jumps_in_a_circle_take_nothing() -> None:
    found = deepest(graph([16, 48, 8], [(0, 1, 0), (1, 0, 0), (2, 0, 24)]))
    assert found.most.tolist() == [48, 48, 72]
    assert not found.why.any()


@pytest.mark.parametrize("why", [Why.UNRESOLVED, Why.NO_LIMIT, Why.UNKNOWN_FRAME, Why.OUTSIDE])
def test_what_is_not_known_is_never_a_bound(why: Why) -> None:
    found = deepest(graph([16, 48, 8], [(0, 1, 10), (0, 2, 90)], why={1: why}))
    assert found.least.tolist() == [98, 48, 8]
    assert found.most.tolist() == [NO_LIMIT, NO_LIMIT, 8]
    assert [status(one) for one in found.why.tolist()] == ["at-least", "at-least", "bounded"]
    assert found.depth.tolist() == [98, 48, 8]
    bit = int(why).bit_length() - 1
    assert found.witness[:, bit].tolist() == [1, 1, 3]


def test_huge_sizes_stay_no_limit() -> None:
    big = NO_LIMIT - 1
    calls = [(one, one + 1, big) for one in range(40)]
    found = deepest(graph([big] * 41, calls))
    assert found.most[0] == found.least[0] == NO_LIMIT
    found = deepest(graph([big] * 2, [(0, 1, big), (1, 0, big)], times={0: 3, 1: 10**6}))
    assert found.most.tolist() == [NO_LIMIT, NO_LIMIT]


def test_nothing() -> None:
    found = deepest(graph([], []))
    assert found.most.shape == found.why.shape == (0,)


def test_a_long_chain() -> None:
    count = 3_000
    calls = [(one, one + 1, 16) for one in range(count - 1)]
    found = deepest(graph([16] * count, [*calls, (count - 1, 0, 16)], times={0: 1}))
    assert found.most[0] == 16 * count
    assert np.array_equal(found.least, 16 * np.arange(count, 0, -1))
