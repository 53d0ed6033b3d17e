"""Every direct call and jump of Debian's kernels, against objdump's text."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from stackgauge.calls.graph import Graph, direct_graph
from stackgauge.calls.linking import function_at
from stackgauge.calls.model import Kind
from stackgauge.calls.paravirt import paravirt_calls
from stackgauge.calls.sites import Found, find_sites
from stackgauge.calls.static_calls import static_calls
from stackgauge.calls.tracepoints import tracepoint_calls
from stackgauge.frames.measure import Frames, Measurer, measure
from stackgauge.image.opening import open_images
from stackgauge.kernel.thunks import Role
from tests.oracles.objdump import Instruction, disassemble

CALLS = {"x86_64": ("call",), "arm64": ("bl",)}
JUMPS = {
    "x86_64": re.compile(r"j[a-z]+|loop[a-z]*|xbegin"),
    "arm64": re.compile(r"b|b\.[a-z]+|cbn?z|tbn?z"),
}
INDIRECT = {"x86_64": ("call",), "arm64": ("blr",)}
ADDRESS = re.compile(r"(?:^|[ ,])(?:0x)?([0-9a-f]{8,16})$")
PREFIXES = re.compile(r"(?:cs|ds|es|fs|gs|notrack|bnd|data16|addr32|rex\S*) ")
# How many of each there are at least, so that no loss of a whole kind goes unseen.
LEAST = {"x86_64": (180_000, 16_000), "arm64": (190_000, 900)}


def read(path: Path) -> tuple[Frames, Found]:
    [image] = open_images(path)
    work = Measurer(image)
    frames = measure(image, work)
    return frames, find_sites(work, frames)


def listed(path: Path, frames: Frames) -> list[Instruction]:
    """objdump's lines of all branches, their prefixes left off."""
    elf, arch = frames.image.elf, frames.isa.name
    lines = []
    for index in elf.executable.tolist():
        if elf.names[index] in (".altinstr_replacement", ".altinstr_aux"):
            continue
        for one in disassemble(path, arch, elf.names[index]):
            whole = one
            if arch == "x86_64" and one.mnemonic in ("cs", "ds", "notrack", "bnd", "data16"):
                name, _, operands = PREFIXES.sub("", one.operands).partition(" ")
                whole = Instruction(one.address, name, operands.strip())
            known = CALLS[arch] + INDIRECT[arch]
            if whole.mnemonic in known or JUMPS[arch].fullmatch(whole.mnemonic):
                lines.append(whole)
    return lines


def expected(lines: list[Instruction], frames: Frames) -> dict[int, int]:
    """By address of a direct call or jump out of its function the target, as objdump has it."""
    calls = CALLS[frames.isa.name]
    pairs = [(one, ADDRESS.search(one.operands)) for one in lines if "*" not in one.operands]
    direct = [(one, int(match[1], 16)) for one, match in pairs if match]
    here = function_at(frames, np.array([one.address for one, _ in direct], np.uint64))
    there = function_at(frames, np.array([target for _, target in direct], np.uint64))
    start, end = frames.functions.start, frames.functions.end
    stretch = np.searchsorted(
        start, np.array([one.address for one, _ in direct], np.uint64), "right"
    )
    result = {}
    for (one, target), own, other, row in zip(
        direct, here.tolist(), there.tolist(), (stretch - 1).tolist(), strict=True
    ):
        inner = own == other
        if own < 0 or (inner and not (one.mnemonic in calls and target == start[own])):
            continue
        # To its own end, where no other function begins: never taken.
        if one.mnemonic not in calls and target == end[row] and start[row + 1] != target:
            continue
        result[one.address] = target
    return result


class Kernel(NamedTuple):
    """A kernel, and objdump's lines of its branches."""

    frames: Frames
    found: Found
    lines: list[Instruction]


