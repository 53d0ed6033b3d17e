"""What tracepoints may call (include/linux/tracepoint.h): their probes.

Where a tracepoint is passed, a static call leads to its iterator, ``__traceiter_NAME``, or to its
only probe; the iterator calls all its probes. Probes are those of the event of that name, of BPF
programs, and what code registers.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from stackgauge.calls.data_words import words_at, words_that_hold
from stackgauge.calls.graph import Graph, Resolved
from stackgauge.calls.linking import NOWHERE, function_at
from stackgauge.calls.model import Addresses, Edges, Indices, Kind, Reason
from stackgauge.calls.x86_arguments import Argument, arguments
from stackgauge.image.arrays import member
from stackgauge.image.symbols import NO_SECTION
from stackgauge.kernel.thunks import Role

_POINT = b"__tracepoint_"
_ITERATOR = "__traceiter_"
_STATIC = "__SCT__tp_func_"
_REGISTERS = (
    "tracepoint_probe_register",
    "tracepoint_probe_register_prio",
    "tracepoint_probe_register_prio_may_exist",
)
# Those that register what a table says: an event's probes, a BPF program's (kernel/trace).
_BY_TABLE = (*_REGISTERS, "trace_event_reg", "bpf_probe_register", "__bpf_probe_register")


def tracepoint_calls(graph: Graph) -> Resolved:
    """The edges of tracepoints; closed where all code that registers probes is understood."""
    probes, everything, unknown = _probes(graph)
    sites: list[Indices] = [np.zeros(0, np.intp)]
    callees: list[Indices] = [np.zeros(0, np.intp)]
    closed = np.zeros(len(graph.sites), bool)
    iterators, passing = _sites(graph)
    # A loop over tracepoints, some hundreds, each with a few sites and probes.
    for name in sorted({*iterators, *passing}):
        own = np.array(sorted(probes.get(name, ())), np.intp)
        rows, places = iterators.get(name, (np.zeros(0, np.intp), np.zeros(0, np.intp)))
        for here, called in (
            (places, own),
            (passing.get(name, places[:0]), np.union1d(own, rows)),
        ):
            sites.append(np.repeat(here, len(called)))
            callees.append(np.tile(called, len(here)))
            closed[here] = everything and len(rows) > 0 and name not in unknown
    site = np.concatenate(sites)
    edges = Edges(site, np.concatenate(callees), np.full(len(site), Reason.EXACT, np.uint8))
    return Resolved(edges, closed)


def _sites(graph: Graph) -> tuple[dict[str, tuple[Indices, Indices]], dict[str, Indices]]:
    """By a tracepoint's name its iterators and where these call; and the static calls there."""
    whole = np.flatnonzero(graph.whole)
    rows: dict[str, list[int]] = defaultdict(list)
    # A loop over the names of all functions.
    for row, name in zip(whole.tolist(), graph.names(whole), strict=True):
        if name.startswith(_ITERATOR):
            rows[name[len(_ITERATOR) :]].append(row)
    called = (graph.sites.kind == Kind.INDIRECT_CALL) & (graph.role != Role.STATIC_CALL)
    by_function = _grouped(np.flatnonzero(called), graph.sites.function)
    none = np.zeros(0, np.intp)
    iterators = {
        name: (
            np.array(owned, np.intp),
            np.concatenate([by_function.get(row, none) for row in owned]),
        )
        for name, owned in rows.items()
    }
    static = np.flatnonzero((graph.role == Role.STATIC_CALL) & (graph.callee != NOWHERE))
    passing: dict[str, list[Indices]] = defaultdict(list)
    groups = _grouped(static, graph.callee)
    for name, sites in zip(
        graph.names(np.array(list(groups), np.intp)), groups.values(), strict=True
    ):
        if name.startswith(_STATIC):
            passing[name[len(_STATIC) :]].append(sites)
    return iterators, {name: np.concatenate(parts) for name, parts in passing.items()}


