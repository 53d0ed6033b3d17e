"""Calls through pointers in compiled C, resolved by what data, code and types say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.calls.graph import Graph, Resolved
from stackgauge.calls.indirect.layers import study
from stackgauge.calls.indirect.resolve import holds_nothing, table_layer, type_layer
from stackgauge.calls.model import Kind, Reason
from tests.calls.programs import graph_of, of_layer

SOURCE = Path(__file__).with_name("sources") / "pointers.c"
# What each function calls through a pointer: that much and no more.
READS = {"first_read", "second_read", "third_read"}
WORKS = {"work_a", "work_b", "work_c"}
BY_TABLE = {
    "by_field": READS,
    "by_tail": {"first_open"},
    "by_other_field": {"other_read"},
    "across_a_call": READS,
    "across_the_stack": READS,
    "by_loop": READS,
    "by_choice": READS,
    "run_work": WORKS,
    "run_delayed": WORKS,
    "apply": {"each_a", "each_b"},
    "by_variable": {"hook_a", "hook_b"},
    "by_hidden": {"get_a", "get_b"},
    "by_copy": WORKS,
    "by_private": READS,
    "by_container": {"other_read"},
}
BY_TYPE = {"by_type": {"type_a", "type_b"}}
THUNKS = "".join(
    f'asm(".globl __x86_indirect_thunk_{name}; .type __x86_indirect_thunk_{name}, @function;'
    f'__x86_indirect_thunk_{name}: jmp *%{name}; .size __x86_indirect_thunk_{name}, 2");\n'
    for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{n}" for n in range(8, 16)))
)


def built(folder: Path, *options: str, text: str = "", machine: str = "x86_64") -> Graph:
    """The graph of the source's program; the test is skipped without a compiler for the machine."""
    names = ("gcc", f"{machine}-linux-gnu-gcc")
    versions = [f"{name}{end}" for end in ("", *range(-12, -21, -1)) for name in names]
    compiler = next(filter(lambda name: _makes(name, machine), versions), None)
    if compiler is None:
        pytest.skip(f"no gcc for {machine}")
    source, program = folder / "pointers.c", folder / "pointers"
    source.write_text(SOURCE.read_text() + text)
    command = [compiler, "-w", "-O2", "-ffreestanding", "-fno-stack-protector", "-fno-pic"]
    command += ["-static", "-nostdlib", "-Wl,-e,main", *options, str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    return graph_of(program)


def _makes(compiler: str, machine: str) -> bool:
    if not shutil.which(compiler):
        return False
    found = subprocess.run([compiler, "-dumpmachine"], capture_output=True, text=True, check=True)
    return found.stdout.startswith(machine)


def layers(graph: Graph) -> tuple[Resolved, Resolved, Graph]:
    known = study(graph)
    assert known is not None
    table = table_layer(graph, known)
    graph = graph.with_layer(table)
    types = type_layer(graph, known)
    return table, types, graph.with_layer(types)


@pytest.fixture(scope="module", params=["plain", "retpoline", "arm64"])
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder = tmp_path_factory.mktemp("pointers")
    if request.param == "plain":
        return built(folder, "-g", "-gbtf")
    if request.param == "arm64":
        # As the kernel is built (arch/arm64/Makefile).
        return built(folder, "-g", "-gbtf", "-mgeneral-regs-only", machine="aarch64")
    # GCC's own code for what the kernel does at its mitigations.
    return built(folder, "-g", "-gbtf", "-mindirect-branch=thunk-extern", text=THUNKS)


def on_arm64(graph: Graph) -> bool:
    return graph.frames[0].isa.name == "arm64"


def called(graph: Graph, layer: Resolved) -> dict[str, set[str]]:
    """By caller, what a layer adds; thunks are direct."""
    found = of_layer(graph, layer)
    assert all(closed for _, closed in found.values())
    return {name: names for name, (names, _) in found.items()}


def test_fields_arguments_and_variables(graph: Graph) -> None:
    table, _, _ = layers(graph)
    found = called(graph, table)
    # Here GCC says no more where the variable is once the instruction that loads it is moved.
    found.setdefault("by_private", READS) if on_arm64(graph) else None
    assert found == BY_TABLE


def test_prototypes_where_no_structure_tells(graph: Graph) -> None:
    _, types, whole = layers(graph)
    assert called(whole, types) == BY_TYPE


def test_what_cannot_be_told_stays_open(graph: Graph) -> None:
    _, _, whole = layers(graph)
    kinds = (Kind.INDIRECT_CALL, Kind.INDIRECT_TAIL)
    open_ = np.flatnonzero(np.isin(whole.sites.kind, kinds) & ~whole.closed)
    callers = {whole.name(int(whole.sites.function[site])) for site in open_.tolist()}
    expected = {"by_nothing", "by_empty"} | ({"by_private"} if on_arm64(graph) else set())
    assert {name for name in callers if not name.startswith("__x86")} == expected


def test_fields_that_hold_nothing_are_told_from_what_is_not_known(graph: Graph) -> None:
    known = study(graph)
    assert known is not None
    empty = np.flatnonzero(holds_nothing(layers(graph)[2], known))
    assert graph.names(graph.sites.function[empty]) == ["by_empty"]


def test_reasons(graph: Graph) -> None:
    table, types, _ = layers(graph)
    assert set(types.edges.reason.tolist()) == {Reason.TYPE}
    # Only of a function whose use could not be followed the type is all that is known.
    guessed = table.edges.callee[table.edges.reason == Reason.TYPE]
    assert graph.names(guessed) == ["get_b"]


def test_each_layer_can_be_left_out(graph: Graph) -> None:
    known = study(graph)
    assert known is not None
    types = type_layer(graph, known)
    found = called(graph, types)
    assert found["by_field"] >= READS
    assert found["by_type"] == BY_TYPE["by_type"]


def test_without_types_there_are_no_layers(tmp_path: Path) -> None:
    assert study(built(tmp_path, "-g0")) is None


def test_without_debug_information_tables_have_no_types(tmp_path: Path) -> None:
    """BTF alone types the calls; what tables hold is then known by prototype only."""
    graph = built(tmp_path, "-gbtf")
    table, types, _ = layers(graph)
    assert "by_field" not in called(graph, table)
    assert called(graph, types)["by_field"] == READS | {"other_read"}
