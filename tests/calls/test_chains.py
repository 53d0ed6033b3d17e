"""The chains behind the figures: each adds up, and its calls are there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given

from stackgauge.calls.chains import Chains, Link, circle
from stackgauge.calls.deepest import deepest
from stackgauge.calls.depths import Calls, Depths, Why
from stackgauge.evidence.table import NO_LIMIT
from tests.calls.graphs import graph, graphs


def chain(depths: Depths, function: int) -> list[Link]:
    return Chains(depths).of(function, bounded=bool(depths.most[function] < NO_LIMIT))


@given(graphs(circles=True))
def test_every_chain_is_one(calls: Calls) -> None:
    depths = deepest(calls)
    for one in range(len(calls)):
        links = chain(depths, one)
        assert links[0].function == one
        assert sum(link.bytes for link in links) == depths.depth[one]
        for which in (False, True):
            chains = Chains(depths)
            assert chains.length(one, bounded=which) == len(chains.of(one, bounded=which))
        bounded = depths.most[one] < NO_LIMIT
        sizes = calls.most_at if bounded else calls.least_at
        frames = calls.most if bounded else calls.least
        takes = [link.function for link in links if link.bytes]
        assert len(takes) == len(set(takes))
        assert frames[links[-1].function] == links[-1].bytes
        for link, after in pairwise(links):
            where = (calls.caller == link.function) & (calls.callee == after.function)
            # Jumps that take nothing may lead there by others, which are left out.
            free = depths.node[link.function] == depths.node[after.function]
            assert link.bytes in sizes[where].tolist() or (free and not link.bytes)


@given(graphs(circles=True, known=True))
def test_chains_with_rounds_add_up(calls: Calls) -> None:
    depths = deepest(calls)
    for one in range(len(calls)):
        links = chain(depths, one)
        assert links[0].function == one
        assert sum(link.bytes for link in links) == depths.depth[one]
        assert all(calls.times[link.function] for link in links if link.rounds)


def test_rounds_are_one_link() -> None:
    depths = deepest(graph([30, 35], [(0, 1, 20), (1, 0, 10)], times={1: 2}))
    assert chain(depths, 0) == [Link(0, 20), Link(1, 30, rounds=True), Link(1, 10), Link(0, 30)]
    assert chain(depths, 1) == [Link(1, 30, rounds=True), Link(1, 10), Link(0, 30)]


def test_the_deepest_of_functions_that_jump_to_each_other() -> None:
    depths = deepest(graph([16, 48, 8], [(0, 1, 0), (1, 0, 0), (2, 0, 24)]))
    assert chain(depths, 2) == [Link(2, 24), Link(0, 0), Link(1, 48)]


@given(graphs(circles=True))
def test_circles(calls: Calls) -> None:
    depths = deepest(calls)
    pairs = set(zip(calls.caller.tolist(), calls.callee.tolist(), strict=True))
    for one in np.flatnonzero(depths.why & np.uint32(Why.CIRCLE)).tolist():
        way = circle(depths, int(depths.label[depths.witness[one, -1]]))
        assert way
        assert len(set(way)) == len(way)
        assert set(zip(way, [*way[1:], way[0]], strict=True)) <= pairs


def test_the_shortest_circle() -> None:
    calls = [(0, 1, 8), (1, 2, 8), (2, 3, 8), (3, 0, 8), (2, 0, 8)]
    assert circle(deepest(graph([8] * 4, calls)), 0) == [0, 1, 2]
    assert circle(deepest(graph([8] * 4, [*calls, (3, 2, 8)])), 0) == [2, 3]
    assert circle(deepest(graph([8] * 4, [*calls, (3, 3, 8)])), 0) == [3]


def test_no_circle() -> None:
    depths = deepest(graph([8, 8], [(0, 1, 8)]))
    assert circle(depths, 0) == circle(depths, 1) == []
