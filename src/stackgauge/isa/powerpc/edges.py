"""Where Power instructions lead: branches, calls, returns and traps.

Source: Power ISA, version 3.1B, book I, 2.4 ("Branch Instructions") and 3.3.11 ("Fixed-Point Trap
Instructions"), book III, 4.4 ("System Linkage Instructions").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Flow
from stackgauge.isa.powerpc import encoding as e
from stackgauge.isa.powerpc.encoding import Words
from stackgauge.isa.straight import LEAVES
from stackgauge.isa.words import WORD, Indices, Text

# Of XL: BCLR, BCCTR, BCTAR; returns from interrupts of all kinds.
_BCLR = 16
_BY_REGISTER = e.flags(1024, _BCLR, 528, 560)
_RETURNS = e.flags(1024, 18, 38, 39, 50, 51, 82, 146, 274)
# All conditions of a trap, and BO without a condition; hints and reserved bits left out.
_ALWAYS = 31


class Edges(NamedTuple):
    """Instructions that end or redirect the flow; columns, ascending.

    Attributes:
        at: index of the word.
        flow: Flow.
        target: the address that it goes to, 0 where it names none.
        words: the index of the word there, in the section or not; -1 where it names none.
    """

    at: Indices
    flow: NDArray[np.uint8]
    target: NDArray[np.uint64]
    words: NDArray[np.int64]

    def without(self, rows: Indices) -> Edges:
        """All but some; the same where there are none, as nearly always."""
        return self.take(np.delete(np.arange(len(self.at)), rows)) if len(rows) else self

    def take(self, which: NDArray[np.bool_] | Indices) -> Edges:
        """Those of a mask or an index."""
        return Edges(self.at[which], self.flow[which], self.target[which], self.words[which])


def redirects() -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which halves of a word may be of an edge.

    Returns:
        Upper halves that are; upper halves of X that are by their lower half; lower halves of XL
        and, by another bit, of X.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    code, first = half >> np.uint32(10), half >> np.uint32(5) & np.uint32(31)
    upper = (code == e.B) | (code == e.BC)
    upper |= ((code == e.TWI) | (code == e.TDI)) & (first == _ALWAYS)
    low = half >> np.uint32(1) & np.uint32(1023)
    return upper, (_BY_REGISTER | _RETURNS)[low], e.flags(1024, e.TW, e.TD)[low]


def read_edges(text: Text, at: Indices, words: Words) -> Edges:
    """The edges among some instructions, given by index and word."""
    code, low = e.op(words), e.extended(words)
    links = words & np.uint32(1) == 1
    always = e.rt(words) & np.uint32(0b10100) == 0b10100
    flow = np.zeros(len(words), np.uint8)
    direct = (code == e.B) | (code == e.BC)
    jumps = (code == e.B) | always
    flow[direct] = np.where(jumps[direct], Flow.JUMP, Flow.BRANCH)
    target = np.where(code == e.B, e.signed_field(words, 2, 24), e.signed_field(words, 2, 14))
    first = np.array(text.address, np.uint64).view(np.int64) // WORD
    target += np.where(words & np.uint32(2) != 0, -first, at)  # absolute, or a distance
    by_register = (code == e.XL) & _BY_REGISTER[low]
    # One with a condition returns or leaves, or goes on: what follows is as it was.
    leaves = by_register & always
    flow[leaves] = np.where(low[leaves] == _BCLR, Flow.STOP, Flow.INDIRECT)
    flow[(direct | by_register) & links] = Flow.CALL
    flow[(code == e.XL) & _RETURNS[low]] = Flow.STOP
    traps = ((code == e.TWI) | (code == e.TDI)) & (e.rt(words) == _ALWAYS)
    traps |= (code == e.X) & ((low == e.TW) | (low == e.TD)) & (e.rt(words) == _ALWAYS)
    flow[traps] = Flow.TRAP
    goes = np.where(direct, text.addresses(target), np.uint64(0))
    return Edges(at, flow, goes, np.where(direct, target, -1)).take(np.flatnonzero(flow))


def line_begins(text: Text, edges: Edges) -> NDArray[np.bool_]:
    """Which words control can come to from elsewhere than from the word before, (n + 1,)."""
    begins = np.zeros(len(text.words) + 1, bool)
    begins[edges.words[(edges.words >= 0) & (edges.words < len(begins))]] = True
    begins[edges.at[LEAVES[edges.flow]] + 1] = True
    begins[text.begin] = True
    return begins
