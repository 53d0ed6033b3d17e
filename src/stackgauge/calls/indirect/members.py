"""Which functions each field and each argument can hold, as far as data and code show it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

# Copies from field to field in a row.
_MOST_ROUNDS = 64

_ARGUMENT_BITS = 4


class Members(NamedTuple):
    """Pairs of a place and a function that it can hold, sorted by place, each once.

    Attributes:
        place: a field by ``field_key``, or an argument by ``argument_place``, int64.
        function: intp.
    """

    place: Numbers
    function: Indices


def argument_place(function: Indices, argument: Numbers) -> Numbers:
    """One number for a function's argument, apart from those of fields: below 0."""
    return -((function.astype(np.int64) << _ARGUMENT_BITS) + argument) - 1


def gather(place: Numbers, function: Indices, into: Numbers, source: Numbers) -> Members:
    """Put functions into places, and what places hold into those that they are copied to.

    Args:
        place, function: what is put where, columns of one length.
        into, source: a place, and another one that is copied to it; columns of one length.
    """
    pairs = _unique(place, function)
    order = np.argsort(source, kind="stable")
    into, source = into[order], source[order]
    fresh = pairs
    for _ in range(_MOST_ROUNDS):
        low = np.searchsorted(source, fresh.place)
        many = np.searchsorted(source, fresh.place, "right") - low
        at = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many - low, many)
        if not len(at):
            break
        before = len(pairs.place)
        fresh = _unique(into[at], np.repeat(fresh.function, many))
        pairs = _unique(
            np.concatenate([pairs.place, fresh.place]),
            np.concatenate([pairs.function, fresh.function]),
        )
        if len(pairs.place) == before:
            break
    return pairs


def _unique(place: Numbers, function: Indices) -> Members:
    order = np.lexsort((function, place))
    place, function = place[order], function[order]
    keep = np.ones(len(place), bool)
    keep[1:] = (place[1:] != place[:-1]) | (function[1:] != function[:-1])
    return Members(place[keep], function[keep])


def holding(members: Members, place: Numbers) -> tuple[Indices, Indices]:
    """The members of some places: pairs of an index into ``place`` and a function."""
    low = np.searchsorted(members.place, place)
    many = np.searchsorted(members.place, place, "right") - low
    lane = np.repeat(np.arange(len(place)), many)
    at = np.arange(len(lane)) - np.repeat(np.cumsum(many) - many - low, many)
    return lane, members.function[at]
