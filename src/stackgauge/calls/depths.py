"""What the deepest chains are worked out from, and what comes out: columns over functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.sweep import Dag, Indices, Sizes, gathered
from stackgauge.evidence.table import NO_LIMIT

Flags = NDArray[np.uint32]


class Why(IntFlag):
    """What a depth assumes, or why it is no bound; by ascending weight."""

    TABLE = 1 << 0
    """A call is taken to reach what static data stores in that field."""
    TYPE = 1 << 1
    """A call is taken to reach the functions of its prototype."""
    ANNOTATED = 1 << 2
    """A file of annotations says what is called, or what never is."""
    IGNORED = 1 << 3
    """A call was left out because the user said so."""
    RECURSION = 1 << 4
    """A circle is taken to go round no more than so many times."""
    NO_LIMIT = 1 << 5
    """A frame is as large as data makes it."""
    UNKNOWN_FRAME = 1 << 6
    """How large a frame is could not be told."""
    OUTSIDE = 1 << 7
    """What is called is not in these images."""
    UNRESOLVED = 1 << 8
    """It is not known what a call through a pointer reaches."""
    CIRCLE = 1 << 9
    """Functions call each other, as often as data makes them."""


ASSUMED = Why.TABLE | Why.TYPE | Why.ANNOTATED | Why.IGNORED | Why.RECURSION
AT_LEAST = Why.NO_LIMIT | Why.UNKNOWN_FRAME | Why.OUTSIDE | Why.UNRESOLVED

# What a depth can be worth, the best first.
STATUSES = ("bounded", "assumed", "at-least", "unbounded")


def status(why: int) -> str:
    """``bounded``, ``assumed``, ``at-least`` or ``unbounded``: what a depth with Why is worth."""
    if why & Why.CIRCLE:
        return "unbounded"
    if why & AT_LEAST:
        return "at-least"
    return "assumed" if why & ASSUMED else "bounded"


@dataclass(frozen=True, eq=False)
class Calls:
    """What the deepest chains are worked out from: n functions and m calls.

    Attributes:
        least, most: each function's own frame in bytes, (n,) int64; NOWHERE where no chain may
            end, and NO_LIMIT for a ``most`` that is not known.
        why: Why, of the function itself and of its calls, (n,) uint32.
        times: how many times each function is on one stack at most, (n,) int64; 0 where nothing
            is known.
        caller, callee: rows of functions, (m,) intp.
        least_at, most_at: the bytes that a call adds to the callee's depth, (m,) int64, not
            negative: the depth at the site, of a jump less what the callee counts as well.
    """

    least: Sizes
    most: Sizes
    why: Flags
    times: Sizes
    caller: Indices
    callee: Indices
    least_at: Sizes
    most_at: Sizes

    def __len__(self) -> int:
        """How many functions there are."""
        return len(self.least)


class Paths(NamedTuple):
    """Longest paths over nodes, of which the first n are the functions.

    Attributes:
        size: of the longest path from each node, int64.
        first: the edge that it begins with, NO_EDGE where it ends; intp.
        target: where each edge leads, intp.
        added: the bytes of each edge, int64.
        call: the call that each edge is; NO_EDGE of one that only binds the graph together; intp.
    """

    size: Sizes
    first: Indices
    target: Indices
    added: Sizes
    call: Indices


@dataclass(frozen=True, eq=False)
class Depths:
    """The deepest chains of n functions.

    Attributes:
        calls: what they were worked out from.
        label: the smallest function of those that each calls in a circle, (n,) intp.
        circle: mask of the functions that call each other, or themselves, and take stack, (n,).
        node: which function stands for each in the paths: itself, but where functions jump to
            each other in a circle without taking stack, the smallest of them; (n,) intp.
        own_why: Why, of each function's own, circles included, (n,) uint32.
        lowest: chains that exist.
        highest: bounds; a size of NO_LIMIT is none. Its nodes are n functions, then those of
            ``inside``, then those of ``rounds``.
        between: the longest paths inside circles up to the next function whose times are known.
        inside: the functions in circles that have a bound, as the circle's own calls see them.
        rounds: the labels of these circles; an edge from such a node has the bytes of going round.
        order: the labels' graph.
    """

    calls: Calls
    label: Indices
    circle: NDArray[np.bool_]
    node: Indices
    own_why: Flags
    lowest: Paths
    highest: Paths
    between: Paths
    inside: Indices
    rounds: Indices
    order: Dag

    @property
    def least(self) -> Sizes:
        """The bytes of one chain from each function that exists, (n,)."""
        return self.lowest.size[self.node]

    @property
    def most(self) -> Sizes:
        """The bytes that no chain from each function exceeds, (n,), or NO_LIMIT."""
        return self.highest.size[self.node]

    @cached_property
    def why(self) -> Flags:
        """Why, of all that each function leads to, (n,) uint32."""
        own = np.zeros(len(self.calls), np.uint32)
        np.bitwise_or.at(own, self.label, self.own_why)
        return gathered(self.order, np.bitwise_or, own)[self.label]

    @cached_property
    def witness(self) -> NDArray[np.int32]:
        """For each function and bit of Why the smallest function below that has it, (n, bits).

        n where there is none.
        """
        count, bits = len(self.calls), len(Why)
        has = (self.own_why[:, None] >> np.arange(bits, dtype=np.uint32)) & 1
        own = np.full((count, bits), count, np.int32)
        rows = np.where(has == 1, np.arange(count, dtype=np.int32)[:, None], np.int32(count))
        np.minimum.at(own, self.label, rows)
        return gathered(self.order, np.minimum, own)[self.label]

    @property
    def depth(self) -> Sizes:
        """The figure to print: ``most`` where there is one, else ``least``, (n,)."""
        return np.where(self.most < NO_LIMIT, self.most, self.least)
