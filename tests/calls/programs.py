"""Compiles small C sources for tests of the call graph, and puts their graphs together."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from stackgauge.calls.graph import Graph, Resolved, read_graph
from stackgauge.calls.model import Edges, Kind
from stackgauge.image.opening import open_images


def compiled(folder: Path, compiler: str, options: list[str], sources: Mapping[str, str]) -> Path:
    """Compile sources, by file name, in a folder; the test is skipped without the compiler.

    Returns:
        The folder, with an object beside each source.
    """
    versions = (compiler, *(f"{compiler}-{version}" for version in range(21, 11, -1)))
    found = next(filter(shutil.which, versions), None)
    if found is None:
        pytest.skip(f"{compiler} is missing")
    for name, text in sources.items():
        (folder / name).write_text(text)
    command = [found, "-w", "-ffreestanding", "-fno-stack-protector", "-fno-pic", *options, "-c"]
    subprocess.run([*command, *sources], cwd=folder, check=True)
    return folder


def graph_of(*paths: Path) -> Graph:
    """The graph of some files, of direct edges alone."""
    return read_graph(image for path in paths for image in open_images(path))


def pairs(graph: Graph, edges: Edges | None = None) -> set[tuple[str, str]]:
    """The names of caller and callee of all edges, or of those of a layer."""
    edges = graph.edges if edges is None else edges
    callers = graph.names(graph.sites.function[edges.site])
    return set(zip(callers, graph.names(edges.callee), strict=True))


def callers(graph: Graph, *kinds: Kind) -> set[str]:
    """The functions that have sites of some kinds."""
    chosen = [kind in kinds for kind in graph.sites.kind.tolist()]
    return set(graph.names(graph.sites.function[chosen]))


def of_layer(graph: Graph, layer: Resolved) -> dict[str, tuple[set[str], bool]]:
    """By caller, what a layer says that it calls, and whether all sites of it there are closed."""
    result: dict[str, tuple[set[str], bool]] = {}
    for site, callee in zip(layer.edges.site.tolist(), layer.edges.callee.tolist(), strict=True):
        name = graph.name(int(graph.sites.function[site]))
        names, closed = result.get(name, (set(), True))
        result[name] = {*names, graph.name(callee)}, closed and bool(layer.closed[site])
    return result


def assembled(folder: Path, text: str, *, function: str = "@function") -> Path:
    """Assemble and link x86-64 assembly; ``FUNCTION name`` in it begins a function up to ``END``.

    Returns:
        The program, which begins nowhere in particular.
    """
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    macros = f"""
    .macro FUNCTION name
    .globl \\name
    .type \\name, {function}
    .balign 16, 0xcc
    \\name:
    .endm
    .macro END name
    .size \\name, . - \\name
    .endm
    .text
    """
    (folder / "program.s").write_text(macros + text + "\n")
    command = ["gcc", "-static", "-nostdlib", "-Wl,-e,0,--build-id=none", "-Wl,-z,noexecstack"]
    subprocess.run([*command, "program.s", "-o", "program"], cwd=folder, check=True)
    return folder / "program"
