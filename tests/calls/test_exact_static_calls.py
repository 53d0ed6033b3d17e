"""Static calls of a small kernel, put together as include/linux/static_call_types.h does."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.calls.model import Reason
from stackgauge.calls.static_calls import static_calls
from tests.calls.programs import compiled, graph_of, of_layer

HEADER = """
#define F __attribute__((noipa)) void
struct static_call_key { void *func; unsigned long type; };
F __static_call_update(struct static_call_key *key, void *tramp, void *func);
F __static_call_update_early(void *tramp, void *func);
#define DECLARE(name) extern struct static_call_key __SCK__##name; extern void __SCT__##name(void)
#define UPDATE(name, f) __static_call_update(&__SCK__##name, __SCT__##name, f)
F one(void); F two(void); F three(void);
"""
# The instructions of a trampoline: at first a jump to the function, or a return.
DEFINE = """
#define DEFINE_AS(name, f, code) DECLARE(name); struct static_call_key __SCK__##name = { f }; \\
    asm(".pushsection .static_call.text,\\"ax\\"; .globl __SCT__" #name "; .type __SCT__" #name \\
        ",@function; .balign 8; __SCT__" #name ": " code "; .size __SCT__" #name ", 8;" \\
        ".balign 8, 0xcc; .popsection")
#define DEFINE(name, f) DEFINE_AS(name, f, "jmp " #f)
#define DEFINE_NULL(name) DEFINE_AS(name, 0, "ret")
F __static_call_update(struct static_call_key *key, void *tramp, void *func) { key->func = func; }
F __static_call_update_early(void *tramp, void *func) { asm volatile("" :: "r"(func)); }
F one(void) { asm volatile(""); }
F two(void) { asm volatile("nop"); }
F three(void) { asm volatile("nop; nop"); }
"""
KERNEL = (
    HEADER
    + DEFINE
    + """
DEFINE(never, one);
DEFINE(fixed, one);
DEFINE(given, one);
DEFINE(loaded, one);
DEFINE(kept, one);
DEFINE(passed, one);
DEFINE(early, one);
DEFINE_NULL(none);
struct static_call_key *list[] = { &__SCK__kept };
void *pointer;
F call_never(void) { __SCT__never(); asm volatile(""); __SCT__never(); asm volatile(""); }
F call_fixed(void) { __SCT__fixed(); asm volatile(""); }
F call_given(void) { __SCT__given(); }
F call_loaded(void) { __SCT__loaded(); }
F call_kept(void) { __SCT__kept(); }
F call_passed(void) { __SCT__passed(); }
F call_early(void) { __SCT__early(); }
F call_none(void) { __SCT__none(); asm volatile(""); }
F set_fixed(int a) { UPDATE(fixed, two); if (a) UPDATE(fixed, three); UPDATE(none, 0); }
F set_given(void *f) { UPDATE(given, f); }
F set_loaded(void) { UPDATE(loaded, pointer); }
F set_kept(int a) { __static_call_update(list[a], __SCT__kept, two); }
F set_any(struct static_call_key *key) { __static_call_update(key, pointer, two); }
F set_passed(void) { set_any(&__SCK__passed); }
F set_early(void) {
    __SCK__early.func = three;
    __static_call_update_early(__SCT__early, three);
}
"""
)
MODULE = (
    HEADER
    + """
DECLARE(fixed);
DECLARE(never);
DECLARE(loaded);
F four(void) { asm volatile("nop; nop; nop"); }
F module_call(void) { __SCT__fixed(); asm volatile(""); __SCT__loaded(); }
F module_set(void) { UPDATE(never, four); }
"""
)
OPTIONS = ["-O2", "-mcmodel=kernel", "-fno-asynchronous-unwind-tables"]


def test_what_each_may_call(tmp_path: Path) -> None:
    folder = compiled(tmp_path, "gcc", OPTIONS, {"kernel.c": KERNEL})
    graph = graph_of(folder / "kernel.o")
    layer = static_calls(graph)
    assert (layer.edges.reason == Reason.EXACT).all()
    found = of_layer(graph, layer)
    assert {name: called for name, called in found.items() if name.startswith("call_")} == {
        "call_never": ({"one"}, True),
        "call_fixed": ({"one", "two", "three"}, True),
        # What a function is given, loads or finds in a list is not known.
        "call_given": ({"one"}, False),
        "call_loaded": ({"one"}, False),
        "call_kept": ({"one"}, False),
        "call_passed": ({"one"}, False),
        "call_early": ({"one", "three"}, True),
    }
    # The trampoline leads where its key says, too.
    assert found["__SCT__fixed"] == found["call_fixed"]
    # One that is never set calls nothing: closed without an edge.
    [none] = graph.find("call_none")
    assert layer.closed[graph.sites.function == none].all()


def test_a_module_calls_and_changes_what_the_kernel_has(tmp_path: Path) -> None:
    folder = compiled(tmp_path, "gcc", OPTIONS, {"kernel.c": KERNEL, "module.c": MODULE})
    graph = graph_of(folder / "kernel.o", folder / "module.o")
    found = of_layer(graph, static_calls(graph))
    assert found["module_call"] == ({"one", "two", "three"}, False)
    assert found["call_never"] == ({"one", "four"}, True)


@pytest.mark.parametrize("name", ["module.o", "kernel.o"])
def test_without_the_kernel_nothing_is_closed(tmp_path: Path, name: str) -> None:
    sources = {"module.c": MODULE, "kernel.c": KERNEL.replace("__static_call_update", "renamed")}
    graph = graph_of(compiled(tmp_path, "gcc", OPTIONS, sources) / name)
    assert not static_calls(graph).closed.any()


def test_other_architectures_have_them_open(tmp_path: Path) -> None:
    options = ["-O2", "-mregparm=3"]
    folder = compiled(tmp_path, "i686-linux-gnu-gcc", options, {"kernel.c": KERNEL})
    graph = graph_of(folder / "kernel.o")
    layer = static_calls(graph)
    assert of_layer(graph, layer)["call_never"] == ({"one"}, False)
    assert not layer.closed.any()