@pytest.fixture(scope="module", params=["x86_64", "arm64"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    fixture = {"x86_64": "amd64_vmlinux", "arm64": "arm64_vmlinux"}[request.param]
    path = request.getfixturevalue(fixture)
    frames, found = read(path)
    return Kernel(frames, found, listed(path, frames))


@pytest.mark.kernels
def test_direct_calls_and_jumps(kernel: Kernel) -> None:
    frames, found, lines = kernel
    arch, sites = frames.isa.name, found.sites
    theirs = expected(lines, frames)
    symbols = frames.image.symbols
    returns = symbols.find("__x86_return_thunk")
    tracer = symbols.find("__fentry__")
    aside = frames.image.elf.section(".altinstr_aux")
    theirs = {
        address: target
        for address, target in theirs.items()
        if target not in (returns, tracer)
        and not (aside and aside.address <= target < aside.address + aside.size)
    }
    whole = sites.end - sites.address > np.uint64(1)
    named = np.flatnonzero((found.named != 0) & whole)
    ours = dict(zip(sites.address[named].tolist(), found.named[named].tolist(), strict=True))
    # Alternatives run at the address of what they replace, so they add to what objdump shows.
    both = Counter(sites.address[named].tolist())
    missing = np.array(sorted(theirs.keys() - ours.keys()), np.uint64)
    # The BPF interpreter's computed jump: a jump table, by way of a thunk.
    within = function_at(frames, missing)
    assert set(frames.functions.names(within)) <= {"___bpf_prog_run"}
    assert len(missing) <= 1
    wrong = {
        hex(a): (hex(t), hex(ours[a])) for a, t in theirs.items() if both[a] == 1 and ours[a] != t
    }
    assert not wrong
    more = ours.keys() - theirs.keys()
    pool = frames.image.elf.section(".altinstr_replacement")
    if pool is None:
        # The header of the EFI image, which is data.
        assert set(
            frames.functions.names(function_at(frames, np.array(sorted(more), np.uint64)))
        ) <= {"__efistub__text"}
    else:
        assert len(more) < 100
    calls = (sites.kind == Kind.CALL).sum(), (sites.kind == Kind.TAIL).sum()
    assert calls > LEAST[arch]


@pytest.mark.kernels
def test_indirect_calls(kernel: Kernel) -> None:
    frames, found, lines = kernel
    arch, sites = frames.isa.name, found.sites
    theirs = [
        one.address
        for one in lines
        if one.mnemonic in INDIRECT[arch] and (arch != "x86_64" or "*" in one.operands)
    ]
    inside = function_at(frames, np.array(theirs, np.uint64)) >= 0
    theirs = [address for address, yes in zip(theirs, inside.tolist(), strict=True) if yes]
    plain = (sites.kind == Kind.INDIRECT_CALL) & (found.role == Role.FUNCTION)
    assert set(theirs) == set(sites.address[plain].tolist())


@pytest.fixture(scope="module")
def amd64(amd64_vmlinux: Path) -> Graph:
    frames, found = read(amd64_vmlinux)
    return direct_graph([frames], [found])


@pytest.mark.kernels
def test_nothing_direct_is_left_open(amd64: Graph) -> None:
    assert amd64.closed[amd64.sites.kind <= Kind.TAIL].all()


@pytest.mark.kernels
def test_paravirt_calls_are_closed(amd64: Graph) -> None:
    layer = paravirt_calls(amd64)
    assert layer.closed.sum() > 3000
    called = set(amd64.names(layer.edges.callee))
    assert {"native_write_cr4", "xen_write_cr4", "kvm_io_delay"} - called <= {"xen_write_cr4"}


@pytest.mark.kernels
def test_cond_resched_is_one_of_two(amd64: Graph) -> None:
    layer = static_calls(amd64)
    trampoline = amd64.find("__SCT__cond_resched")
    sites = np.flatnonzero(np.isin(amd64.callee, trampoline))
    assert len(sites) > 400
    assert layer.closed[sites].all()
    called = amd64.names(np.unique(layer.edges.callee[np.isin(layer.edges.site, sites)]))
    assert set(called) == {"__cond_resched", "__static_call_return0"}
    # Given as an argument.
    other = np.isin(amd64.callee, amd64.find("__SCT__pv_sched_clock"))
    assert not layer.closed[other].any()


@pytest.mark.kernels
def test_tracepoints(amd64: Graph) -> None:
    layer = tracepoint_calls(amd64)
    [iterator] = amd64.find("__traceiter_sched_switch")
    site = np.flatnonzero((amd64.sites.function == iterator) & layer.closed)
    assert len(site) == 1
    called = set(amd64.names(layer.edges.callee[layer.edges.site == site[0]]))
    assert called >= {
        "trace_event_raw_event_sched_switch",
        "perf_trace_sched_switch",
        "__bpf_trace_sched_switch",
        "probe_sched_switch",
        "ftrace_graph_probe_sched_switch",
    }
