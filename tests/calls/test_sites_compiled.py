"""Calls of compiled code on every architecture, against GCC's own call graph."""

from pathlib import Path

import numpy as np
import pytest

from stackgauge.calls.model import Kind
from stackgauge.evidence.table import UNKNOWN
from tests.calls.programs import callers, compiled, graph_of, pairs
from tests.oracles.callgraph_info import parse_ci

CALLS = """
#define F __attribute__((noipa))
typedef int (*op)(int);
struct ops { op first, second; };
extern int outside(int);
extern void never(int) __attribute__((noreturn));
void F use(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); }
static int F leaf(int a) { return a * 3; }
int F tail(int a) { return leaf(a + 1); }
int F both(int a) { char b[40]; use(b); return tail(a) + leaf(a); }
int F ifs(int a) { if (a > 7) return outside(a); return a + 1; }
int F loop(int a) { int s = 0; for (int i = 0; i < a; i++) s += outside(i); return s; }
int F again(int a) { return a ? again(a - 1) + leaf(a) : 0; }
int F pointer(struct ops *o, int a) { return o->first(a) + 1; }
int F pointer_tail(struct ops *o, int a) { return o->second(a); }
int F switched(int a, int b) {
    use(&b);
    switch (a) {
    case 0: return leaf(b) + 1; case 1: return outside(b) * 3; case 2: return b - 9;
    case 3: return both(b) ^ 7; case 4: return tail(b) & 9; case 5: return again(b) - 2;
    case 6: use(&b); return b; case 7: return ifs(b) | 1; default: return 0;
    }
}
int F fails(int a) { if (a < 0) never(a); return leaf(a) + 4; }
__attribute__((cold)) static void F complain(int a) { use(&a); outside(a); }
int F hot_and_cold(int a) {
    if (__builtin_expect(a == 5, 0)) { complain(a); return outside(a) + 2; }
    return a;
}
"""
OTHERS = """
int leaf(int a) { return a; }
int outside(int a) { return a ^ 5; }
void never(int a) { for (;;); }
"""
MACHINES = {
    "x86_64": ("gcc", ["-m64", "-mcmodel=kernel"]),
    "i386": ("i686-linux-gnu-gcc", []),
    "arm64": ("aarch64-linux-gnu-gcc", []),
    "arm": ("arm-linux-gnueabihf-gcc", ["-marm"]),
    "thumb": ("arm-linux-gnueabihf-gcc", ["-mthumb"]),
    "riscv": ("riscv64-linux-gnu-gcc", []),
    "mips": ("mips-linux-gnu-gcc", ["-mno-abicalls"]),
    "mips64": ("mips64el-linux-gnuabi64-gcc", ["-mno-abicalls"]),
    "powerpc": ("powerpc-linux-gnu-gcc", []),
    "powerpc64le": ("powerpc64le-linux-gnu-gcc", []),
    "s390": ("s390x-linux-gnu-gcc", ["-march=z10"]),
}


_EACH = [(machine, "-O2") for machine in MACHINES]
_EACH += [(machine, level) for machine in ("x86_64", "arm64") for level in ("-O0", "-Os")]


@pytest.mark.parametrize(("machine", "level"), _EACH)
def test_every_call_that_gcc_makes(tmp_path: Path, machine: str, level: str) -> None:
    compiler, options = MACHINES[machine]
    sources = {"calls.c": CALLS, "others.c": OTHERS}
    folder = compiled(tmp_path, compiler, [level, *options, "-fcallgraph-info=su"], sources)
    graph = graph_of(folder / "calls.o", folder / "others.o")
    said = parse_ci((folder / "calls.ci").read_text())
    assert pairs(graph) == said.direct
    assert callers(graph, Kind.INDIRECT_CALL, Kind.INDIRECT_TAIL) == said.indirect
    assert (graph.sites.least != UNKNOWN).all()
    # A call of one's own file is of its own ``leaf``, and not of another file's.
    [own, _] = graph.find("leaf")
    assert own in graph.edges.callee
    assert not np.isin(graph.find("leaf")[1], graph.edges.callee)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_defined_nowhere_is_left_open(tmp_path: Path, machine: str) -> None:
    compiler, options = MACHINES[machine]
    folder = compiled(tmp_path, compiler, ["-O2", *options], {"calls.c": CALLS})
    graph = graph_of(folder / "calls.o")
    left = ~graph.closed & (graph.sites.kind <= Kind.TAIL)
    assert set(graph.names(graph.sites.function[left])) >= {"ifs", "loop", "switched", "fails"}
    assert not {callee for _, callee in pairs(graph)} & {"outside", "never"}
