"""The deepest chain below each function.

A chain's depth is the sum of the depths at its call sites and of its last function's frame. Where
functions call each other in a circle there is no longest chain, and finding the longest one that
enters no function twice is NP-hard; so two figures are worked out that hold whatever it is:

- ``least`` is a chain that exists: in circles it takes only the calls that do not lead back in one
  depth-first walk (``Components.finish``).
- ``most`` is a bound. In a circle there is one only if some functions are known to be entered so
  many times at most, and without these no circle is left. A chain is cut where it enters them:
  what lies between two cuts is a path of a graph without circles, and there are so many at most.

Both are longest paths in graphs without circles, so all functions are worked out at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.components import Components, components
from stackgauge.calls.depths import AT_LEAST, Calls, Depths, Paths, Why
from stackgauge.calls.sweep import (
    NO_EDGE,
    NOWHERE,
    Dag,
    Indices,
    Sizes,
    arrange,
    followed,
    gathered,
    levels,
    longest,
)
from stackgauge.evidence.table import NO_LIMIT

Mask = NDArray[np.bool_]


def deepest(calls: Calls) -> Depths:
    """Work out the deepest chains of all functions."""
    count = len(calls)
    # Jumps that take no stack may go in a circle for ever: these functions are one.
    free = calls.most_at == 0
    node = components(count, calls.caller[free], calls.callee[free]).label
    known = calls.times > 0
    mixed = np.zeros((2, count), bool)
    mixed[known.astype(np.intp), node] = True
    part = (mixed[0] & mixed[1])[node]
    if part.any():
        # But not with a function whose times are known, which they would no longer be.
        free &= ~(part & known)[calls.callee]
        node = components(count, calls.caller[free], calls.callee[free]).label
    call = np.flatnonzero(~free | (node[calls.caller] != node[calls.callee]))
    joined = _joined(calls, node, call)
    found = components(count, joined.caller, joined.callee)
    label = found.label
    inner = label[joined.caller] == label[joined.callee]
    circle = np.zeros(count, bool)
    circle[label[joined.caller[inner]]] = True
    turns = _turns(joined, label, inner, circle)
    rest = np.ones(count, bool)
    rest[turns.inside] = False
    joined.most[circle[label] & rest] = NO_LIMIT
    outer = ~inner
    order = arrange(count, label[joined.caller[outer]], label[joined.callee[outer]])
    own_why = np.where(circle[label], np.where(rest, Why.CIRCLE, Why.RECURSION), 0)[node]
    return Depths(
        calls=calls,
        label=label[node],
        circle=circle[label][node],
        node=node,
        own_why=calls.why | own_why.astype(np.uint32),
        lowest=_lowest(joined, found, inner, call),
        highest=_highest(joined, label, inner, turns, call, order),
        between=turns.between._replace(call=call[turns.between.call]),
        inside=turns.inside,
        rounds=turns.rounds,
        order=order,
    )


def _joined(calls: Calls, node: Indices, call: Indices) -> Calls:
    """The calls between nodes; a node that stands for no function has none and no size.

    A node of several functions has the largest frame of them, and is entered as often as all of
    them together.
    """
    count = len(calls)
    most = np.where(calls.why & np.uint32(AT_LEAST), NO_LIMIT, calls.most)
    sizes = np.full((2, count), NOWHERE, np.int64)
    np.maximum.at(sizes[0], node, calls.least)
    np.maximum.at(sizes[1], node, most)
    times = np.zeros(count, np.int64)
    np.add.at(times, node, calls.times)
    times[node[calls.times == 0]] = 0
    return Calls(
        least=sizes[0],
        most=sizes[1],
        why=calls.why,
        times=times,
        caller=node[calls.caller[call]],
        callee=node[calls.callee[call]],
        least_at=calls.least_at[call],
        most_at=calls.most_at[call],
    )


def _paths(source: Indices, target: Indices, added: Sizes, call: Indices, own: Sizes) -> Paths:
    dag = arrange(len(own), source, target)
    size = longest(dag, own, added)
    return Paths(size, followed(dag, size, own, added), target, added, call)


def _lowest(joined: Calls, found: Components, inner: Mask, call: Indices) -> Paths:
    """Chains that exist: each takes no call that leads back."""
    back = inner & (found.finish[joined.callee] >= found.finish[joined.caller])
    kept = np.flatnonzero(~back)
    return _paths(
        joined.caller[kept], joined.callee[kept], joined.least_at[kept], call[kept], joined.least
    )


class _Turns(NamedTuple):
    """How circles that have a bound go round.

    Attributes:
        inside: the functions in them, ascending.
        rounds: their labels, ascending.
        known: the functions of ``inside`` that are entered so many times at most.
        kept: mask of the calls inside these circles that do not enter such a function.
        between: the longest path from each function of ``inside`` up to a call that does; those
            calls lead to a node of their own, the last.
        total: for each label in ``rounds`` the bytes of going round as often as can be.
    """

    inside: Indices
    rounds: Indices
    known: Indices
    kept: Mask
    between: Paths
    total: Sizes


def _turns(joined: Calls, label: Indices, inner: Mask, circle: Mask) -> _Turns:
    """Cut circles where they enter functions whose times are known.

    Args:
        joined: all calls.
        label: which component each function is in.
        inner: mask of the calls inside circles.
        circle: mask of the labels whose functions form a circle.
    """
    count = len(joined)
    cut = inner & (joined.times[joined.callee] > 0)
    kept = inner & ~cut
    level = levels(count, joined.caller[kept], joined.callee[kept])
    bounded = circle.copy()
    bounded[label[level < 0]] = False
    inside = np.flatnonzero(bounded[label])
    rounds = np.flatnonzero(bounded)
    known = inside[joined.times[inside] > 0]
    part = np.flatnonzero(inner & bounded[label[joined.caller]])
    own = np.full(count + 1, NOWHERE, np.int64)
    own[count] = 0
    target = np.where(cut[part], count, joined.callee[part])
    between = _paths(joined.caller[part], target, joined.most_at[part], part, own)
    total = np.zeros(len(rounds), np.int64)
    turn = np.minimum(joined.times[known] * between.size[known], NO_LIMIT)
    np.add.at(total, np.searchsorted(rounds, label[known]), turn)
    kept &= bounded[label[joined.caller]]
    return _Turns(inside, rounds, known, kept, between, np.minimum(total, NO_LIMIT))


def _highest(
    joined: Calls, label: Indices, inner: Mask, turns: _Turns, call: Indices, order: Dag
) -> Paths:
    """Bounds.

    A function in a circle is two nodes: one as the circle's own calls see it, from where a path
    goes on up to the next cut, and one as all others do, with what going round may add. It goes
    round by a node of its circle: up to a first function whose times are known, then round, and
    then from one of these to the end, which takes the place of one round from there.
    """
    count, inside, known = len(joined), turns.inside, turns.known
    within = np.full(count, NO_EDGE, np.intp)
    within[inside] = count + np.arange(len(inside))
    place = np.searchsorted(turns.rounds, label)
    circle = count + len(inside) + place
    # What leads to something without a limit has none, whatever else it leads to.
    endless = np.zeros(count, bool)
    endless[label[joined.most >= NO_LIMIT]] = True
    endless = gathered(order, np.logical_or, endless)[label]
    chosen = np.flatnonzero((~inner | turns.kept) & ~endless[joined.caller])
    most = np.where(endless, NO_LIMIT, joined.most)
    caller, callee = joined.caller[chosen], joined.callee[chosen]
    begin = np.where(within[caller] >= 0, within[caller], caller)
    end = np.where(inner[chosen], within[callee], callee)
    ahead = np.where(joined.times[inside] > 0, 0, turns.between.size[inside])
    total = turns.total[place[known]]
    others = np.where(total < NO_LIMIT, total - turns.between.size[known], NO_LIMIT)
    own = np.full(count + len(inside) + len(turns.rounds), NOWHERE, np.int64)
    own[:count] = most
    own[inside] = NOWHERE
    own[within[inside]] = most[inside]
    bound = np.full(2 * len(inside) + len(known), NO_EDGE, np.intp)
    return _paths(
        np.concatenate([begin, inside, inside, circle[known]]),
        np.concatenate([end, within[inside], circle[inside], within[known]]),
        np.concatenate([joined.most_at[chosen], np.zeros(len(inside), np.int64), ahead, others]),
        np.concatenate([call[chosen], bound]),
        own,
    )
