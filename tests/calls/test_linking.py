"""What the symbols that a module leaves undefined stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stackgauge.calls.linking import NOWHERE, function_at
from tests.calls.programs import assembled, compiled, graph_of, pairs

KERNEL = """
#define F __attribute__((noipa)) void
F shared(void) { asm volatile(""); }
static F hidden(void) { asm volatile("nop"); }
F __attribute__((weak)) replaced(void) { asm volatile("nop; nop"); }
F kernel(void) { hidden(); shared(); replaced(); asm volatile(""); }
"""
EXPORTS = (
    'asm(".pushsection __ksymtab_strings,\\"aMS\\",@progbits,1; .asciz \\"{}\\"; .popsection");'
)
ONE = """
#define F __attribute__((noipa)) void
F shared(void); F hidden(void); F offered(void); F kept(void);
F replaced(void) { asm volatile("nop; nop; nop"); }
F offered(void) { shared(); asm volatile(""); }
F kept(void) { asm volatile("nop; nop; nop; nop"); }
""" + EXPORTS.format("offered")
TWO = """
#define F __attribute__((noipa)) void
F shared(void); F hidden(void); F offered(void); F kept(void);
F module_two(void) { shared(); hidden(); offered(); kept(); asm volatile(""); }
"""


def test_by_name_with_what_is_exported(tmp_path: Path) -> None:
    sources = {"kernel.c": KERNEL, "one.c": ONE, "two.c": TWO}
    folder = compiled(tmp_path, "gcc", ["-O2"], sources)
    graph = graph_of(*(folder / name for name in ("kernel.o", "one.o", "two.o")))
    assert pairs(graph) == {
        ("kernel", "hidden"),
        ("kernel", "shared"),
        ("kernel", "replaced"),
        ("offered", "shared"),
        ("module_two", "shared"),
        ("module_two", "offered"),
    }
    # Of two of a name each image has its own.
    [kernels, modules] = graph.find("replaced")
    assert kernels in graph.edges.callee
    assert modules not in graph.edges.callee
    # What is local to another image, or not exported by it, is defined nowhere.
    open_ = ~graph.closed
    assert graph.names(graph.sites.function[open_]) == ["module_two"] * 2
    assert (graph.callee[open_] == NOWHERE).all()


def test_names_and_numbers_over_images(tmp_path: Path) -> None:
    folder = compiled(tmp_path, "gcc", ["-O2"], {"kernel.c": KERNEL, "two.c": TWO})
    graph = graph_of(folder / "kernel.o", folder / "two.o")
    [row] = graph.find("module_two")
    assert graph.name(int(row)) == "module_two"
    assert graph.image_of(np.array([0, row], np.intp)).tolist() == [0, 1]
    assert len(graph) == len(graph.least) == len(graph.most) == len(graph.kind)
    assert graph.find("nothing of the kind").tolist() == []


def test_padding_leads_into_the_next_function(tmp_path: Path) -> None:
    code = """
    FUNCTION one
     ret
    END one
     .balign 16, 0xcc
     .skip 12, 0xcc
     .skip 4, 0x90
    FUNCTION two
     ret
    END two
    FUNCTION three
     call two - 4
     ret
    END three
    """
    graph = graph_of(assembled(tmp_path, code))
    assert pairs(graph) == {("three", "two")}


def test_addresses_outside_of_all_code(tmp_path: Path) -> None:
    graph = graph_of(assembled(tmp_path, "FUNCTION one\n ret\n END one"))
    start = int(graph.frames[0].functions.start[0])
    far = np.array([start, 0, 1, start - 1, start + 1, start + (1 << 30), 2**64 - 1], np.uint64)
    assert function_at(graph.frames[0], far).tolist() == [0, *[NOWHERE] * 6]
