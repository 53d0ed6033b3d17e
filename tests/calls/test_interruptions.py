"""What interrupts a chain on its own stack, on a kernel of a few functions that GCC compiles."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from stackgauge.calls.entries import graph_entries
from stackgauge.calls.graph import Graph, read_graph
from stackgauge.calls.interruptions import (
    FAULT,
    FIXUP,
    INTERRUPT,
    PREEMPTING,
    SOFTIRQ,
    WARNING,
    Interruptions,
    Term,
    interruptions,
)
from stackgauge.calls.model import Indices
from stackgauge.calls.stack_switches import on_own_stacks, switched
from stackgauge.calls.weights import unchanged, weigh
from stackgauge.image.opening import open_images
from stackgauge.kernel.entries import EntryKind, Found, Setting, setting_of
from stackgauge.kernel.stacks import On

# Frames are made large enough to tell them apart; each counts its return address.
COMMON = """
#define FRAME(bytes) asm volatile("sub $" #bytes ", %%rsp; add $" #bytes ", %%rsp" ::: "memory")
#define OUT __attribute__((noinline))
OWN
long other[512];
OUT void handle_mm_fault(void) { FRAME(4096); asm(""); }
OUT void fixup(void) { FRAME(256); asm(""); }
OUT void exc_page_fault(void) { FRAME(64); fixup(); handle_mm_fault(); asm(""); }
OUT void exc_invalid_op(void) { FRAME(1024); asm(""); }
OUT void deep_handler(void) { FRAME(8192); asm(""); }
OUT void irqentry_exit(void) { PREEMPT; asm(""); }
OUT void sysvec_timer(long user) {
    if (user)
        deep_handler();
    else {
        register void *top asm("r11") = &other[511];
        asm volatile("mov %%rsp, (%0); mov %0, %%rsp; call deep_handler; pop %%rsp"
                     : "+r"(top) :: "memory", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10");
    }
    irqentry_exit();
    asm("");
}
OUT long get_user(long *from) {
    long to = 0;
    asm volatile("1: mov (%1), %0\\n2:\\n.pushsection __ex_table, \\"a\\"\\n"
                 ".long 1b - ., 2b - ., 3\\n.popsection" : "+r"(to) : "r"(from));
    return to;
}
OUT long ksys_read(long *from) { FRAME(128); long got = get_user(from); asm(""); return got; }
OUT void kthread_create_on_node(void (*function)(void), void *data) { FRAME(8); asm(""); }
void watcher(void) { FRAME(16); asm(""); }
void _start(void) {
    kthread_create_on_node(watcher, 0);
    sysvec_timer(0);
    exc_invalid_op();
    exc_page_fault();
    ksys_read(other);
    asm("");
}
"""
OWN = "#define OWN char irq_stack_backing_store[64];\n"
PREEMPTIBLE = "#define PREEMPT preempt_schedule_irq()\nvoid preempt_schedule_irq(void);\n"
SCHEDULER = 'OUT void preempt_schedule_irq(void) { FRAME(512); asm(""); }\n'

# What entry code pushes: struct pt_regs, and 8 for the alignment.
PUSHED = 168 + 8


class Kernel(NamedTuple):
    graph: Graph
    setting: Setting
    found: Interruptions

    def row(self, name: str) -> int:
        (row,) = self.graph.find(name).tolist()
        return int(row)

    def term(self, name: str, on: On = On.TASK) -> Term:
        (found,) = (one for one in self.found.terms if one.name == name and one.on == on)
        return found


def kernel(folder: Path, source: str) -> Kernel:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    (folder / "kernel.c").write_text(source)
    options = (
        "-w", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie",
        "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none",
        "-fno-ipa-icf", "-fno-ipa-ra", "-fno-shrink-wrap", "-mno-red-zone", "-mcmodel=kernel",
        "-Wl,--build-id=none,-Ttext-segment=0xffffffff81000000",
    )  # fmt: skip
    program = folder / "kernel"
    subprocess.run(
        ["gcc", *options, str(folder / "kernel.c"), "-o", str(program)], check=True, cwd=folder
    )
    (image,) = open_images(program)
    graph = on_own_stacks(read_graph([image]))
    setting = setting_of(image, graph.frames[0].contents)
    changes = unchanged(graph)
    return Kernel(graph, setting, interruptions(graph, changes, weigh(graph, changes), setting))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    return kernel(tmp_path_factory.mktemp("plain"), OWN + "#define PREEMPT (void)0\n" + COMMON)


@pytest.fixture(scope="module")
def preemptible(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    return kernel(tmp_path_factory.mktemp("preempt"), OWN + PREEMPTIBLE + COMMON + SCHEDULER)


def test_the_code_shows_where_it_goes_to_another_stack(plain: Kernel) -> None:
    graph, masks = plain.graph, switched(plain.graph)

    def callees(mask: Indices) -> list[str]:
        return graph.names(graph.callee[mask])

    assert callees(np.flatnonzero(masks.away)) == ["deep_handler"]
    assert callees(np.flatnonzero(masks.instead)) == ["deep_handler"]
    assert set(graph.sites.function[masks.away | masks.instead].tolist()) == {
        plain.row("sysvec_timer")
    }


def test_an_interrupt_takes_what_it_pushes_until_it_leaves_the_stack(plain: Kernel) -> None:
    term = plain.term(INTERRUPT)
    # The handler's own frame and what it calls after, but not the 8 KiB on the other stack.
    assert PUSHED + 8 <= term.least <= term.most < PUSHED + 256
    assert term.pushed == PUSHED
    assert plain.graph.name(term.handler) == "sysvec_timer"
    # On the interrupts' own stack, the handler runs where it is.
    assert plain.term(INTERRUPT, On.IRQ).most >= PUSHED + 8192 + 16
    assert not [one for one in plain.found.terms if one.name == PREEMPTING]


def test_preemption_comes_with_a_second_interrupt(preemptible: Kernel, plain: Kernel) -> None:
    first, second = preemptible.term(INTERRUPT), preemptible.term(PREEMPTING)
    assert first.most >= PUSHED + 512 + 8
    assert second.most < PUSHED + 256
    assert sum(one.most for one in preemptible.found.on(On.TASK)) == first.most + second.most
    assert [one.name for one in plain.found.on(On.TASK)] == [INTERRUPT]


def test_without_stacks_of_their_own_interrupts_and_softirqs_add_up(tmp_path: Path) -> None:
    shared = kernel(tmp_path, "#define OWN\n#define PREEMPT (void)0\n" + COMMON)
    found = shared.found.on(On.TASK)
    assert [one.name for one in found] == [INTERRUPT, SOFTIRQ]
    assert all(one.most >= PUSHED + 8192 + 16 for one in found)


def test_a_page_fault_comes_on_top_of_who_accesses_user_memory(plain: Kernel) -> None:
    fault, fixup = plain.term(FAULT), plain.term(FIXUP, On.IRQ)
    assert fault.most == PUSHED + 8 + 4096 + 8
    assert fixup.most == PUSHED + 8 + 256 + 8
    get_user, reader = plain.row("get_user"), plain.row("ksys_read")
    assert np.flatnonzero(plain.found.faulting).tolist() == [get_user]
    before, after = weigh(plain.graph, unchanged(plain.graph)), plain.found.calls
    assert after.most[get_user] == before.most[get_user] + fault.most
    assert after.least[get_user] == before.least[get_user] + fault.least
    assert after.most[reader] == before.most[reader]


def test_what_only_diagnostics_meet_is_asked_for(plain: Kernel) -> None:
    assert plain.term(WARNING).most == PUSHED + 1024 + 8
    assert plain.term(WARNING).given == "diagnostics"
    names = [one.name for one in plain.found.on(On.TASK, given=True)]
    assert names == [INTERRUPT, WARNING]


def test_a_thread_is_where_its_creation_says(plain: Kernel) -> None:
    (entries,) = graph_entries(plain.graph, plain.setting)
    at = entries.names.index("watcher")
    assert EntryKind(entries.kind[at]) is EntryKind.KTHREAD
    assert Found(entries.found[at]) is Found.ARGUMENT
    assert On(entries.stack[at]) is On.TASK
    assert entries.entry_bytes[at] == 168
    route = entries.routes[int(entries.route[at])]
    assert route.functions == ("ret_from_fork", "kthread")
