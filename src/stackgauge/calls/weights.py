"""From a call graph to what the deepest chains are worked out from: bytes at each call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.depths import Calls, Why
from stackgauge.calls.graph import Graph
from stackgauge.calls.model import Edges, Indices, Kind, Reason
from stackgauge.evidence.table import NO_LIMIT
from stackgauge.frames.measure import Kind as FrameKind

Mask = NDArray[np.bool_]

# What an edge of each reason assumes.
_ASSUMES = np.zeros(len(Reason), np.uint32)
_ASSUMES[[Reason.TABLE, Reason.TYPE, Reason.ANNOTATED]] = [Why.TABLE, Why.TYPE, Why.ANNOTATED]


@dataclass(frozen=True, eq=False)
class Changes:
    """What is known of a graph besides it: assumptions that the user wants made.

    Attributes:
        edges: those to look at: all of the graph, or less.
        closed: by site, whether ``edges`` say all that can be called from there.
        added_caller, added_callee: calls that no site is known for; they count at the caller's
            whole frame, (k,) intp.
        why: Why, for these changes, by function, (n,) uint32.
        times: how many times each function is on one stack at most, 0 where nothing is known;
            (n,) int64.
    """

    edges: Edges
    closed: Mask
    added_caller: Indices
    added_callee: Indices
    why: NDArray[np.uint32]
    times: NDArray[np.int64]


def unchanged(graph: Graph) -> Changes:
    """No change: all that the graph has, and nothing else."""
    none = np.zeros(0, np.intp)
    count = len(graph)
    return Changes(
        graph.edges,
        graph.closed,
        none,
        none,
        np.zeros(count, np.uint32),
        np.zeros(count, np.int64),
    )


def weigh(graph: Graph, changes: Changes) -> Calls:
    """Each function's frame, and for each caller and callee the bytes at the deepest call.

    Where the stack pointer is on another stack, what is called takes none of this one: such sites
    count neither for what they call nor for not being resolved.
    """
    sites, edges = graph.sites, changes.edges
    unknown = graph.kind == FrameKind.UNKNOWN
    endless = ~unknown & (graph.most >= NO_LIMIT)
    least = np.where(graph.whole, np.maximum(graph.least, 0), 0).astype(np.int64)
    most = np.where(unknown | endless, NO_LIMIT, graph.most).astype(np.int64)
    most[~graph.whole] = 0
    why = changes.why.copy()
    why[unknown & graph.whole] |= np.uint32(Why.UNKNOWN_FRAME)
    why[endless & graph.whole] |= np.uint32(Why.NO_LIMIT)
    direct = (sites.kind == Kind.CALL) | (sites.kind == Kind.TAIL)
    unsettled = ~changes.closed & ~graph.elsewhere
    why[sites.function[unsettled & direct]] |= np.uint32(Why.OUTSIDE)
    why[sites.function[unsettled & ~direct]] |= np.uint32(Why.UNRESOLVED)
    here = ~graph.elsewhere[edges.site]
    site, callee = edges.site[here], edges.callee[here]
    np.bitwise_or.at(why, sites.function[site], _ASSUMES[edges.reason[here]])
    at_least, at_most = _at_sites(graph, most)
    return Calls(
        least,
        most,
        why,
        changes.times,
        *_deepest_of_each(
            len(graph),
            np.concatenate([sites.function[site], changes.added_caller]),
            np.concatenate([callee, changes.added_callee]),
            np.concatenate([at_least[site], least[changes.added_caller]]),
            np.concatenate([at_most[site], most[changes.added_caller]]),
        ),
    )


def _at_sites(graph: Graph, most: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bytes that each site adds to what it calls, at least and at most.

    A function that is jumped to finds the return address of the one that jumps, and counts it; so
    it is taken off. Where a depth is not known it is no more than the whole frame.
    """
    sites = graph.sites
    entry = np.array([one.isa.entry_depth for one in graph.frames], np.int64)
    entry = np.repeat(entry, np.diff(graph.first))[sites.function]
    jumps = (sites.kind == Kind.TAIL) | (sites.kind == Kind.INDIRECT_TAIL)
    counted_twice = np.where(jumps, entry, 0)
    unknown = sites.least < 0
    least = np.where(unknown, entry, sites.least) - counted_twice
    at_most = np.where(unknown | (sites.most >= NO_LIMIT), most[sites.function], sites.most)
    highest = np.where(at_most < NO_LIMIT, at_most - counted_twice, NO_LIMIT)
    least = np.maximum(least, 0)
    return least, np.maximum(highest, least)


def _deepest_of_each(
    count: int,
    caller: Indices,
    callee: Indices,
    least: NDArray[np.int64],
    most: NDArray[np.int64],
) -> tuple[Indices, Indices, NDArray[np.int64], NDArray[np.int64]]:
    """One call for each pair, by caller and callee, with the largest figures of its sites."""
    keys = caller * count + callee
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    if not len(first):
        return caller, callee, least, most
    return (
        keys[first] // count,
        keys[first] % count,
        np.maximum.reduceat(least[order], first),
        np.maximum.reduceat(most[order], first),
    )
