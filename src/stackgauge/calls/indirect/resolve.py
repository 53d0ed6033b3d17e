"""From what is known of pointers to functions to edges: the layers TABLE and TYPE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph, Resolved
from stackgauge.calls.indirect.known import Study
from stackgauge.calls.indirect.members import holding
from stackgauge.calls.indirect.stores import NO_FUNCTION
from stackgauge.calls.indirect.tables import NO_FIELD
from stackgauge.calls.model import Edges, Reason

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def table_layer(graph: Graph, known: Study) -> Resolved:
    """Edges to the functions that the field or argument called through is seen to hold.

    A site is closed where every way to it comes from such a place, or names a function.
    """
    lane, function = holding(known.members, known.place)
    holds = np.zeros(len(known.place), bool)
    holds[lane] = True
    holds &= known.place != NO_FIELD
    lane, function = lane[holds[lane]], function[holds[lane]]
    named = np.flatnonzero(known.constant != NO_FUNCTION)
    # Where what some pointers became is not known, those of the same prototype may be here.
    more_lane, more = _of_shape(known, holds, known.loose)
    tables = _edges(known, np.append(lane, named), np.append(function, known.constant[named]),
                    Reason.TABLE)  # fmt: skip
    types = _edges(known, more_lane, more, Reason.TYPE)
    told = holds & ~known.open | (known.constant != NO_FUNCTION) | known.null
    edges = _without_double(tables, types)
    return Resolved(edges, _closed(graph, known, told) & _has_edges(graph, edges))


def type_layer(graph: Graph, known: Study) -> Resolved:
    """Edges to all functions of the prototype that is called whose address is taken.

    Only of sites that no layer has closed; closed where every way to it has a prototype that
    some function has.
    """
    still = ~graph.closed[known.site[known.found.asked]]
    lane, function = _of_shape(known, still, known.taken)
    told = (known.constant != NO_FUNCTION) | known.null
    told[lane] = True
    named = np.flatnonzero(still & (known.constant != NO_FUNCTION))
    lane, function = np.append(lane, named), np.append(function, known.constant[named])
    edges = _edges(known, lane, function, Reason.TYPE)
    closed = _closed(graph, known, told) & ~graph.closed
    return Resolved(edges, closed & _has_edges(graph, edges))


def holds_nothing(graph: Graph, known: Study) -> Mask:
    """By site of the graph, whether it calls only through fields that nothing is put into here.

    Whatever such a site calls is in a module that is not among the images; without one, it is
    never reached. Of a graph that has both layers.
    """
    told = (known.place != NO_FIELD) & ~known.open | known.null
    return _closed(graph, known, told) & ~graph.closed


def _of_shape(known: Study, lanes: Mask, functions: Indices) -> tuple[Indices, Indices]:
    """Pairs of one of some lanes and one of some functions that has the prototype called there."""
    pairs = [
        _equal(np.where(lanes, called, 0), own[functions])
        for called, own in (
            (known.shape, known.function_shape),
            (known.coarse, known.function_coarse),
        )
    ]
    lane, which = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return lane, functions[which]


def _equal(wanted: Numbers, numbers: Numbers) -> tuple[Indices, Indices]:
    """Pairs of indices into both where the numbers are the same and above 0."""
    order = np.argsort(numbers, kind="stable")
    some = np.flatnonzero(wanted > 0)
    low = np.searchsorted(numbers[order], wanted[some])
    many = np.searchsorted(numbers[order], wanted[some], "right") - low
    lane = np.repeat(some, many)
    at = np.arange(len(lane)) - np.repeat(np.cumsum(many) - many - low, many)
    return lane, order[at]


def _edges(known: Study, lane: Indices, function: Indices, reason: Reason) -> Edges:
    pairs = np.unique(
        np.stack([known.site[known.found.asked[lane]], function.astype(np.intp)]), axis=1
    )
    return Edges(pairs[0], pairs[1], np.full(pairs.shape[1], reason, np.uint8))


def _without_double(first: Edges, second: Edges) -> Edges:
    """Both, less those of the second that the first has too."""
    most = max((int(c.max(initial=0)) for c in (first.callee, second.callee)), default=0) + 1
    new = ~np.isin(second.site * most + second.callee, first.site * most + first.callee)
    return Edges(
        np.append(first.site, second.site[new]), np.append(first.callee, second.callee[new]),
        np.append(first.reason, second.reason[new]),
    )  # fmt: skip


def _has_edges(graph: Graph, edges: Edges) -> Mask:
    result = np.zeros(len(graph.sites), bool)
    result[edges.site] = True
    return result


def _closed(graph: Graph, known: Study, told: Mask) -> Mask:
    every = np.zeros(len(known.site), bool)
    every[known.found.asked] = True
    np.logical_and.at(every, known.found.asked, told)
    closed = np.zeros(len(graph.sites), bool)
    closed[known.site[every]] = True
    return closed
