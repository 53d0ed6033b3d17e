"""Which code is whose: the stretches that routines are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Flow, Steps


@dataclass(frozen=True, eq=False)
class Pieces:
    """Stretches of code, each a routine or a part of one, sorted by ``start`` and disjoint.

    Attributes:
        start, end: addresses, (n,) uint64.
        routine: which routine the piece is part of, (n,) intp.
        entry: whether the routine is entered at the piece's start; bool.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    routine: NDArray[np.intp]
    entry: NDArray[np.bool_]

    def at(self, address: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The piece that each address lies in, or -1."""
        if not len(self.start):
            return np.full(len(address), -1, np.intp)
        found = np.searchsorted(self.start, address, side="right") - 1
        return np.where((found >= 0) & (address < self.end[found]), found, -1)

    def take(self, which: NDArray[np.bool_]) -> Pieces:
        """Those of a mask."""
        return Pieces(self.start[which], self.end[which], self.routine[which], self.entry[which])


@dataclass(frozen=True, eq=False)
class Placed:
    """Steps that all lie in pieces of code.

    Attributes:
        steps: ascending.
        pieces: the code.
        first, after: of each piece, its first step and the one after its last.
    """

    steps: Steps
    pieces: Pieces
    first: NDArray[np.intp]
    after: NDArray[np.intp]

    @cached_property
    def piece(self) -> NDArray[np.int32]:
        """The piece that each step is in."""
        return np.repeat(np.arange(len(self.first), dtype=np.int32), self.after - self.first)

    def routine(self, step: NDArray[np.bool_] | NDArray[np.intp]) -> NDArray[np.intp]:
        """The routines that some steps are in."""
        return self.pieces.routine[self.piece[step]]

    def leaving(self, step: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where some steps' targets lie.

        Returns:
            The piece of each target; and whether that is not in the step's own routine.
        """
        pieces, target = self.pieces, self.steps.target[step]
        into = self.piece[step].astype(np.intp)
        own = into.copy()
        # Mostly in the same piece.
        far = np.flatnonzero((target < pieces.start[into]) | (target >= pieces.end[into]))
        into[far] = pieces.at(target[far])
        leaves = np.zeros(len(step), bool)
        leaves[far] = into[far] < 0
        leaves[far] |= pieces.routine[into[far]] != pieces.routine[own[far]]
        return into, leaves

    def with_flow(self, step: NDArray[np.intp], flow: Flow) -> Placed:
        """The same with some steps leading elsewhere."""
        if not len(step):
            return self
        changed = self.steps.flow.copy()
        changed[step] = flow
        return replace(self, steps=replace(self.steps, flow=changed))


def place(steps: Steps, pieces: Pieces) -> Placed:
    """The steps that lie in some pieces."""
    first = np.searchsorted(steps.start, pieces.start)
    count = np.searchsorted(steps.start, pieces.end) - first
    after = np.cumsum(count)
    if len(steps) != count.sum():
        index = np.repeat(first - (after - count), count)
        steps = steps.take(index + np.arange(len(index)))
    return Placed(steps, pieces, after - count, after)
