"""The chains and circles behind the figures, worked out only for those that are shown."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.depths import Depths, Paths
from stackgauge.calls.sweep import NO_EDGE
from stackgauge.image.arrays import member


class Link(NamedTuple):
    """One function of a chain.

    Attributes:
        function: its row.
        bytes: what it adds: the depth where it calls the next, or its whole frame, if it is last.
        rounds: whether these are the bytes of all further rounds through the circle that the
            function is in, and not of one call.
    """

    function: int
    bytes: int
    rounds: bool = False


class _Followed(NamedTuple):
    """The columns of Paths, as lists."""

    size: list[int]
    first: list[int]
    target: list[int]
    added: list[int]
    call: list[int]


class Chains:
    """The chains of some depths. Its columns are lists: a chain is followed call by call."""

    def __init__(self, depths: Depths) -> None:
        """Take the depths."""
        self._depths = depths
        self._node: list[int] = depths.node.tolist()
        self._caller: list[int] = depths.calls.caller.tolist()
        self._callee: list[int] = depths.calls.callee.tolist()
        self._lists: dict[int, _Followed] = {}

    def of(self, function: int, *, bounded: bool) -> list[Link]:
        """The chain that makes a function's depth, whose bytes add up to it.

        Args:
            function: where the chain begins.
            bounded: whether that of ``most`` is meant, or else that of ``least``.
        """
        return self._bound(function) if bounded else self._path(function)

    def length(self, function: int, *, bounded: bool) -> int:
        """How many links that chain has."""
        return len(self._bound(function)) if bounded else int(self._lengths[function])

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """The lengths of all chains of ``least``: each is one longer than what follows it."""
        depths, calls, paths = self._depths, self._depths.calls, self._depths.lowest
        count = len(depths.node)
        edge = paths.first[depths.node]
        ends = edge == NO_EDGE
        # Where a jump that takes nothing leads on, or ends, by another function: see _step, _ended.
        more = np.append(calls.least != paths.size[depths.node], False)
        length, after = np.append(np.ones(count, np.int64), 0), np.full(count + 1, count)
        call = paths.call[edge[~ends]]
        more[:count][~ends] = calls.caller[call] != np.flatnonzero(~ends)
        after[:count][~ends] = calls.callee[call]
        length += more
        # Twice as far each time.
        while (after != count).any():
            length, after = length + length[after], after[after]
        return length

    def _followed(self, paths: Paths) -> _Followed:
        if id(paths) not in self._lists:
            self._lists[id(paths)] = _Followed(*(column.tolist() for column in paths))
        return self._lists[id(paths)]

    def _path(self, function: int) -> list[Link]:
        links: list[Link] = []
        paths, node = self._followed(self._depths.lowest), self._node[function]
        while (edge := paths.first[node]) != NO_EDGE:
            function = self._step(links, function, paths, edge)
            node = paths.target[edge]
        return self._ended(links, function, paths.size[node], self._depths.calls.least)

    def _bound(self, function: int) -> list[Link]:
        """The same over the nodes that bounds have: see ``deepest``."""
        inside = self._depths.inside
        count = len(self._node)
        first_round = count + len(inside)
        links: list[Link] = []
        paths, node = self._followed(self._depths.highest), self._node[function]
        while (edge := paths.first[node]) != NO_EDGE:
            target = paths.target[edge]
            if paths.call[edge] != NO_EDGE:
                function = self._step(links, function, paths, edge)
            elif target >= first_round:
                # Up to the first function whose times are known, if this is not one itself.
                if paths.added[edge]:
                    function = self._up_to_known(links, function)
            elif node >= first_round:
                last = int(inside[target - count])
                if function != last:
                    # What it adds is among the rounds.
                    links.append(Link(function, 0))
                function = last
                links.append(Link(function, paths.added[edge], rounds=True))
            node = target
        return self._ended(links, function, paths.size[node], self._depths.calls.most)

    def _up_to_known(self, links: list[Link], function: int) -> int:
        paths, node = self._followed(self._depths.between), self._node[function]
        while (edge := paths.first[node]) != NO_EDGE:
            function = self._step(links, function, paths, edge)
            node = paths.target[edge]
        return function

    def _step(self, links: list[Link], function: int, paths: _Followed, edge: int) -> int:
        """Go along a call; returns the function that it leads to."""
        call = paths.call[edge]
        caller = self._caller[call]
        if caller != function:
            # It jumps there without taking stack.
            links.append(Link(function, 0))
        links.append(Link(caller, paths.added[edge]))
        return self._callee[call]

    def _ended(
        self, links: list[Link], function: int, size: int, frames: NDArray[np.int64]
    ) -> list[Link]:
        """The chain with its last function: of those that jump to each other the largest."""
        if frames[function] != size:
            same = np.flatnonzero(self._depths.node == self._depths.node[function])
            links.append(Link(function, 0))
            function = int(same[np.argmax(frames[same])])
        links.append(Link(function, size))
        return links


def circle(depths: Depths, label: int) -> list[int]:
    """A short circle, which takes stack, of the functions of a label; empty where they form none.

    One of one or two functions if there is any, else the shortest through the first call that
    takes stack; of several the first.
    """
    calls, count = depths.calls, len(depths.calls)
    inside = np.flatnonzero(depths.label[calls.caller] == label)
    inside = inside[depths.label[calls.callee[inside]] == label]
    caller, callee = calls.caller[inside], calls.callee[inside]
    takes = calls.most_at[inside] > 0
    if not takes.any():
        return []
    short = takes & member(caller * count + callee, callee * count + caller)
    chosen = int(np.flatnonzero(short if short.any() else takes)[0])
    begin, end = int(callee[chosen]), int(caller[chosen])
    return [end, *_shortest(begin, end, caller.tolist(), callee.tolist())][:-1]


def _shortest(begin: int, end: int, callers: list[int], callees: list[int]) -> list[int]:
    """The shortest way from one function to another of the same component.

    A breadth-first walk over the calls of one component, for what is printed alone.
    """
    leads: dict[int, list[int]] = {}
    for caller, callee in zip(callers, callees, strict=True):
        leads.setdefault(caller, []).append(callee)
    came: dict[int, int] = {}
    front = deque([begin])
    while begin != end and end not in came:
        one = front.popleft()
        for callee in leads.get(one, ()):
            if callee not in came:
                came[callee] = one
                front.append(callee)
    way = [end]
    while way[-1] != begin:
        way.append(came[way[-1]])
    return way[::-1]
