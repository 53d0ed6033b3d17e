"""Functions of a module that the kernel's indirect calls may lead to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.calls.graph import Graph
from stackgauge.calls.indirect.layers import study
from stackgauge.calls.indirect.resolve import table_layer
from stackgauge.calls.model import Reason
from tests.calls.programs import graph_of
from tests.calls.test_indirect import READS, built

MODULE = """
struct file;
struct file_ops {
    long tag;
    int (*read)(struct file *, long);
    int (*open)(struct file *);
};
struct file {
    long position;
    const struct file_ops *ops;
};
extern int register_file(const void *);
static int module_read(struct file *f, long n) { return f->position + n + 7; }
static int unused(struct file *f, long n) { return n; }
static long of_another_kind(struct file *f, char *n) { return f->position; }
typedef int (*reader)(struct file *, long);
static int by_code(struct file *f, long n) { return f->position + 8; }
const struct file_ops module_ops = { 5, module_read };
void *const other = of_another_kind;
extern void hide(void **);
int init(void **where) { *where = (void *)by_code; return register_file(&module_ops); }
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder: Path = tmp_path_factory.mktemp("module")
    built(folder, "-g", "-gbtf")
    if shutil.which("pahole") is None:
        pytest.skip("pahole is missing")
    (folder / "module.c").write_text(MODULE)
    command = ["gcc", "-w", "-O2", "-g", "-ffreestanding", "-fno-pic", "-c", "module.c"]
    subprocess.run(command, cwd=folder, check=True)
    # As the kernel's build does (scripts/Makefile.modfinal).
    subprocess.run(["pahole", "-J", "--btf_base", "pointers", "module.o"], cwd=folder, check=True)
    return graph_of(folder / "pointers", folder / "module.o")


def test_functions_of_the_prototype_are_added(graph: Graph) -> None:
    known = study(graph)
    assert known is not None
    table = table_layer(graph, known)
    [site] = np.flatnonzero(np.isin(graph.sites.function, graph.find("by_field"))).tolist()
    mine = table.edges.site == site
    names = graph.names(table.edges.callee[mine])
    reasons = dict(zip(names, table.edges.reason[mine].tolist(), strict=True))
    assert reasons == {
        **dict.fromkeys(READS, Reason.TABLE),
        "module_read": Reason.TYPE,
        "by_code": Reason.TYPE,
    }
    assert table.closed[site]
