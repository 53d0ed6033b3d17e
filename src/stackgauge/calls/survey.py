"""How deep the stacks of a kernel get: graph, assumptions and deepest chains put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from stackgauge.calls.annotations import IGNORED_SETS, Rule, Statement, ignored, shipped
from stackgauge.calls.applied import apply_rules
from stackgauge.calls.deepest import deepest
from stackgauge.calls.depths import Depths, status
from stackgauge.calls.entries import graph_entries
from stackgauge.calls.graph import Graph
from stackgauge.calls.interruptions import interruptions
from stackgauge.calls.listing import Listed, OnTop, list_depths, merged
from stackgauge.calls.model import Indices, Reason
from stackgauge.calls.phases import of_boot, preempting
from stackgauge.calls.phases import without as without_functions
from stackgauge.calls.reasons import Reasons
from stackgauge.calls.starts import Start, entry_starts, stack_name
from stackgauge.calls.toward import toward
from stackgauge.calls.weights import weigh
from stackgauge.errors import UsageError
from stackgauge.evidence.table import NO_LIMIT
from stackgauge.kernel.entries import Setting, setting_of
from stackgauge.kernel.identity import Identity
from stackgauge.kernel.stacks import stacks

# The entry points of which some run while the kernel boots, and not afterwards.
_AT_BOOT = ("initcall", "boot")

# What can be left out besides edges of a reason: what is known of recursion.
RECURSION, ANNOTATED = "recursion", "annotated"
LAYERS = (*(one.name.lower() for one in Reason if one > Reason.TAIL), RECURSION)


# Said of all depths of which what comes on top is not told.
_ON_TOP = "not counted: interrupts, exceptions and faults that come on top, on the same stack"


def check_options(ignore: Iterable[str], without: Iterable[str]) -> None:
    """Refuse sets and layers that there are not.

    Raises:
        UsageError: there is no such set or layer.
    """
    for kind, given, known in (("set", ignore, IGNORED_SETS), ("layer", without, LAYERS)):
        for name in given:
            if name not in known:
                raise UsageError(f"no {kind} is called {name!r}; there is {', '.join(known)}")


def reasons_of(layers: Collection[str]) -> list[Reason]:
    """The reasons of edges that layers of LAYERS stand for."""
    return [one for one in Reason if one.name.lower() in layers]


class Survey:
    """The depths of a graph's functions under some assumptions."""

    def __init__(
        self,
        graph: Graph,
        kernel: Identity,
        *,
        annotations: Sequence[Rule] = (),
        ignore: Sequence[str] = (),
        without: Collection[str] = (),
    ) -> None:
        """Work out the deepest chains.

        Args:
            graph: the graph.
            kernel: what kernel its first image is.
            annotations: what the user knows of it.
            ignore: sets of functions whose calls are left out: see ``annotations.ignored``.
            without: layers to leave out, of LAYERS.

        Raises:
            UsageError: there is no such set or layer.
            InputError: an annotation speaks of a function that is not there.
        """
        self.graph, self.kernel, self.ignore = graph, kernel, tuple(ignore)
        check_options(ignore, without)
        self.without = tuple(without)
        rules = [*annotations, *shipped("recursion"), *shipped("calls")]
        if RECURSION in without:
            rules = [one for one in rules if one.statement is not Statement.RECURSION]
        if ANNOTATED in without:
            rules = [one for one in rules if one.statement is Statement.RECURSION]
        for name in self.ignore:
            rules += ignored(name)
        self.applied = apply_rules(graph, self.names, rules, reasons_of(without))
        changes = self.applied.changes
        edges = without_functions(graph, changes.edges, preempting(graph))
        self._booting = replace(changes, edges=edges)
        self._boot = of_boot(graph)
        self.changes = replace(changes, edges=without_functions(graph, edges, self._boot))
        self.depths = deepest(weigh(graph, self.changes))

    @cached_property
    def at_boot(self) -> Depths:
        """The depths while the kernel boots, when the code of its .init sections is there."""
        return deepest(weigh(self.graph, self._booting))

    @cached_property
    def names(self) -> list[str]:
        """The names of all functions; of one without a name its address."""
        names = self.graph.names(np.arange(len(self.graph)))
        start = np.concatenate([one.functions.start for one in self.graph.frames])
        # A loop over functions without a name alone.
        for row in [at for at, name in enumerate(names) if not name]:
            names[row] = f"{int(start[row]):#x}"
        return names

    @cached_property
    def entries(self) -> list[Start]:
        """The entry points of all images."""
        frames = self.graph.frames
        if not frames:
            return []
        found = graph_entries(self.graph, self._setting)
        has = stacks(frames[0].image, self.kernel.thread_size)
        return entry_starts(self.graph, self.depths.calls, found, has)

    @property
    def notes(self) -> list[str]:
        """What all depths leave out or assume, in words."""
        used = Counter[Statement]()
        for rule, times in self.applied.used.items():
            used[rule.statement] += times
        notes = []
        if used[Statement.IGNORE]:
            sets = ", ".join(self.ignore)
            notes.append(f"ignored: {sets}: {used[Statement.IGNORE]} calls left out")
        if used[Statement.RECURSION]:
            notes.append(f"recursion: bounds known of {used[Statement.RECURSION]} functions")
        if used[Statement.CALL] or used[Statement.NEVER]:
            added, never = used[Statement.CALL], used[Statement.NEVER]
            notes.append(f"annotations: {added} calls added, {never} left out")
        if self.without:
            notes.append(f"left out: what is known by {', '.join(self.without)}")
        return [*notes, _ON_TOP]

    @cached_property
    def on_top(self) -> list[OnTop]:
        """What may come on top of chains, on the same stack; it is in none of the depths."""
        terms = interruptions(self.graph, self.changes, self.depths.calls, self._setting).terms
        return [
            OnTop(
                name=one.name,
                stack=stack_name(one.on),
                depth=one.most if one.most < NO_LIMIT else one.least,
                status=status(one.why),
                function=self.names[one.handler] if one.handler >= 0 else "",
                given=one.given,
            )
            for one in terms
        ]

    @cached_property
    def _setting(self) -> Setting:
        kernel = self.graph.frames[0]
        return setting_of(kernel.image, kernel.contents)

    @property
    def every(self) -> list[Start]:
        """All functions as where a chain may begin."""
        return [Start(row) for row in np.flatnonzero(self.graph.whole).tolist()]

    def called(self, name: str) -> Indices:
        """The functions of a name.

        Raises:
            UsageError: there is none.
        """
        rows = self.graph.find(name)
        if not len(rows):
            raise UsageError(f"no function is called {name!r}")
        return rows

    def list(
        self,
        starts: Sequence[Start],
        *,
        to: Indices | None = None,
        top: int | None = None,
        chains: bool = False,
    ) -> Listed:
        """The depths from some functions on, the deepest first.

        What begins while the kernel boots is listed as it is then, all else as it is afterwards.

        Args:
            starts: where chains begin.
            to: the functions that they have to lead to; else they end anywhere.
            top: how many to list at most.
            chains: whether to list the chains as well.
        """
        early = [one for one in starts if one.entry in _AT_BOOT or self._boot[one.function]]
        later = [
            one for one in starts if one.entry not in _AT_BOOT and not self._boot[one.function]
        ]
        parts = []
        for part, whole in ((early, "at_boot"), (later, "depths")):
            if part:
                parts.append(self._list(part, getattr(self, whole), to, top, chains))
        return merged(parts, top)

    def _list(
        self,
        starts: Sequence[Start],
        whole: Depths,
        to: Indices | None,
        top: int | None,
        chains: bool,
    ) -> Listed:
        depths = whole if to is None else deepest(toward(whole.calls, to, whole.why))
        reasons = Reasons(depths, self.names, self.applied.bounds, self.ignore, whole)
        return list_depths(self.graph, depths, starts, self.names, reasons, top=top, chains=chains)
