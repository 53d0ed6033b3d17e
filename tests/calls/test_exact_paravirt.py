"""Calls through ``pv_ops`` of a small kernel: what is in it, stored there and copied there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stackgauge.calls.paravirt import paravirt_calls
from tests.calls.programs import compiled, graph_of, of_layer

HEADER = """
#define F __attribute__((noipa)) void
struct ops { void (*cpu)(void), (*irq)(void), (*mmu)(void), (*lock)(void); };
extern struct ops pv_ops;
#define CALL(slot) asm volatile("call *%c0" :: "i"(&pv_ops.slot))
#define CALL_PC(slot) asm volatile("call *%c0(%%rip)" :: "i"(&pv_ops.slot))
"""
KERNEL = (
    HEADER
    + """
F native_cpu(void) { asm volatile(""); }
F native_irq(void) { asm volatile("nop"); }
F native_mmu(void) { asm volatile("nop; nop"); }
F native_lock(void) { asm volatile("nop; nop; nop"); }
F guest_irq(void) { asm volatile("nop; nop; nop; nop"); }
F xen_cpu(void) { asm volatile("nop; nop; nop; nop; nop"); }
struct ops pv_ops = { native_cpu, native_irq, native_mmu, native_lock };
int after[64] = { 1 };
F call_cpu(void) { CALL(cpu); }
F call_irq(void) { CALL(irq); CALL_PC(irq); }
F call_mmu(void) { CALL_PC(mmu); }
F call_lock(void) { pv_ops.lock(); }
F guest(void) { pv_ops.irq = guest_irq; }
"""
)
XEN = "const struct ops xen_cpu_ops = { .cpu = xen_cpu };\nF xen(void) { pv_ops = xen_cpu_ops; }\n"
UNKNOWN = "F other(void (*f)(void)) { pv_ops.mmu = f; }\n"
COPIES = "F copies(struct ops *o) { __builtin_memcpy(&pv_ops, o, sizeof(pv_ops)); }\n"
MODULE = HEADER + "F module_irq(void) { CALL_PC(irq); }\n"
# The kernel has no vector registers to copy with.
OPTIONS = ["-O2", "-mcmodel=kernel", "-mgeneral-regs-only"]


def linked(folder: Path, source: str) -> Path:
    """The kernel, linked where one lies."""
    options = [*OPTIONS, "-static", "-nostdlib", "-Wl,-e,0", "-Wl,-Ttext=0xffffffff81000000"]
    compiled(folder, "gcc", OPTIONS, {"kernel.c": source})
    subprocess.run(["gcc", *options, "kernel.o", "-o", "kernel"], cwd=folder, check=True)
    return folder / "kernel"


def test_what_each_slot_may_hold(tmp_path: Path) -> None:
    graph = graph_of(linked(tmp_path, KERNEL))
    assert of_layer(graph, paravirt_calls(graph)) == {
        "call_cpu": ({"native_cpu"}, True),
        "call_irq": ({"native_irq", "guest_irq"}, True),
        "call_mmu": ({"native_mmu"}, True),
        "call_lock": ({"native_lock"}, True),
    }


def test_what_xen_copies(tmp_path: Path) -> None:
    graph = graph_of(linked(tmp_path, KERNEL + XEN))
    found = of_layer(graph, paravirt_calls(graph))
    assert found["call_cpu"][0] == {"native_cpu", "xen_cpu"}
    assert found["call_irq"][0] == {"native_irq", "guest_irq"}


@pytest.mark.parametrize("unknown", [UNKNOWN, COPIES])
def test_what_is_not_seen_leaves_a_slot_open(tmp_path: Path, unknown: str) -> None:
    graph = graph_of(linked(tmp_path, KERNEL + unknown))
    found = of_layer(graph, paravirt_calls(graph))
    assert found["call_mmu"] == ({"native_mmu"}, False)


def test_a_modules_calls(tmp_path: Path) -> None:
    kernel = linked(tmp_path, KERNEL)
    module = compiled(tmp_path, "gcc", OPTIONS, {"module.c": MODULE}) / "module.o"
    graph = graph_of(kernel, module)
    found = of_layer(graph, paravirt_calls(graph))
    assert found["module_irq"] == ({"native_irq", "guest_irq"}, True)


def test_a_kernel_without_pv_ops(tmp_path: Path) -> None:
    graph = graph_of(linked(tmp_path, KERNEL.replace("pv_ops", "other_ops")))
    layer = paravirt_calls(graph)
    assert not len(layer.edges)
    assert not layer.closed.any()
