"""Where MIPS instructions lead, and which have a delay slot.

Source: MIPS Architecture for Programmers, volume II-A, tables A.2 to A.10 and each instruction;
"Cavium Networks OCTEON Plus CN50XX Hardware Reference Manual" for BBIT0 and BBIT1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.mips import encoding as e
from stackgauge.isa.mips.encoding import Dialect, Words
from stackgauge.isa.model import Flow
from stackgauge.isa.words import WORD, Indices, Text

# REGIMM by rt: BLTZ, BGEZ, their likely kin, BPOSGE32 and BPOSGE64; those that link.
_REGIMM_BRANCH = e.flags(32, 0, 1, 2, 3, 0x1C, 0x1D)
_REGIMM_LIKELY = e.flags(32, 2, 3)
_REGIMM_CALL = e.flags(32, range(0x10, 0x14))
# Coprocessors by rs, each after the other: BC; of COP1 its kin of MIPS-3D and release 6 and MSA's.
_BRANCH_ON_COPROCESSOR = e.flags(
    96, 8, *(32 + code for code in (8, 9, 10, 11, 13, 15, *range(24, 32))), 64 + 8, 64 + 9, 64 + 13
)
# By opcode: BEQ, BNE, BLEZ, BGTZ and their likely kin; J, JAL and JALX.
_BRANCH, _LIKELY, _FAR = e.flags(64, range(4, 8), range(20, 24)), range(20, 24), (2, 3, 29)
# By function: JR and JALR, and traps that may be unconditional.
_BY_REGISTER = e.flags(64, e.JR, e.JALR, e.BREAK, e.TEQ)
_ERET, _DERET = 0x18, 0x1F
_OCTEON_BRANCHES = e.flags(64, 50, 54, 58, 62)
# Release 6: BC, BALC, and groups in which the registers tell compact branches apart.
_BC, _BALC, _POP66, _POP76 = 50, 58, 54, 62


class Edges(NamedTuple):
    """Instructions that end or redirect the flow; columns, ascending.

    Attributes:
        at: index of the word.
        flow: Flow.
        target: index of the word that it goes to, in the section or not; meaningless where it
            names none.
        direct: whether it names one.
        slot: whether the next instruction runs before control goes.
        likely: whether that one runs only if the branch is taken.
    """

    at: Indices
    flow: NDArray[np.uint8]
    target: NDArray[np.int64]
    direct: NDArray[np.bool_]
    slot: NDArray[np.bool_]
    likely: NDArray[np.bool_]

    def without(self, rows: Indices) -> Edges:
        """All but some; the same where there are none, as nearly always."""
        return self.take(np.delete(np.arange(len(self.at)), rows)) if len(rows) else self

    def take(self, which: NDArray[np.bool_] | Indices) -> Edges:
        """Those of a mask or an index."""
        return Edges(
            self.at[which],
            self.flow[which],
            self.target[which],
            self.direct[which],
            self.slot[which],
            self.likely[which],
        )


def redirects(
    dialect: Dialect,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which halves of a word may be of an edge.

    Returns:
        Upper halves that may; lower halves that may below the opcode SPECIAL; lower halves that do
        below COP0 with rs 16.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    code, first, second = half >> np.uint32(10), half >> np.uint32(5) & np.uint32(31), half & 31
    upper = _BRANCH[code] | e.flags(64, *_FAR)[code]
    upper |= (code == e.REGIMM) & (_REGIMM_BRANCH | _REGIMM_CALL)[second]
    upper |= _on_coprocessor(code, first)
    if dialect is Dialect.OCTEON:
        upper |= _OCTEON_BRANCHES[code]
    elif dialect is Dialect.RELEASE_6:
        upper |= e.flags(64, 8, 24, _BC, _BALC, _POP66, _POP76)[code]
    function = half & np.uint32(63)
    return upper, _BY_REGISTER[function], e.flags(64, _ERET, _DERET)[function]


def read_edges(text: Text, at: Indices, words: Words, dialect: Dialect) -> Edges:
    """The edges among some instructions, given by index and word."""
    code, first, second = e.op(words), e.rs(words), e.rt(words)
    flow = np.zeros(len(words), np.uint8)
    slot = np.ones(len(words), bool)
    target = at + 1 + e.signed_field(words, 16)
    likely = (code >= _LIKELY.start) & (code < _LIKELY.stop)
    flow[_BRANCH[code]] = Flow.BRANCH
    # BEQ of a register with itself is B.
    flow[((code == 4) | (code == 20)) & (first == second)] = Flow.JUMP
    _on_sign(code, first, second, flow, likely)
    far = np.flatnonzero((code == 2) | (code == 3) | (code == 29))
    flow[far] = np.where(code[far] == 2, Flow.JUMP, Flow.CALL)
    target[far] = _in_region(text, at[far], words[far])
    direct = flow != 0
    _by_register(words, code, first, second, flow, slot)
    if dialect is Dialect.OCTEON:
        bits = _OCTEON_BRANCHES[code]
        flow[bits], direct[bits] = Flow.BRANCH, True
    elif dialect is Dialect.RELEASE_6:
        _release_6(at, words, Edges(at, flow, target, direct, slot, likely))
    return Edges(at, flow, target, direct, slot, likely).take(np.flatnonzero(flow))


def _on_sign(
    code: Words,
    first: Words,
    second: Words,
    flow: NDArray[np.uint8],
    likely: NDArray[np.bool_],
) -> None:
    """The branches of REGIMM and of the coprocessors."""
    rows = np.flatnonzero(code == e.REGIMM)
    kind = second[rows]
    flow[rows[_REGIMM_BRANCH[kind]]] = Flow.BRANCH
    flow[rows[(kind == 1) & (first[rows] == 0)]] = Flow.JUMP
    flow[rows[_REGIMM_CALL[kind]]] = Flow.CALL
    likely[rows] = _REGIMM_LIKELY[kind]
    rows = np.flatnonzero(_on_coprocessor(code, first))
    flow[rows] = Flow.BRANCH
    likely[rows] = (first[rows] == 8) & (second[rows] & np.uint32(2) != 0)


def _on_coprocessor(code: Words, first: Words) -> NDArray[np.bool_]:
    """Which instructions branch on what a coprocessor says, by opcode and rs."""
    coprocessor = (code >= e.COP0) & (code <= e.COP2)
    kind = np.where(coprocessor, code - np.uint32(e.COP0), 0) * np.uint32(32) + first
    found: NDArray[np.bool_] = coprocessor & _BRANCH_ON_COPROCESSOR[kind]
    return found


def _in_region(text: Text, at: Indices, words: Words) -> NDArray[np.int64]:
    """J and JAL: within the 256 MB that the delay slot lies in."""
    slot = text.addresses(at + 1)
    region = slot & ~np.uint64(0x0FFF_FFFF)
    goes = region | (e.field(words, 0, 26) << np.uint32(2)).astype(np.uint64)
    return (goes - np.uint64(text.address)).view(np.int64) // WORD


def _by_register(
    words: Words,
    code: Words,
    first: Words,
    second: Words,
    flow: NDArray[np.uint8],
    slot: NDArray[np.bool_],
) -> None:
    """JR and JALR, the ends without a slot: ERET and DERET, and traps for certain."""
    function = e.field(words, 0, 6)
    special = code == e.SPECIAL
    calls = special & (function == e.JALR)
    jumps = special & (function == e.JR) | calls & (e.rd(words) == 0)
    flow[calls] = Flow.CALL
    flow[jumps] = np.where(first[jumps] == e.RA, Flow.STOP, Flow.INDIRECT)
    traps = special & ((function == e.BREAK) | (function == e.TEQ) & (first == second))
    flow[traps] = Flow.TRAP
    # The other instructions of COP0 with this bit are no moves between registers.
    ends = (code == e.COP0) & (first == 16) & ((function == _ERET) | (function == _DERET))
    flow[ends] = Flow.STOP
    slot[traps | ends] = False


def _release_6(at: Indices, words: Words, edges: Edges) -> None:
    """Change what release 6 reads otherwise: compact branches, which have no delay slot."""
    code, first, second = e.op(words), e.rs(words), e.rt(words)
    _, flow, target, direct, slot, likely = edges
    wide = np.isin(code, (_BC, _BALC))
    flow[wide] = np.where(code[wide] == _BC, Flow.JUMP, Flow.CALL)
    target[wide] = at[wide] + 1 + e.signed_field(words[wide], 26)
    group = np.isin(code, (_POP66, _POP76))
    flow[group] = Flow.BRANCH
    target[group] = at[group] + 1 + e.signed_field(words[group], 21)
    jumps = group & (first == 0)  # JIC and JIALC
    returns = (code == _POP66) & (second == e.RA)
    flow[jumps] = np.where(
        code[jumps] == _POP76, Flow.CALL, np.where(returns[jumps], Flow.STOP, Flow.INDIRECT)
    )
    compares = np.isin(code, (6, 7, 22, 23)) & (second != 0) | np.isin(code, (8, 24))
    flow[compares] = Flow.BRANCH
    links = np.isin(code, (6, 7)) & ((first == 0) | (first == second)) & (second != 0)
    links |= np.isin(code, (8, 24)) & (first == 0) & (second != 0)
    flow[links] = Flow.CALL
    compact = wide | group | compares
    slot[compact] = False
    direct[compact] = ~jumps[compact]
    likely[:] = False