def _grouped(sites: Indices, function: Indices) -> dict[int, Indices]:
    """Some sites by what a column of all sites says of each."""
    sites = sites[np.argsort(function[sites], kind="stable")]
    keys, first = np.unique(function[sites], return_index=True)
    return dict(zip(keys.tolist(), np.split(sites, first[1:]), strict=True)) if len(keys) else {}


def _probes(graph: Graph) -> tuple[dict[str, set[int]], bool, set[str]]:
    """By a tracepoint's name its probes.

    Returns:
        Them, whether it is seen of which tracepoints all others are that code registers, and the
        names of those that get a probe that is not seen.
    """
    unknown: set[str] = set()
    probes: dict[str, set[int]] = defaultdict(set)
    registering = np.concatenate([graph.find(name) for name in _REGISTERS])
    everything = len(registering) > 0
    points: dict[tuple[int, int], str] = {}
    # Loops over images and what few calls register probes by name.
    for index, frames in enumerate(graph.frames):
        symbols = frames.image.symbols
        named = member(symbols.name, symbols.strings.places(_POINT))
        rows = np.flatnonzero(named & (symbols.section != NO_SECTION))
        names = symbols.strings.slices(symbols.name[rows])
        for value, name in zip(symbols.value[rows].tolist(), names, strict=True):
            points[index, value] = name[len(_POINT) :].decode("utf-8", "replace")
        _tabled(graph, index, symbols.value[rows], points, probes)
    image = graph.image_of(graph.sites.function)
    by_table = np.concatenate([graph.find(name) for name in _BY_TABLE])
    calls = member(graph.callee, registering)
    calls &= ~member(graph.sites.function, by_table)
    for index in np.unique(image[calls]).tolist():
        frames = graph.frames[index]
        here = graph.sites.address[calls & (image == index)]
        if frames.isa.name != "x86_64":
            everything = False
            continue
        for given in arguments(frames, here):
            point = _point_name(given[0], index, points)
            functions = _functions(graph, index, given[1])
            if point is None:
                everything = False
                continue
            probes[point].update(functions)
            if not functions:
                unknown.add(point)
    return probes, everything, unknown


def _point_name(point: Argument, index: int, points: dict[tuple[int, int], str]) -> str | None:
    if isinstance(point, bytes):
        return point[len(_POINT) :].decode("utf-8", "replace") if point.startswith(_POINT) else None
    return None if point is None else points.get((index, point))


def _functions(graph: Graph, index: int, value: Argument) -> list[int]:
    if isinstance(value, bytes):
        found: list[int] = graph.find(value.decode("utf-8", "replace")).tolist()
        return found
    row = NOWHERE
    if value:
        row = int(function_at(graph.frames[index], np.array([value], np.uint64))[0])
    return [row + int(graph.first[index])] if row != NOWHERE else []


def _tabled(
    graph: Graph,
    index: int,
    address: Addresses,
    points: dict[tuple[int, int], str],
    probes: dict[str, set[int]],
) -> None:
    """Add what stands in data beside the addresses of an image's tracepoints.

    In struct trace_event_call (include/linux/trace_events.h) it follows the event's class, whose
    second and third word are the probes for ftrace and perf. In struct bpf_raw_event_map (the
    same file) the BPF probe follows it.
    """
    frames = graph.frames[index]
    word = np.uint64(frames.isa.bits // 8)
    cell, which = words_that_hold(frames, address)
    if not len(cell):
        return
    event_class, _ = words_at(frames, cell - word)
    starts = frames.functions.start
    for place_of in (event_class + word, event_class + word + word, cell + word):
        column, _ = words_at(frames, place_of)
        row = function_at(frames, column)
        some = np.flatnonzero((row != NOWHERE) & member(column, starts))
        for place in some.tolist():
            name = points[index, int(address[which[place]])]
            probes[name].add(int(row[place]) + int(graph.first[index]))
