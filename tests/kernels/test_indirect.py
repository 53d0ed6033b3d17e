"""Indirect calls of Debian's amd64 kernel: known ones, and how many of each kind there are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from stackgauge.calls.graph import Graph, Resolved, read_graph
from stackgauge.calls.indirect.known import Study
from stackgauge.calls.indirect.layers import study
from stackgauge.calls.indirect.layout import Layouts
from stackgauge.calls.indirect.prototypes import Prototypes, function_prototypes
from stackgauge.calls.indirect.resolve import holds_nothing, table_layer, type_layer
from stackgauge.calls.indirect.signatures import coarse_shapes
from stackgauge.calls.model import Kind
from stackgauge.calls.paravirt import paravirt_calls
from stackgauge.calls.static_calls import static_calls
from stackgauge.calls.tracepoints import tracepoint_calls
from stackgauge.image.btf import read_btf
from stackgauge.image.opening import open_images

pytestmark = pytest.mark.kernels


class Layers(NamedTuple):
    before: Graph
    known: Study
    table: Resolved
    types: Resolved
    whole: Graph


@pytest.fixture(scope="module")
def layers(amd64_vmlinux: Path) -> Layers:
    graph = read_graph(open_images(amd64_vmlinux))
    for layer in (static_calls, paravirt_calls, tracepoint_calls):
        graph = graph.with_layer(layer(graph))
    known = study(graph)
    assert known is not None
    table = table_layer(graph, known)
    second = graph.with_layer(table)
    types = type_layer(second, known)
    return Layers(graph, known, table, types, second.with_layer(types))


def called(layers: Layers, caller: str) -> list[set[str]]:
    """What each indirect call of a function that TABLE closes leads to."""
    graph, table = layers.whole, layers.table
    sites = np.flatnonzero(np.isin(graph.sites.function, graph.find(caller)) & table.closed)
    return [set(graph.names(table.edges.callee[table.edges.site == site])) for site in sites]


def test_vfs_read_calls_what_file_operations_hold(layers: Layers) -> None:
    found = called(layers, "vfs_read")
    reads = {"generic_file_read_iter", "shmem_file_read_iter", "pipe_read", "seq_read_iter"}
    assert sum(reads <= names for names in found) == 2
    assert any({"seq_read", "tlbflush_read_file"} <= names for names in found)
    assert not any("seq_read" in names and "pipe_read" in names for names in found)


def test_work_and_timers_by_code_that_sets_them_up(layers: Layers) -> None:
    [works] = [names for names in called(layers, "process_one_work") if len(names) > 100]
    assert {"console_callback", "vmstat_update", "async_run_entry_fn"} <= works
    assert "delayed_work_timer_fn" not in works


def test_notifiers_and_initcalls(layers: Layers) -> None:
    [notified] = called(layers, "notifier_call_chain")
    assert {"hw_breakpoint_exceptions_notify", "rtnetlink_event"} <= notified
    initcalls = max(called(layers, "do_one_initcall"), key=len)
    assert {"cpuid_init", "init_pipe_fs"} & initcalls
    assert len(initcalls) > 500


def test_security_hooks_are_those_of_their_list(layers: Layers) -> None:
    [opened] = called(layers, "security_file_open")
    assert opened == {
        "apparmor_file_open", "bpf_lsm_file_open", "hook_file_open", "selinux_file_open",
        "tomoyo_file_open",
    }  # fmt: skip


def test_most_sites_are_resolved(layers: Layers) -> None:
    graph = layers.before
    kinds = (Kind.INDIRECT_CALL, Kind.INDIRECT_TAIL)
    sites = np.isin(graph.sites.kind, kinds) & ~graph.closed
    sites[~np.isin(np.arange(len(sites)), layers.known.site)] = False
    count = int(sites.sum())
    assert count > 8_000
    assert int(layers.table.closed.sum()) > 0.58 * count
    nothing = int(holds_nothing(layers.whole, layers.known).sum())
    assert int((sites & ~layers.whole.closed).sum()) - nothing < 0.13 * count


def test_targets_are_few(layers: Layers) -> None:
    for layer, mean, most in ((layers.table, 12, 1_000), (layers.types, 50, 1_000)):
        inside = layer.closed[layer.edges.site]
        targets = np.bincount(layer.edges.site[inside], minlength=len(layer.closed))[layer.closed]
        assert targets.mean() < mean
        assert targets.max() < most
        assert targets.min() > 0


def test_debug_information_and_btf_tell_the_same_arguments(layers: Layers) -> None:
    frames = layers.before.frames[0]
    btf = read_btf(frames.image.elf, frames.contents)
    assert btf is not None
    layouts = Layouts(btf)
    prototype = function_prototypes(btf, frames.functions)
    rows = np.flatnonzero(prototype)[::5]
    coarse = coarse_shapes(frames, layouts, rows)
    told = coarse > 0
    assert told.mean() > 0.95
    same = coarse[told] == Prototypes(layouts).coarse[prototype[rows[told]]]
    # Static functions of one name in several files, of which BTF has one.
    assert (~same).sum() < 0.001 * len(same)
