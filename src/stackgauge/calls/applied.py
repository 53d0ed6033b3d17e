"""Annotations put to a call graph: which of its functions and edges each one speaks of."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.annotations import POINTERS, Rule, Statement
from stackgauge.calls.depths import Why
from stackgauge.calls.graph import Graph
from stackgauge.calls.model import Edges, Indices, Kind, Reason
from stackgauge.calls.weights import Changes
from stackgauge.errors import InputError
from stackgauge.frames.functions import origin

_WILD = re.compile(r"[*?\[]")

# How many calls one annotation may add: more are a mistake, and would take all memory.
_MOST_CALLS = 5_000_000

# Up to so many functions the edges of each are looked up by themselves.
_FEW = 100

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Applied:
    """What became of annotations.

    Attributes:
        changes: what they change of the graph.
        used: how many calls each rule has added or left out, or functions it has bounded; only
            those that have any.
        bounds: for each function that a recursion bounds the rule that does.
    """

    changes: Changes
    used: dict[Rule, int] = field(default_factory=dict)
    bounds: dict[int, Rule] = field(default_factory=dict)


class _Names:
    """The functions that rules speak of, by name."""

    def __init__(self, graph: Graph, names: Sequence[str], rules: Sequence[Rule]) -> None:
        patterns = {one.callee for one in rules} | {one.caller for one in rules}
        wanted = {one for one in patterns if not _WILD.search(one)}
        self.names, self.count = names, len(graph)
        # Loops over the strings of all functions, to find the few that are wanted. What is no
        # function of its own has a name with a dot and is thrown out at the end.
        self.rows: dict[str, list[int]] = {}
        for row in [row for row, name in enumerate(names) if name in wanted]:
            self.rows.setdefault(names[row], []).append(row)
        self.clones = {row: origin(name) for row, name in enumerate(names) if "." in name}
        for row, name in self.clones.items():
            if name in wanted:
                self.rows.setdefault(name, []).append(row)
        self.whole = graph.whole

    def mask(self, pattern: str, rule: Rule) -> Mask:
        """The functions that a pattern matches, (n,).

        Raises:
            InputError: there is none, and that is a mistake.
        """
        if pattern in ("*", POINTERS):
            return self.whole
        result = np.zeros(self.count, bool)
        if _WILD.search(pattern):
            matches = re.compile(fnmatch.translate(pattern)).match
            result[[row for row, name in enumerate(self.names) if matches(name)]] = True
            result[[row for row, name in self.clones.items() if name and matches(name)]] = True
        else:
            result[self.rows.get(pattern, [])] = True
        result &= self.whole
        if rule.strict and not result.any():
            raise InputError(rule.where, f"no function is called {pattern!r}")
        return result


def apply_rules(
    graph: Graph, names: Sequence[str], rules: Sequence[Rule], without: Collection[Reason] = ()
) -> Applied:
    """Work out what annotations say of a graph.

    Args:
        graph: the graph.
        names: of all its functions.
        rules: the annotations. Where several bound the same function, the smallest counts.
        without: reasons whose edges are left out; what these would close stays open.

    Raises:
        InputError: a pattern of a user's file matches no function.
    """
    edges, closed = _without(graph, without)
    work = _Work(graph, edges, closed.copy(), _Names(graph, names, rules))
    for rule in rules:
        work.put(rule)
    return work.applied()


def _without(graph: Graph, reasons: Collection[Reason]) -> tuple[Edges, Mask]:
    dropped = np.isin(graph.edges.reason, list(reasons))
    closed = graph.closed.copy()
    closed[graph.edges.site[dropped]] = False
    return _take(graph.edges, ~dropped), closed


def _take(edges: Edges, which: Mask) -> Edges:
    return Edges(edges.site[which], edges.callee[which], edges.reason[which])


class _Work:
    """The changes so far. A loop over rules, each put to all sites and edges at once."""

    def __init__(self, graph: Graph, edges: Edges, closed: Mask, names: _Names) -> None:
        self.graph, self.edges, self.closed, self.names = graph, edges, closed, names
        self.indirect = np.isin(graph.sites.kind, (Kind.INDIRECT_CALL, Kind.INDIRECT_TAIL))
        # What annotations close is open to the other annotations of the same sites.
        self.open = ~closed & self.indirect
        self.why = np.zeros(len(graph), np.uint32)
        self.times = np.zeros(len(graph), np.int64)
        self.kept = np.ones(len(edges), bool)
        self.new: list[tuple[Indices, Indices]] = []
        self.added: list[tuple[Indices, Indices]] = []
        self.used: dict[Rule, int] = {}
        self.bounds: dict[int, Rule] = {}

    def put(self, rule: Rule) -> None:
        callees = self.names.mask(rule.callee, rule)
        callers = self.names.mask(rule.caller or "*", rule)
        if rule.statement is Statement.CALL:
            count = self._call(callers, callees, rule)
        elif rule.statement is Statement.RECURSION:
            count = self._recursion(callees, rule)
        else:
            count = self._cut(callers, callees, rule)
        if count:
            self.used[rule] = self.used.get(rule, 0) + count

    def _call(self, callers: Mask, callees: Mask, rule: Rule) -> int:
        function = self.graph.sites.function
        callee = np.flatnonzero(callees)
        site = np.flatnonzero(self.open & callers[function])
        caller = np.zeros(0, np.intp)
        if not _WILD.search(rule.caller):
            # One without such a site calls in a way that was not seen.
            unseen = callers.copy()
            unseen[function[site]] = False
            caller = np.flatnonzero(unseen)
        count = (len(site) + len(caller)) * len(callee)
        if count > _MOST_CALLS:
            raise InputError(rule.where, f"{rule.caller} -> {rule.callee} is {count} calls")
        self.closed[site] = True
        self.new.append((np.repeat(site, len(callee)), np.tile(callee, len(site))))
        self.added.append((np.repeat(caller, len(callee)), np.tile(callee, len(caller))))
        self.why[np.append(function[site], caller)] |= np.uint32(Why.ANNOTATED)
        return count

    def _recursion(self, functions: Mask, rule: Rule) -> int:
        better = functions & ((self.times == 0) | (self.times > rule.times))
        self.times[better] = rule.times
        for row in np.flatnonzero(better).tolist():
            self.bounds[row] = rule
        return int(better.sum())

    def _cut(self, callers: Mask, callees: Mask, rule: Rule) -> int:
        sites = self.graph.sites
        if rule.callee == POINTERS:
            edge = np.flatnonzero(self.indirect[self.edges.site])
        else:
            edge = self._edges_to(callees)
        edge = edge[self.kept[edge] & callers[sites.function[self.edges.site[edge]]]]
        self.kept[edge] = False
        why = np.uint32(Why.IGNORED if rule.statement is Statement.IGNORE else Why.ANNOTATED)
        self.why[sites.function[self.edges.site[edge]]] |= why
        if rule.callee not in ("*", POINTERS):
            return len(edge)
        open_ = ~self.closed & (self.indirect | (rule.callee == "*"))
        site = np.flatnonzero(open_ & callers[sites.function])
        self.closed[site] = True
        self.why[sites.function[site]] |= why
        return len(edge) + len(site)

    @cached_property
    def _by_callee(self) -> tuple[Indices, Indices]:
        """The edges by callee, and where those of each begin."""
        order = np.argsort(self.edges.callee, kind="stable")
        first = np.searchsorted(self.edges.callee[order], np.arange(len(self.graph) + 1))
        return order, first

    def _edges_to(self, callees: Mask) -> Indices:
        order, first = self._by_callee
        rows = np.flatnonzero(callees)
        if len(rows) > _FEW:
            return np.flatnonzero(callees[self.edges.callee])
        parts = [order[first[row] : first[row + 1]] for row in rows.tolist()]
        return np.concatenate([np.zeros(0, np.intp), *parts])

    def applied(self) -> Applied:
        edges = _take(self.edges, self.kept)
        none = np.zeros(0, np.intp)
        site = np.concatenate([none, *(pair[0] for pair in self.new)])
        callee = np.concatenate([none, *(pair[1] for pair in self.new)])
        reason = np.full(len(site), Reason.ANNOTATED, np.uint8)
        changes = Changes(
            Edges(
                np.concatenate([edges.site, site]),
                np.concatenate([edges.callee, callee]),
                np.concatenate([edges.reason, reason]),
            ),
            self.closed,
            np.concatenate([none, *(pair[0] for pair in self.added)]),
            np.concatenate([none, *(pair[1] for pair in self.added)]),
            self.why,
            self.times,
        )
        return Applied(changes, self.used, self.bounds)
