"""Tracepoints of a small kernel, laid out as include/linux/tracepoint-defs.h has them."""

from __future__ import annotations

from pathlib import Path

from stackgauge.calls.tracepoints import tracepoint_calls
from tests.calls.programs import compiled, graph_of, of_layer

HEADER = """
#define F __attribute__((noipa)) void
struct tracepoint { const char *name; void *func; void *funcs; };
extern struct tracepoint __tracepoint_a, __tracepoint_b;
F tracepoint_probe_register(struct tracepoint *tp, void *probe, void *data);
"""
KERNEL = (
    HEADER
    + """
struct list { struct list *next, *prev; };
struct event_class { const char *system; void *probe, *perf_probe; void *reg; };
struct event_call { struct list list; struct event_class *class; struct tracepoint *tp; };
struct bpf_map { struct tracepoint *tp; void *bpf_func; unsigned args; };
struct tracepoint __tracepoint_a = { "a" }, __tracepoint_b = { "b" };
F tracepoint_probe_register(struct tracepoint *tp, void *probe, void *data) { tp->func = probe; }
F trace_event_raw_event_a(void) { asm volatile("nop"); }
F perf_trace_a(void) { asm volatile("nop; nop"); }
F __bpf_trace_a(void) { asm volatile("nop; nop; nop"); }
F probe_a(void) { asm volatile("nop; nop; nop; nop"); }
struct event_class class_a = { "s", trace_event_raw_event_a, perf_trace_a };
struct event_call event_a = { { 0, 0 }, &class_a, &__tracepoint_a };
struct bpf_map map_a = { &__tracepoint_a, __bpf_trace_a, 1 };
F __traceiter_a(void) { ((void (*)(void))__tracepoint_a.func)(); asm volatile(""); }
F __traceiter_b(void) { ((void (*)(void))__tracepoint_b.func)(); asm volatile(""); }
asm(".globl __SCT__tp_func_a; .type __SCT__tp_func_a,@function; .balign 8;"
    "__SCT__tp_func_a: jmp __traceiter_a; .size __SCT__tp_func_a, 8; .balign 8, 0xcc");
extern void __SCT__tp_func_a(void);
F trace_a(void) { __SCT__tp_func_a(); asm volatile(""); }
F trace_event_reg(struct event_call *call) {
    tracepoint_probe_register(call->tp, call->class->probe, call);
}
F starts(void) { tracepoint_probe_register(&__tracepoint_a, probe_a, 0); asm volatile(""); }
"""
)
ANY_POINT = "F any(struct tracepoint *p) { tracepoint_probe_register(p, probe_a, 0); }\n"
ANY_PROBE = "F any(void *f) { tracepoint_probe_register(&__tracepoint_a, f, 0); }\n"
MODULE = (
    HEADER
    + """
F probe_b(void) { asm volatile("nop; nop"); }
F module_starts(void) { tracepoint_probe_register(&__tracepoint_b, probe_b, 0); }
"""
)
OPTIONS = ["-O2", "-mcmodel=kernel"]
PROBES = {"trace_event_raw_event_a", "perf_trace_a", "__bpf_trace_a", "probe_a"}


def found(folder: Path, kernel: str, *modules: str) -> dict[str, tuple[set[str], bool]]:
    sources = {"kernel.c": kernel} | {f"{row}.c": text for row, text in enumerate(modules)}
    compiled(folder, "gcc", OPTIONS, sources)
    graph = graph_of(folder / "kernel.o", *(folder / f"{row}.o" for row in range(len(modules))))
    return of_layer(graph, tracepoint_calls(graph))


def test_probes_of_events_and_of_code(tmp_path: Path) -> None:
    layer = found(tmp_path, KERNEL)
    assert layer == {
        "__traceiter_a": (PROBES, True),
        "trace_a": ({"__traceiter_a", *PROBES}, True),
    }


def test_a_modules_probe(tmp_path: Path) -> None:
    assert found(tmp_path, KERNEL, MODULE)["__traceiter_b"] == ({"probe_b"}, True)


def test_one_that_gets_an_unseen_probe_is_open(tmp_path: Path) -> None:
    layer = found(tmp_path, KERNEL + ANY_PROBE, MODULE)
    assert layer["__traceiter_a"] == (PROBES, False)
    assert layer["__traceiter_b"] == ({"probe_b"}, True)


def test_where_any_may_get_one_all_are_open(tmp_path: Path) -> None:
    layer = found(tmp_path, KERNEL + ANY_POINT, MODULE)
    assert not any(closed for _, closed in layer.values())
