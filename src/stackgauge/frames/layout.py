"""A frame divided among what lies in it: each byte is counted once, whoever else lies there too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.frames.variables import Span

# How many of the others that lie in the same bytes are told.
MOST_OTHERS = 32


class What(Enum):
    """What bytes of a frame are; the values are what users read."""

    RETURN = "return address"
    SAVED = "saved register"
    CANARY = "canary"
    VARIABLE = "variable"
    SPILL = "spill"
    """A variable that lies in a register most of the time, or what one is computed from."""
    ARGUMENT = "outgoing argument"
    LINKAGE = "linkage area"
    """What the ABI has at the bottom of each frame, for the functions that are called."""
    PADDING = "padding"
    """Less than a word between others, so that nothing that was moved to the stack fits in."""
    UNNAMED = "unnamed"
    """What nothing tells of: the compiler's own temporaries, and room between others."""


@dataclass(frozen=True)
class Item:
    """Something that lies in the frame.

    Attributes:
        what: what it is.
        span: where, as a distance from the frame's top.
        key: the same for items that one declaration in the source brings, such as a variable of
            a function that is inlined twice.
    """

    what: What
    span: Span
    key: object


class Run(NamedTuple):
    """Bytes of the frame that have one owner.

    Attributes:
        span: which.
        what: what they are.
        owner: the item that is counted for them, an index; -1 for none.
        others: other items that lie there, the first MOST_OTHERS.
    """

    span: Span
    what: What
    owner: int
    others: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """A divided frame.

    Attributes:
        runs: from the top of the frame down.
        alone: by key, how many bytes nothing but items of that key take.
    """

    runs: tuple[Run, ...]
    alone: dict[object, int]


def lay_out(items: Sequence[Item], size: int, word: int) -> Layout:
    """Divide a frame.

    Args:
        items: what lies in it; where several do, the first is counted.
        size: the frame's bytes, which lie right below 0.
        word: bytes of a register.
    """
    inside = [
        (max(item.span.offset, -size), min(item.span.offset + item.span.size, 0)) for item in items
    ]
    low, high = np.array(inside, np.int64).reshape(-1, 2).T
    some = low < high
    # Between neighbouring bounds the frame is the same to all items.
    cuts = np.unique(np.concatenate([[-size, 0], low[some], high[some]]))
    first, last = np.searchsorted(cuts, low), np.searchsorted(cuts, high)
    owner = np.full(max(len(cuts) - 1, 0), -1)
    # A loop over the items of one function, since the first counts.
    for index in np.flatnonzero(some).tolist():
        part = owner[first[index] : last[index]]
        part[part < 0] = index
    return Layout(
        runs=tuple(_runs(items, cuts, owner, low, high, word)[::-1]),
        alone=_alone(items, np.diff(cuts), first, last),
    )


def _alone(
    items: Sequence[Item],
    sizes: NDArray[np.int64],
    first: NDArray[np.intp],
    last: NDArray[np.intp],
) -> dict[object, int]:
    """How many bytes each key's items have for themselves, given each item's segments."""
    by_key: dict[object, NDArray[np.bool_]] = {}
    for item, begin, end in zip(items, first.tolist(), last.tolist(), strict=True):
        by_key.setdefault(item.key, np.zeros(len(sizes), bool))[begin:end] = True
    count = np.zeros(len(sizes), np.int64)
    for taken in by_key.values():
        count += taken
    return {key: int(sizes[taken & (count == 1)].sum()) for key, taken in by_key.items()}


def _runs(
    items: Sequence[Item],
    cuts: NDArray[np.int64],
    owner: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    word: int,
) -> list[Run]:
    """Segments with the same owner that follow each other made one; from the bottom up."""
    if not len(owner):
        return []
    first = np.flatnonzero(np.append(True, np.diff(owner) != 0))
    last = np.append(first[1:], len(owner))
    runs = []
    for begin, end in zip(cuts[first].tolist(), cuts[last].tolist(), strict=True):
        index = int(owner[np.searchsorted(cuts, begin)])
        if index < 0:
            runs += _gap(begin, end, word)
            continue
        others = np.flatnonzero((low < end) & (high > begin))[: MOST_OTHERS + 1].tolist()
        runs.append(
            Run(
                Span(begin, end - begin),
                items[index].what,
                index,
                tuple(each for each in others if each != index)[:MOST_OTHERS],
            )
        )
    return runs


def _gap(low: int, high: int, word: int) -> list[Run]:
    """Bytes that nothing claims: what is less than an aligned word is padding."""
    first, last = -(-low // word) * word, high // word * word
    if first >= last:
        first = last = high
    parts = ((low, first, What.PADDING), (first, last, What.UNNAMED), (last, high, What.PADDING))
    return [Run(Span(at, to - at), what, -1, ()) for at, to, what in parts if at < to]
