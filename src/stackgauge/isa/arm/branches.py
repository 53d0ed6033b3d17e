"""The instructions of a listing that lead elsewhere, and what goes with a call or return."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.edges import flows, is_direct, links
from stackgauge.isa.arm.encoding import Words
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.arm.out import Out
from stackgauge.isa.model import Flow
from stackgauge.isa.words import Indices

# How many instructions before a return can have its condition.
_EPILOGUE = 8


def flow_of(listing: Listing, at: Indices, words: Words) -> NDArray[np.uint8]:
    """Where instructions lead; a jump after MOV LR, PC is a call."""
    flow = flows(words)
    jumps = np.flatnonzero((flow == Flow.INDIRECT) & (at > 0))
    before = at[jumps] - 1
    calls = links(listing.text.words[before], words[jumps])
    calls &= listing.follows(at[jumps])
    flow[jumps[calls]] = Flow.CALL
    return flow


class Branches:
    """The instructions that lead elsewhere: indices, words and flow, ascending."""

    def __init__(
        self, listing: Listing, at: Indices, words: Words, flow: NDArray[np.uint8]
    ) -> None:
        """Take these, each with the place that it leads to."""
        self.at, self.flow = at, flow
        self.conditional = e.condition(words) < e.ALWAYS
        self.direct = is_direct(words)
        # Offsets of where the direct ones go.
        self.target = np.zeros(len(at), np.int64)
        direct = at[self.direct]
        self.target[self.direct] = listing.pc(direct) + listing.distances(direct)
        self._listing = listing

    def begins(self) -> NDArray[np.bool_]:
        """Which instructions control can come to from elsewhere than the one before, (n + 1,)."""
        listing = self._listing
        begins = np.zeros(len(listing.text.words) + 1, bool)
        begins[0] = True
        begins[listing.index(self.target[self.direct])] = True
        begins[listing.index(listing.stops[1])] = True
        ends = np.isin(self.flow, (Flow.JUMP, Flow.STOP, Flow.INDIRECT))
        begins[self.at[ends] + 1] = True
        begins[listing.text.begin] = True
        return begins

    def add(self, out: Out) -> None:
        """Add where they lead, after all that is done to the stack pointer."""
        target = np.where(self.direct, out.address(self.target), np.uint64(0))
        # A jump to who knows where that has a condition may also go on.
        goes_on = np.flatnonzero((self.flow == Flow.INDIRECT) & self.conditional)
        target[goes_on] = out.address(self._listing.end(self.at[goes_on]))
        kept = (self.flow != Flow.STOP) | ~self.conditional
        out.add(self.at[kept], flow=self.flow[kept], target=target[kept])


# What a branch to an undefined symbol, at address 0, leads to: its distance is cut off to as many
# bits as a branch of Thumb has.
_UNDEFINED = (1 << 25) - 1

# PUSH {LR}, as STR and as STM.
_PUSH_LR = (0xE52DE004, 0xE92D4000)


def is_profiling(
    listing: Listing, branches: Branches, at: Indices, words: Words
) -> NDArray[np.bool_]:
    """Which instructions push LR for ``__gnu_mcount_nc``, which takes it off the stack again.

    That is the next instruction's callee, if what calls it does so (GCC's ARM_FUNCTION_PROFILER in
    gcc/config/arm/bpabi.h); all but a few, since data may look like a call. To an object it is an
    undefined symbol, like others; but nothing else calls one with a stack that is not a multiple
    of 8.
    """
    pushes = np.flatnonzero(np.isin(words, _PUSH_LR))
    calls = np.flatnonzero((branches.flow == Flow.CALL) & branches.direct)
    called, target = branches.at[calls], branches.target[calls]
    result = np.zeros(len(at), bool)
    if not len(pushes) or not len(calls):
        return result
    place = np.minimum(np.searchsorted(called, at[pushes] + 1), len(called) - 1)
    follows = called[place] == at[pushes] + 1
    follows[follows] = listing.follows(called[place[follows]])
    pushes, place = pushes[follows], place[follows]
    if not len(pushes):
        return result
    callee, pushed = np.unique(target[place], return_counts=True)
    called_at = np.searchsorted(callee, target)
    called_at[called_at == len(callee)] = 0
    count = np.bincount(called_at[callee[called_at] == target], minlength=len(callee))
    takes = (pushed * 10 >= count * 9) | (callee + listing.text.address & _UNDEFINED == 0)
    result[pushes[takes[np.searchsorted(callee, target[place])]]] = True
    return result


def unless_returned(listing: Listing, branches: Branches) -> NDArray[np.bool_]:
    """Returns with a condition and what stands before them with the same one, (n,).

    They do something only on a path that ends there.
    """
    stops = (branches.flow == Flow.STOP) & branches.conditional
    here = branches.at[stops]
    found = np.zeros(len(listing.text.words), bool)
    found[here] = True
    every = listing.text.words
    # Each turn looks one instruction further back, at all returns at once.
    for _ in range(_EPILOGUE):
        here = here[here > 0]
        same = (every[here] ^ every[here - 1]) >> np.uint32(28) == 0
        same &= listing.follows(here)
        here = here[same] - 1
        found[here] = True
    return found
