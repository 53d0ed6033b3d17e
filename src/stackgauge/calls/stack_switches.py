"""Calls that run on another stack than their caller, and those made in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph
from stackgauge.calls.model import Kind
from stackgauge.image.elf import (
    EM_386,
    EM_AARCH64,
    EM_ARM,
    EM_LOONGARCH,
    EM_RISCV,
    EM_S390,
)

Mask = NDArray[np.bool_]

# Stands for every call to an address in a register.
_REGISTER = "*"


class _Switch(NamedTuple):
    """A function that goes to another stack in a way that its code alone does not show.

    Attributes:
        function: its name.
        away: what it calls there and nowhere else; ``*`` for what a register says.
        instead: what it calls on the stack that it finds, where that is no task's or is empty.
    """

    function: str
    away: tuple[str, ...]
    instead: tuple[str, ...] = ()


_SWITCHES: dict[int, tuple[_Switch, ...]] = {
    # arch/x86/kernel/irq_32.c: call_on_stack and execute_on_irq_stack exchange the stack pointer
    # with a register around a call.
    EM_386: (
        _Switch("call_on_stack", (_REGISTER,)),
        _Switch("__handle_irq", (), (_REGISTER,)),
        _Switch("handle_irq", (), (_REGISTER,)),
    ),
    # arch/arm64/kernel/entry.S
    EM_AARCH64: (_Switch("call_on_irq_stack", (_REGISTER,)),),
    # arch/arm/lib/call_with_stack.S
    EM_ARM: (_Switch("call_with_stack", (_REGISTER,)),),
    # arch/riscv/kernel/entry.S
    EM_RISCV: (
        _Switch("call_on_irq_stack", (_REGISTER,)),
        _Switch("do_irq", (), ("handle_riscv_irq",)),
    ),
    # arch/loongarch/kernel/irq.c, traps.c
    EM_LOONGARCH: (_Switch("do_vint", (_REGISTER,), ("handle_loongarch_irq",)),),
    # arch/s390/kernel/irq.c and asm/softirq_stack.h, whose do_softirq_own_stack is inlined.
    EM_S390: (
        *(
            _Switch(caller, ("__do_softirq", "handle_softirqs"))
            for caller in ("do_softirq", "do_softirq_own_stack", "irq_exit_rcu", "__irq_exit_rcu")
        ),
        _Switch("do_irq_async", (), ("do_IRQ", "generic_handle_irq")),
    ),
}


class Switched(NamedTuple):
    """Masks over the sites of a graph.

    Attributes:
        away: what is called runs on another stack, always.
        instead: it does when the task whose stack this is runs in the kernel: the function calls
            the same without going to another stack only where it is on one already, or has come
            from user mode, when a task's stack is empty.
    """

    away: Mask
    instead: Mask


def switched(graph: Graph) -> Switched:
    """Which sites of a graph call on another stack.

    What the code itself shows, ``Graph.elsewhere`` says already. A site whose function calls the
    same elsewhere is one that is used instead.
    """
    sites = graph.sites
    away, instead = graph.elsewhere.copy(), np.zeros(len(sites), bool)
    registers = (sites.kind == Kind.INDIRECT_CALL) | (sites.kind == Kind.INDIRECT_TAIL)

    def called(function: NDArray[np.intp], names: tuple[str, ...]) -> Mask:
        """The sites in a function that call what has one of these names."""
        result = np.zeros(len(sites), bool)
        for name in names:
            which = registers if name == _REGISTER else np.isin(graph.callee, graph.find(name))
            result |= which & np.isin(sites.function, function)
        return result

    # A handful for each machine.
    for switch in _SWITCHES.get(graph.frames[0].image.elf.machine, ()):
        function = graph.find(switch.function)
        away |= called(function, switch.away)
        instead |= called(function, switch.instead)
    # The same function called by the same caller, on another stack and on its own.
    count = len(graph) + 1
    pair = sites.function * count + np.where(graph.callee >= 0, graph.callee, len(graph))
    known = (graph.callee >= 0) & ~registers
    instead |= ~away & known & np.isin(pair, pair[away & known])
    return Switched(away, instead & ~away)


def on_own_stacks(graph: Graph) -> Graph:
    """The graph with ``elsewhere`` at every site that calls on another stack."""
    return replace(graph, elsewhere=switched(graph).away)
