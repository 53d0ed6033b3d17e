"""The whole call graph of images: direct edges, and every layer of indirect ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from stackgauge.calls.graph import Graph, read_graph
from stackgauge.calls.indirect.layers import study
from stackgauge.calls.indirect.resolve import table_layer, type_layer
from stackgauge.calls.model import Reason
from stackgauge.calls.paravirt import paravirt_calls
from stackgauge.calls.stack_switches import on_own_stacks
from stackgauge.calls.static_calls import static_calls
from stackgauge.calls.tracepoints import tracepoint_calls
from stackgauge.image.opening import Image

_EXACT = (static_calls, paravirt_calls, tracepoint_calls)


def whole_graph(images: Iterable[Image], without: Collection[Reason] = ()) -> Graph:
    """Measure images and find out what calls what, as far as can be.

    Args:
        images: a kernel and modules, the kernel first; or any one image.
        without: layers to leave out: the sites that these would close stay open to the others.
    """
    graph = read_graph(images)
    if not graph.frames:
        return graph
    if Reason.EXACT not in without:
        for layer in _EXACT:
            graph = graph.with_layer(layer(graph))
    wanted = {Reason.TABLE, Reason.TYPE} - set(without)
    known = study(graph) if wanted else None
    if known is not None and Reason.TABLE in wanted:
        graph = graph.with_layer(table_layer(graph, known))
    if known is not None and Reason.TYPE in wanted:
        graph = graph.with_layer(type_layer(graph, known))
    return on_own_stacks(graph)
