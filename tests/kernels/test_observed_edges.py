"""Calls that Debian's kernels were recorded making are edges of their graphs.

A call through a pointer that the graph leaves open may lead anywhere; one that it closes may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stackgauge.calls.graph import Graph
from stackgauge.calls.layers import whole_graph
from stackgauge.calls.model import Kind
from stackgauge.image.opening import Image, open_images
from stackgauge.kernel.identity import identify
from stackgauge.logs.model import Location
from stackgauge.logs.reading import read_chains
from tests.kernels.conftest import fetched
from tests.logs.test_recorded import RECORDED

pytestmark = pytest.mark.kernels

# Below a line's function one that has no frame was interrupted: its caller is on no line.
LEAVES = {
    ("__arch_copy_to_user", "simple_copy_to_iter"),
    ("__arch_clear_user", "elf_load"),
    ("clear_page", "__alloc_pages"),
}


def pairs(names: list[str]) -> Iterator[tuple[Location, Location]]:
    """What was called, and where from."""
    for trace in read_chains([str(RECORDED / name) for name in names]).traces:
        for callee, caller in zip(trace.lines, trace.lines[1:], strict=False):
            if callee.sure and caller.sure and callee.location.function:
                yield callee.location, caller.location


def sites(graph: Graph, location: Location) -> list[int]:
    symbols = graph.frames[0].image.symbols
    back = symbols.value[symbols.defined(location.function)] + np.uint64(location.offset)
    found: list[int] = np.flatnonzero(np.isin(graph.sites.end, back)).tolist()
    return found


def reached(graph: Graph, chosen: list[int]) -> set[int]:
    """What some sites call, and what that leads on to without leaving a return address."""
    by_site: dict[int, list[int]] = {}
    for site, callee in zip(graph.edges.site.tolist(), graph.edges.callee.tolist(), strict=True):
        by_site.setdefault(site, []).append(callee)
    jumps = (graph.sites.kind == Kind.TAIL) | (graph.sites.kind == Kind.INDIRECT_TAIL)
    seen: set[int] = set()
    todo = [callee for site in chosen for callee in by_site.get(site, ())]
    while todo:
        function = todo.pop()
        if function not in seen:
            seen.add(function)
            more = np.flatnonzero(jumps & (graph.sites.function == function)).tolist()
            todo += [callee for site in more for callee in by_site.get(site, ())]
    return seen


def missing(images: list[Image], names: list[str]) -> set[tuple[str, str]]:
    """Pairs that closed sites should have; at least some have to be held."""
    graph = whole_graph(images)
    held, found = 0, set()
    for callee, caller in dict.fromkeys(pairs(names)):
        chosen = sites(graph, caller)
        if not chosen or not graph.closed[chosen].all():
            continue
        held += 1
        if not reached(graph, chosen) & set(graph.find(callee.function).tolist()):
            found.add((callee.function, caller.function))
    assert held > 60
    return found


@pytest.mark.parametrize(
    ("package", "arch", "suite", "release", "names", "known"),
    [
        (
            "linux-image-cloud-amd64", "amd64", None, "6.1.0-56-cloud-amd64",
            ["stack_trace-6.1-amd64", "stack_trace-6.1-amd64-random-offset",
             "sysrq-t-6.1-amd64.dmesg"],
            set(),
        ),
        (
            "linux-image-cloud-arm64-dbg", "arm64", None, "6.1.0-56-cloud-arm64",
            ["stack_trace-6.1-arm64", "sysrq-t-6.1-arm64.dmesg"],
            LEAVES,
        ),
        pytest.param(
            "linux-image-cloud-amd64-dbg", "amd64", "trixie-backports", "7.3.4+deb13-cloud-amd64",
            ["stack_trace-7.3-amd64", "sysrq-t-7.3-amd64.dmesg"],
            set(),
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_what_was_seen_is_an_edge(
    package: str, arch: str, suite: str | None, release: str, names: list[str],
    known: set[tuple[str, str]],
) -> None:  # fmt: skip
    images = open_images(Path(fetched(package, arch, suite)))
    version = identify(images[0], arch).version or ""
    if version != release:
        pytest.skip(f"recorded of {release}, not {version}")
    # An interrupt's entry is called from nowhere.
    found = {pair for pair in missing(images, names) if not pair[0].startswith("asm_")}
    assert found <= known
