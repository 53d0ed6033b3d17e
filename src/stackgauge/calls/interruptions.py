"""What may interrupt a chain on the stack that it is on, and how many bytes that takes.

A chain's own depth is not all: an interrupt saves the registers on the stack that it finds, and
runs on it until it goes to another one; an access to user memory may fault, and the fault is
handled right there. Each of these is a term, worked out from the depth of its handlers.

What adds up, so that no chain is ever deeper than its depth and the terms of its stack:

- a page fault, at the function that accesses user memory (``fault_places``): its handler may
  sleep, be preempted and interrupted. While it brings a page in no other fault does; one that is
  fixed up at once is counted on top of it;
- an interrupt, and what it does before it returns, preemption included;
- where there is preemption a second interrupt, on top of the scheduler; that one preempts nothing,
  for preemption is off there (preempt_schedule_irq, kernel/sched/core.c);
- where softirqs have no stack of their own a further one: they let interrupts in;
- where they have no stack of their own, an interrupt that cannot be masked and what the hardware
  reports, each once.

Not counted, for they are asked for: breakpoints, kprobes, single steps and the tracers' own code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.deepest import deepest
from stackgauge.calls.depths import Calls, Depths
from stackgauge.calls.graph import Graph
from stackgauge.calls.linking import function_at
from stackgauge.calls.model import Indices
from stackgauge.calls.stack_switches import switched
from stackgauge.calls.weights import Changes, weigh
from stackgauge.evidence.table import NO_LIMIT
from stackgauge.kernel.entries import Setting
from stackgauge.kernel.stacks import On, on_own_stack
from stackgauge.kernel.tables import faulting_places

Mask = NDArray[np.bool_]

INTERRUPT, PREEMPTING, SOFTIRQ, FAULT, FIXUP, WARNING = (
    "interrupt",
    "interrupt while preempting",
    "interrupt in a softirq",
    "page fault",
    "fixed-up fault",
    "warning",
)

# kernel/sched/core.c; the entry code in assembly of some architectures calls it itself.
_PREEMPT = ("preempt_schedule_irq",)
# mm/memory.c: what a fault does that brings a page in; where it may not, it looks for a fixup.
_BRINGS_IN = ("handle_mm_fault",)

# kernel/entry/common.c, arch/*/kernel/entry-common.c: what is done on the way back to user mode,
# where nothing returns to that interrupted the kernel.
_TO_USER = (
    "irqentry_enter_from_user_mode",
    "irqentry_exit_to_user_mode",
    "exit_to_user_mode_prepare",
    "exit_to_user_mode_loop",
    "exit_to_user_mode",
    "do_notify_resume",
)

# Stacks on which interrupts are let in, so that one may interrupt what runs there.
_INTERRUPTIBLE = (On.TASK, On.IRQ, On.SOFTIRQ)


class Term(NamedTuple):
    """One thing that may come on top of a chain.

    Attributes:
        name: what it is.
        on: the stack whose chains it interrupts.
        least: its bytes at least: one chain that exists.
        most: its bytes at most; NO_LIMIT where no bound is known.
        why: Why, of the handlers.
        handler: the function whose depth it is, or -1 where nothing runs on this stack.
        pushed: those of its bytes that hardware and entry code push.
        given: what it takes to happen; empty for what any kernel meets.
        source: the kernel's file.
    """

    name: str
    on: On
    least: int
    most: int
    why: int
    handler: int
    pushed: int
    given: str
    source: str


class Interruptions(NamedTuple):
    """The terms of a kernel, and the chains that they come on top of.

    Attributes:
        terms: all terms.
        faulting: functions that access user memory, (n,) bool.
        calls: for chains on a task's stack: those given, a page fault at the functions that may
            meet one included; it is not to be added to them again.
    """

    terms: list[Term]
    faulting: Mask
    calls: Calls

    def on(self, stack: On, *, given: bool = False) -> list[Term]:
        """The terms that add up on a stack, without the page fault that ``calls`` has.

        Args:
            stack: which.
            given: whether those that something special is needed for count as well.
        """
        return [
            one
            for one in self.terms
            if one.on == stack
            and (given or not one.given)
            and (one.name != FAULT or stack != On.TASK)
        ]


def fault_places(graph: Graph) -> Mask:
    """The functions with accesses that may fault and be fixed up, (n,) bool.

    Those of user memory are among them; the others (machine registers that may not be there,
    memory read on suspicion) come in through the same handlers.
    """
    result = np.zeros(len(graph), bool)
    # A loop over images.
    for index, frames in enumerate(graph.frames):
        image = frames.image
        places = faulting_places(image.elf, image.symbols, frames.contents)
        function = function_at(frames, places)
        result[function[function >= 0] + graph.first[index]] = True
    return result


def interruptions(graph: Graph, changes: Changes, calls: Calls, setting: Setting) -> Interruptions:
    """What may interrupt the chains of a kernel.

    Args:
        graph: the graph, ``on_own_stacks``; the kernel is its first image.
        changes: what is known of it besides.
        calls: the bytes at its calls, as ``weigh`` says.
        setting: that of the kernel.
    """
    work = _Work(graph, changes, setting)
    faulting = fault_places(graph)
    traps = work.traps
    fixup = work.term(FIXUP, On.TASK, traps.fault, without=_BRINGS_IN)
    # A fault that is fixed up may come on top of the handler of one that brings a page in.
    fault = work.term(FAULT, On.TASK, traps.fault, faulting=faulting, above=fixup)
    terms = [fault, *work.on_task()]
    # The other stacks: no page is brought in there.
    for stack in setting.stacks:
        if stack.on != On.TASK:
            terms.append(fixup._replace(on=stack.on))
        if stack.on in _INTERRUPTIBLE[1:]:
            terms.append(work.term(INTERRUPT, stack.on, traps.interrupts, without=_PREEMPT))
    return Interruptions(terms, faulting, with_faults(calls, faulting, fault))


def with_faults(calls: Calls, faulting: Mask, fault: Term) -> Calls:
    """The calls with a fault at the end of each chain that ends in a function that may meet one."""
    least = np.where(faulting & (calls.least >= 0), calls.least + fault.least, calls.least)
    most = np.where(faulting, np.minimum(calls.most + fault.most, NO_LIMIT), calls.most)
    why = np.where(faulting, calls.why | np.uint32(fault.why), calls.why)
    return replace(calls, least=least, most=most, why=why.astype(np.uint32))


class _Work:
    """Works out terms; chains are worked out once for each set of calls that is left out."""

    def __init__(self, graph: Graph, changes: Changes, setting: Setting) -> None:
        self.graph, self.changes, self.setting = graph, changes, setting
        self.traps = setting.traps
        self.instead = switched(graph).instead
        self._known: dict[tuple[bool, tuple[str, ...]], Depths] = {}

    def on_task(self) -> list[Term]:
        """What interrupts a task's stack besides page faults."""
        traps = self.traps
        handlers = traps.interrupts
        own = on_own_stack(self.setting.stacks, On.IRQ) != On.TASK
        if traps.switched and own:
            handlers = ()
        terms = [
            self.term(INTERRUPT, On.TASK, (*handlers, *_PREEMPT), instead=own),
            self.term(WARNING, On.TASK, traps.warning, instead=own, given="diagnostics"),
        ]
        if len(self.rows(_PREEMPT)):
            terms.append(self.term(PREEMPTING, On.TASK, handlers, instead=own, without=_PREEMPT))
        if on_own_stack(self.setting.stacks, On.SOFTIRQ) == On.TASK:
            terms.append(self.term(SOFTIRQ, On.TASK, handlers, instead=own, without=_PREEMPT))
        for name, given in traps.nested.items():
            if len(self.rows((name,))):
                terms.append(self.term(name, On.TASK, (name,), instead=own, given=given))
        return terms

    def rows(self, patterns: tuple[str, ...]) -> Indices:
        """The kernel's functions of some names."""
        address = self.setting.functions.with_names(*patterns)[0]
        found = function_at(self.graph.frames[0], address)
        return np.unique(found[found >= 0])

    def term(
        self,
        name: str,
        on: On,
        handlers: tuple[str, ...],
        *,
        given: str = "",
        instead: bool = False,
        without: tuple[str, ...] = (),
        faulting: Mask | None = None,
        above: Term | None = None,
    ) -> Term:
        """A term by the deepest of its handlers.

        Args:
            name, on, given: as in ``Term``.
            handlers: patterns of names.
            instead: whether the calls are left out that are made on another stack.
            without: functions that it does not get to.
            faulting, above: functions that another term may come on top of, and that term.
        """
        rows = np.setdiff1d(self.rows(handlers), self.rows(self.traps.from_user))
        without += _TO_USER
        if not len(rows):
            pushed = self.traps.inside
            return Term(name, on, pushed, pushed, 0, -1, pushed, given, self.traps.source)
        if faulting is None or above is None:
            depths = self._depths(instead, without)
        else:
            depths = deepest(with_faults(self._calls(instead, without), faulting, above))
        most, least = depths.most[rows], depths.least[rows]
        at = int(np.argmax(np.where(most < NO_LIMIT, most, NO_LIMIT + np.maximum(least, 0))))
        why = int(np.bitwise_or.reduce(depths.why[rows]))
        pushed = self.traps.inside
        return Term(
            name,
            on,
            pushed + max(int(least.max()), 0),
            min(pushed + int(most.max()), NO_LIMIT),
            why,
            int(rows[at]),
            pushed,
            given,
            self.traps.source,
        )

    def _depths(self, instead: bool, without: tuple[str, ...]) -> Depths:
        key = (instead, without)
        if key not in self._known:
            self._known[key] = deepest(self._calls(instead, without))
        return self._known[key]

    def _calls(self, instead: bool, without: tuple[str, ...]) -> Calls:
        graph, changes = self.graph, self.changes
        if instead:
            graph = replace(graph, elsewhere=graph.elsewhere | self.instead)
        if len(self.rows(without)):
            never = np.isin(changes.edges.callee, self.rows(without))
            edges = type(changes.edges)(
                changes.edges.site[~never],
                changes.edges.callee[~never],
                changes.edges.reason[~never],
            )
            changes = replace(changes, edges=edges)
        return weigh(graph, changes)
