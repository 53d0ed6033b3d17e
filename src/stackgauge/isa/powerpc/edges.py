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
    code = e.op(words)
    flow = np.zeros(len(words), np.uint8)
    target = np.full(len(words), -1, np.int64)
    first = np.array(text.address, np.uint64).view(np.int64) // WORD
    for opcode, width in ((e.B, 24), (e.BC, 14)):
        rows = np.flatnonzero(code == opcode)
        some = words[rows]
        # A distance, or absolute.
        base = np.where(some & np.uint32(2) != 0, -first, at[rows])
        target[rows] = e.signed_field(some, 2, width) + base
        always = (opcode == e.B) | _is_always(some)
        flow[rows] = np.where(always, Flow.JUMP, Flow.BRANCH)
        flow[rows[some & np.uint32(1) == 1]] = Flow.CALL
    goes = np.where(flow != 0, text.addresses(target), np.uint64(0))
    _by_register(words, code, flow)
    return Edges(at, flow, goes, target).take(np.flatnonzero(flow))


def _is_always(words: Words) -> NDArray[np.bool_]:
    """Whether BO says that there is no condition."""
    always: NDArray[np.bool_] = e.rt(words) & np.uint32(0b10100) == 0b10100
    return always


def _by_register(words: Words, code: Words, flow: NDArray[np.uint8]) -> None:
    """Branches to a register, returns from interrupts, and traps for certain."""
    rows = np.flatnonzero(code == e.XL)
    some, low = words[rows], e.extended(words[rows])
    branches = _BY_REGISTER[low]
    # One with a condition returns or leaves, or goes on: what follows is as it was.
    leaves = branches & _is_always(some)
    flow[rows[leaves]] = np.where(low[leaves] == _BCLR, Flow.STOP, Flow.INDIRECT)
    flow[rows[branches & (some & np.uint32(1) == 1)]] = Flow.CALL
    flow[rows[_RETURNS[low]]] = Flow.STOP
    rows = np.flatnonzero((code == e.TWI) | (code == e.TDI) | (code == e.X))
    some, low = words[rows], e.extended(words[rows])
    traps = (code[rows] != e.X) | (low == e.TW) | (low == e.TD)
    flow[rows[traps & (e.rt(some) == _ALWAYS)]] = Flow.TRAP


def line_begins(text: Text, edges: Edges, near: Indices) -> NDArray[np.bool_]:
    """Which words control can come to from elsewhere than from the word before, (n + 1,).

    Only branches in the words of ``near`` are seen: others lead to where a stretch begins.
    """
    begins = np.zeros(len(text.words) + 1, bool)
    begins[near] = True
    edges = edges.take(np.flatnonzero(begins[edges.at]))
    begins[:] = False
    begins[edges.words[(edges.words >= 0) & (edges.words < len(begins))]] = True
    begins[edges.at[LEAVES[edges.flow]] + 1] = True
    begins[text.begin] = True
    return begins
