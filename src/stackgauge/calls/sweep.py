"""Work over a graph without circles, callees before callers: a step a level, not a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import NO_LIMIT

Number = TypeVar("Number", bound=np.generic)

Indices = NDArray[np.intp]
Sizes = NDArray[np.int64]

# The size of what does not exist; whatever sizes are added to it, it stays below all others.
NOWHERE = -(1 << 60)

NO_EDGE = -1


@dataclass(frozen=True, eq=False)
class Dag:
    """The edges of a graph without circles, sorted for sweeps.

    Attributes:
        count: how many nodes there are.
        edges: which of the given edges each is, (m,) intp.
        source, target: where each leads from and to, (m,) intp.
        begins: where the edges of each group, those of one source, begin, (g,) intp.
        levels: between which groups each level lies, (l + 1,) intp.
    """

    count: int
    edges: Indices
    source: Indices
    target: Indices
    begins: Indices
    levels: Indices

    @property
    def spans(self) -> list[tuple[int, int, int, int]]:
        """For each level the first and last edge, and the first and last group."""
        ends = np.append(self.begins, len(self.edges))[self.levels]
        return list(
            zip(
                ends[:-1].tolist(),
                ends[1:].tolist(),
                self.levels[:-1].tolist(),
                self.levels[1:].tolist(),
                strict=True,
            )
        )


def levels(count: int, source: Indices, target: Indices) -> Indices:
    """How many edges the longest path from each node has, (count,) intp; -1 where it has no end.

    That is a node from which a path leads into a circle.
    """
    order = np.argsort(target, kind="stable")
    callers = source[order]
    first = np.searchsorted(target[order], np.arange(count + 1))
    left = np.bincount(source, minlength=count)
    level = np.full(count, -1, np.intp)
    front = np.flatnonzero(left == 0)
    number = 0
    while len(front):
        level[front] = number
        number += 1
        begin, many = first[front], first[front + 1] - first[front]
        ends = np.cumsum(many)
        into = callers[np.repeat(begin - ends + many, many) + np.arange(int(ends[-1]))]
        np.subtract.at(left, into, 1)
        front = np.unique(into[left[into] == 0])
    return level


def arrange(count: int, source: Indices, target: Indices) -> Dag:
    """Sort a graph's edges for sweeps.

    Args:
        count: how many nodes there are.
        source, target: the edges, (m,) intp; those that lead into a circle are left out.
    """
    level = levels(count, source, target)
    edges = np.lexsort((source, level[source]))
    edges = edges[np.searchsorted(level[source[edges]], 0) :]
    source, target = source[edges], target[edges]
    begins = np.flatnonzero(np.append(True, source[1:] != source[:-1])[: len(source)])
    of_group = level[source[begins]]
    cuts = np.searchsorted(of_group, np.arange(1, int(level.max(initial=0)) + 2))
    return Dag(count, edges, source, target, begins, cuts)


def longest(dag: Dag, own: Sizes, size: Sizes) -> Sizes:
    """The largest sum of edges' sizes and of the last node's own, over all paths from each node.

    Args:
        dag: the graph.
        own: what each node has where a path ends there, (n,); NOWHERE where none may.
        size: of each given edge.

    Returns:
        (n,) int64; NO_LIMIT and more is NO_LIMIT.
    """
    value = own.copy()
    size = size[dag.edges]
    for low, high, first, last in dag.spans:
        reach = size[low:high] + value[dag.target[low:high]]
        best = np.maximum.reduceat(reach, dag.begins[first:last] - low)
        at = dag.source[dag.begins[first:last]]
        value[at] = np.minimum(np.maximum(value[at], best), NO_LIMIT)
    return value


def followed(dag: Dag, value: Sizes, own: Sizes, size: Sizes) -> Indices:
    """Which given edge the longest path from each node begins with; NO_EDGE where it ends there.

    Of several the one that stands first, and none where the node's own size is as large.
    """
    reach = np.minimum(size[dag.edges] + value[dag.target], NO_LIMIT)
    best = np.flatnonzero((reach == value[dag.source]) & (reach > own[dag.source]))
    chosen = np.full(dag.count, NO_EDGE, np.intp)
    chosen[dag.source[best[::-1]]] = dag.edges[best[::-1]]
    return chosen


def gathered(dag: Dag, ufunc: np.ufunc, own: NDArray[Number]) -> NDArray[Number]:
    """What all nodes that each node leads to have, itself included, put together.

    Args:
        dag: the graph.
        ufunc: how, for example ``numpy.bitwise_or`` or ``numpy.minimum``.
        own: what each node has, (n,) or (n, k).
    """
    value = own.copy()
    for low, high, first, last in dag.spans:
        found = ufunc.reduceat(value[dag.target[low:high]], dag.begins[first:last] - low, axis=0)
        at = dag.source[dag.begins[first:last]]
        value[at] = ufunc(value[at], found)
    return value
