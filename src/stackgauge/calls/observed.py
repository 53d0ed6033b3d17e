"""Calls that a running kernel was seen to make: edges from the traces that it printed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackgauge.calls.graph import Graph, Resolved
from stackgauge.calls.model import Edges, Indices, Kind, Reason
from stackgauge.logs.model import Line, Location, Trace


def observed_calls(graph: Graph, traces: Sequence[Trace]) -> Resolved:
    """What calls through pointers were seen to reach, and no other layer has.

    A line of a trace says where in its function the call of the function on the line before was
    made. What is seen happens; that nothing else does is not said, so no site is closed.

    Args:
        graph: the graph.
        traces: from a kernel that was built from the graph's images.
    """
    has = set(zip(graph.edges.site.tolist(), graph.edges.callee.tolist(), strict=True))
    found: dict[tuple[int, int], None] = {}
    sites: dict[Location, list[int]] = {}
    # A loop over what a few tasks had on their stacks.
    for trace in traces:
        for above, line in zip(trace.lines, trace.lines[1:], strict=False):
            if not (above.sure and line.sure and above.location.function):
                continue
            if line.location not in sites:
                sites[line.location] = _sites(graph, line.location)
            for site in sites[line.location]:
                for callee in _functions(graph, above).tolist():
                    if (site, callee) not in has:
                        found[site, callee] = None
    pairs = np.array(list(found), np.intp).reshape(-1, 2)
    reason = np.full(len(pairs), Reason.OBSERVED, np.uint8)
    return Resolved(Edges(pairs[:, 0], pairs[:, 1], reason), np.zeros(len(graph.sites), bool))


def _functions(graph: Graph, line: Line) -> Indices:
    """What a line may be in; several functions may have one name."""
    rows = graph.find(line.location.function)
    inside = [
        frames.image.module == (line.location.module or "vmlinux") or len(graph.frames) == 1
        for frames in graph.frames
    ]
    kept: Indices = rows[np.array(inside, bool)[graph.image_of(rows)]]
    return kept


def _sites(graph: Graph, location: Location) -> list[int]:
    """The calls through pointers that return to a location."""
    result = []
    for index, frames in enumerate(graph.frames):
        symbols = frames.image.symbols
        back = symbols.value[symbols.defined(location.function)] + np.uint64(location.offset)
        low, high = graph.first[index], graph.first[index + 1]
        own = (graph.sites.function >= low) & (graph.sites.function < high)
        own &= graph.sites.kind == Kind.INDIRECT_CALL
        result += np.flatnonzero(own & np.isin(graph.sites.end, back)).tolist()
    return result
