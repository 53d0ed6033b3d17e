"""Loops that take the stack a page at a time and touch each (-fstack-clash-protection).

GCC ends such a loop with ``cmp sp, x9; b.ne`` or, where it optimises for size, begins it with
``cmp sp, x9; b.eq``; LLVM stores between the compare and the branch. All turns together take what
the register says, so a loop is one move, and its branch back is none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64.edges import Edges
from stackgauge.isa.arm64.encoding import SP, field, matches
from stackgauge.isa.arm64.moves import Amounts
from stackgauge.isa.model import Flow
from stackgauge.isa.words import Text

# Where the compare can stand and the loop begin and end, in words from the subtraction.
_COMPARE = (-2, 1, 2, 3)
_BEGINS_BEFORE, _ENDS_AFTER = 2, 5


class Probe(NamedTuple):
    """A loop of probes.

    Attributes:
        at: the instruction that takes a page.
        register: what the stack pointer is compared with.
        exact: whether the loop is left only when the two are equal.
    """

    at: int
    register: int
    exact: bool


class Probes(NamedTuple):
    """The loops, by ascending address, and what belongs to them: masks of moves and of edges."""

    loops: list[Probe]
    moves: NDArray[np.bool_]
    edges: NDArray[np.bool_]


def find_probes(text: Text, added: Amounts, edges: Edges, most: int) -> Probes:
    """The loops of probes among additions to the stack pointer.

    Args:
        text: the code.
        added: the additions.
        edges: the direct branches.
        most: how many loops to look for.
    """
    none = Probes([], np.zeros(len(added.at), bool), np.zeros(len(edges.at), bool))
    taking = np.flatnonzero(added.value < 0)
    register = np.full(len(taking), SP, np.int64)
    exact = np.zeros(len(taking), bool)
    for away in _COMPARE:
        at = added.at[taking] + away
        compares = matches(_words(text, at), 0xFFE0FFFF, 0xEB2063FF)  # CMP SP, Xm
        register[compares] = field(_words(text, at[compares]), 16, 5)
        for after in (1, 2):  # B.EQ, B.NE
            exact[compares] |= matches(_words(text, at[compares] + after), 0xFF00001E, 0x54000000)
    loops = np.flatnonzero(register != SP)
    loops = loops[np.argsort(added.at[taking[loops]])][:most]
    if not len(loops):
        return none
    at = added.at[taking[loops]]
    turn = np.minimum(np.searchsorted(at, edges.target), len(at) - 1)
    back = (at[turn] >= edges.target) & (at[turn] - edges.target <= _BEGINS_BEFORE)
    back &= (edges.at > at[turn]) & (edges.at - at[turn] <= _ENDS_AFTER)
    back &= edges.flow != Flow.CALL
    loops = loops[np.unique(turn[back])]
    none.moves[taking[loops]] = True
    # A list, since they are few and followed one by one.
    rows = zip(
        added.at[taking[loops]].tolist(),
        register[loops].tolist(),
        exact[loops].tolist(),
        strict=True,
    )
    return Probes([Probe(*row) for row in rows], none.moves, back)


def _words(text: Text, at: NDArray[np.intp]) -> NDArray[np.uint32]:
    """The words at some indices, the section's first or last where they lie outside of it."""
    return text.words[np.clip(at, 0, len(text.words) - 1)]
