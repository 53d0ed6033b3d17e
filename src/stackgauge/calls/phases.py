"""Calls that are in the code and in no chain: of what is gone, and of what comes on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph
from stackgauge.calls.model import Edges

Mask = NDArray[np.bool_]

# kernel/sched/core.c, arch/x86/entry/thunk_64.S: what reschedules where preemption is let in again.
_PREEMPT = (
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_notrace",
    "preempt_schedule_notrace_thunk",
    "preempt_schedule_thunk",
)
_ON_INTERRUPT = "preempt_schedule_irq"

_GONE = (".init.text", ".exit.text")


def of_boot(graph: Graph) -> Mask:
    """The functions that are no longer there once the kernel has booted, (n,) bool.

    ``free_initmem`` (init/main.c, ``kernel_init``) frees the code of the kernel's own .init
    sections before the first program runs. Modules have theirs when they are loaded.
    """
    result = np.zeros(len(graph), bool)
    # A loop over images.
    for index, frames in enumerate(graph.frames):
        elf, functions = frames.image.elf, frames.functions
        if not elf.relocatable:
            gone = np.array([name.startswith(_GONE) for name in elf.names], bool)
            result[graph.first[index] : graph.first[index + 1]] = gone[functions.section]
    return result


def preempting(graph: Graph) -> Mask:
    """The functions by which a task is preempted that is not interrupted, (n,) bool.

    Where interrupts preempt as well, they may do so anywhere that these are called, and take more
    stack: what comes on top of every chain already has these.
    """
    result = np.zeros(len(graph), bool)
    if len(graph.find(_ON_INTERRUPT)):
        for name in _PREEMPT:
            result[graph.find(name)] = True
    return result


def without(graph: Graph, edges: Edges, functions: Mask) -> Edges:
    """The edges that do not lead from other functions into some."""
    caller = graph.sites.function[edges.site]
    kept = ~functions[edges.callee] | functions[caller]
    return Edges(edges.site[kept], edges.callee[kept], edges.reason[kept])
