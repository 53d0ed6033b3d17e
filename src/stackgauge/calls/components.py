"""Strong components of a graph: which functions can call each other in a circle.

The graph's fringe, which no circle can reach or leave, is taken off with NumPy; what is left is
walked by Tarjan's algorithm ("Depth-first search and linear graph algorithms", SIAM Journal on
Computing 1, 1972), whose walk also says which edges lead back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import sorted_unique

Indices = NDArray[np.intp]

# A round that takes less than this share of the edges off is the last: the walk is then cheaper.
_WORTH_A_ROUND = 0.01


@dataclass(frozen=True, eq=False)
class Components:
    """Strong components of a graph of n nodes.

    Attributes:
        label: the smallest node of each node's component, (n,) intp.
        finish: when a depth-first walk left each node, (n,) intp; the same for all nodes of the
            fringe. The walk takes nodes and edges by ascending number. Inside a component, the
            edges to a node left earlier make no circle.
    """

    label: Indices
    finish: Indices


def components(count: int, source: Indices, target: Indices) -> Components:
    """The strong components of a graph.

    Args:
        count: how many nodes there are.
        source, target: where each edge leads from and to, (m,) intp; several may be equal.
    """
    found = Components(np.arange(count), np.zeros(count, np.intp))
    keys = sorted_unique(source * count + target)
    source, target = keys // max(count, 1), keys % max(count, 1)
    loops = source == target
    source, target = _without_fringe(count, source[~loops], target[~loops])
    if len(source):
        _walk(source, target, found)
    return found


def _without_fringe(count: int, source: Indices, target: Indices) -> tuple[Indices, Indices]:
    """The edges less most of those that no circle holds."""
    while len(source):
        leaves = np.bincount(source, minlength=count) > 0
        enters = np.bincount(target, minlength=count) > 0
        keep = leaves[target] & enters[source]
        before = len(source)
        source, target = source[keep], target[keep]
        if before - len(source) <= before * _WORTH_A_ROUND:
            break
    return source, target


def _walk(source: Indices, target: Indices, found: Components) -> None:
    """Tarjan's algorithm over edges sorted by source; writes ``label`` and ``finish``.

    A loop in Python over nodes and edges: each step depends on the one before. What is walked is
    the graph's core, some thousand functions of a kernel.
    """
    nodes = sorted_unique(np.concatenate([source, target]))
    first = np.searchsorted(source, nodes).tolist()
    last = np.searchsorted(source, nodes, side="right").tolist()
    callees = np.searchsorted(nodes, target).tolist()
    unseen, done = -1, len(nodes)
    index, low, label, finish = ([unseen] * len(nodes) for _ in range(4))
    clock = ends = 0
    open_nodes: list[int] = []
    for root in range(len(nodes)):
        if index[root] != unseen:
            continue
        path = [root]
        while path:
            node = path[-1]
            if index[node] == unseen:
                index[node] = low[node] = clock
                clock += 1
                open_nodes.append(node)
            lowest = low[node]
            for at in range(first[node], last[node]):
                callee = callees[at]
                if index[callee] == unseen:
                    # Looked at again when the walk is back, for its ``low``.
                    first[node] = at
                    path.append(callee)
                    break
                if low[callee] < lowest:  # noqa: PLR1730 - the hottest line here, a call is slow
                    lowest = low[callee]
            low[node] = lowest
            if path[-1] != node:
                continue
            path.pop()
            finish[node] = ends
            ends += 1
            if low[node] == index[node]:
                members = [open_nodes.pop()]
                while members[-1] != node:
                    members.append(open_nodes.pop())
                smallest = min(members)
                # Closed components draw no one's ``low`` down.
                for member in members:
                    label[member], low[member] = smallest, done
    found.label[nodes] = nodes[label]
    found.finish[nodes] = finish
