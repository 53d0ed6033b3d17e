"""The stack steps of MIPS code.

The instruction after a branch, its delay slot, runs before control goes where the branch says. So
the two are one here: a step of the slot has the branch's address and comes before the branch's own,
which ends after the slot. The slot of a branch-likely runs only if the branch is taken; there, the
branch leads around it and the slot goes to the target.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import member
from stackgauge.isa.followed import Copies, Registers, follow_copies, near_words
from stackgauge.isa.mips import encoding as e
from stackgauge.isa.mips.amounts import copies_of, result, step
from stackgauge.isa.mips.edges import Edges, read_edges, redirects
from stackgauge.isa.mips.encoding import Dialect, Words, destination, written_registers
from stackgauge.isa.model import NO_AMOUNT, Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.probes import loops
from stackgauge.isa.steps import Collector
from stackgauge.isa.straight import (
    LEAVES,
    MOST_FOLLOWED,
    Line,
    Rows,
    follow_probes,
    follow_sites,
    is_alignment,
    rows_of,
    taken,
)
from stackgauge.isa.words import WORD, Indices, Text, text_of

# GCC's call of _mcount in the O32 ABI: it takes 8 bytes, which the callee gives back
# (FUNCTION_PROFILER in gcc/config/mips/mips.h). MOVE $at, $ra comes before it, and with
# -mmcount-ra-address a few instructions between the two.
_TAKE_8 = (0x27BDFFF8, 0x67BDFFF8)
_SAVE_RA = (0x03E00825, 0x03E00821, 0x03E0082D)

# How far back it is looked for what the stack pointer is set to.
_MADE = 8


def read_mips(
    code: Code, ranges: Ranges, *, order: str, dialect: Dialect, stack_alignment: int
) -> Steps:
    """The stack steps of MIPS code.

    Args:
        code: one section.
        ranges: the stretches of it to read.
        order: NumPy's character of the byte order.
        dialect: how to read what differs between processors.
        stack_alignment: what the stack pointer is a multiple of.
    """
    text = text_of(code, ranges, order)
    leading, moving = _candidates(text, dialect)
    edges = read_edges(text, leading, text.words[leading], dialect)
    moving = _without_mcount(text, edges, moving)
    words = text.words[moving]
    copies = copies_of(dialect, moving, words)
    into_sp, from_sp = copies.into == e.SP, copies.source == e.SP
    added = copies.take(into_sp & from_sp)
    restores, far = copies.take(into_sp & ~from_sp), copies.take(from_sp & ~into_sp)
    made = _just_made(text, restores)
    differences, restores = restores.take(made), restores.take(~made)
    sites = moving[(destination(words, dialect) == e.SP) & ~member(moving, copies.at)]
    taking = np.flatnonzero(added.value < 0)
    turn, back = loops(added.at[taking], edges.at, np.where(edges.direct, edges.target, -1))
    turn, back = taking[turn[:MOST_FOLLOWED]], back[:MOST_FOLLOWED]
    limit = _limit(text, edges.take(back))
    turn, back, limit = turn[limit != e.SP], back[limit != e.SP], limit[limit != e.SP]
    edges = edges.without(back)

    written = np.zeros(len(text.words), np.uint32)
    probing = added.at[turn]
    followed = np.concatenate([restores.at, differences.at, sites[:MOST_FOLLOWED], probing])
    near = near_words(text, followed)
    written[near] = written_registers(text.words[near], dialect)
    line = Line(text.words, written, _begins(text, edges, near), e.SP, result, step)
    moves = follow_sites(line, sites, partial(_by_register, line, stack_alignment))
    probes = follow_probes(line, probing, limit)
    made_here = _differences(line, stack_alignment, differences)
    restores = restores.with_restores(moves, e.SP)
    near = near_words(text, restores.at)
    registers = Registers(e.SP, {e.FRAME_POINTER: 0}, partial(_copies_elsewhere, dialect))
    rows = follow_copies(text, restores, far, near, written[near], registers)

    place = _Places(text, edges)
    out = Collector()
    added = added.take(~member(added.at, probing))
    plain = moves.take(moves.effect != Effect.RESTORE)
    _add_moves(place, out, rows.at, rows.effect, rows.slot, rows.value)
    lone = np.zeros(len(added.at), np.uint8)
    _add_moves(place, out, added.at, lone + np.uint8(Effect.ADD), lone, added.value)
    for some in (plain, probes, made_here):
        _add_moves(place, out, some.at, some.effect, np.zeros(len(some.at), np.uint8), some.value)
    _add_edges(text, edges, place, out)
    steps, _ = out.steps(lambda offsets: text.addresses(offsets // WORD))
    return steps


def _just_made(text: Text, restores: Copies) -> NDArray[np.bool_]:
    """Which restores take what a subtraction from the stack pointer made just before (LLVM)."""
    found = np.zeros(len(restores.at), bool)
    for away in range(1, _MADE + 1):
        words = text.words[np.maximum(restores.at - away, 0)]
        function = e.field(words, 0, 6)
        made = (e.op(words) == e.SPECIAL) & ((function == e.SUBU) | (function == e.DSUBU))
        found |= made & (e.rs(words) == e.SP) & (e.rd(words) == restores.source)
    found &= restores.value == 0
    return found


def _limit(text: Text, back: Edges) -> Indices:
    """What loops of probes compare the stack pointer with, or SP: they end if the two are equal.

    Such a loop ends with BNE or begins with BEQ.
    """
    jumps = back.flow == Flow.JUMP
    words = text.words[np.clip(np.where(jumps, back.target, back.at), 0, len(text.words) - 1)]
    one, other = e.rs(words), e.rt(words)
    compares = e.op(words) == np.where(jumps, 4, 5)
    compares &= (one == e.SP) | (other == e.SP)
    return np.where(compares, np.where(one == e.SP, other, one), e.SP).astype(np.intp)


@cache
def _by_half(dialect: Dialect) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where an instruction's upper and lower half have a bit in common, it may matter.

    The bits of _FLOW say that it may lead elsewhere, the others that it may move the stack
    pointer or copy it to the frame pointer. 65,536 bytes each.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    code, first, second = half >> np.uint32(10), half >> np.uint32(5) & np.uint32(31), half & 31
    target, function = half >> np.uint32(11), half & np.uint32(63)
    direct, by_register, returns = redirects(dialect)
    writes = e.WRITES_RT[code] | (code == e.SPECIAL3) | (code == e.SPECIAL2) | (code == 29)
    writes |= (code >= e.COP0) & (code <= e.COP2) & (first < 16)
    copies = (first == e.SP) & (second == e.FRAME_POINTER) & ((code == 9) | (code == 25))
    to_rd = (code == e.SPECIAL2) | (code == e.SPECIAL3) | (code == e.COP0) & (first == e.RDPGPR)
    to_frame_pointer = (target == e.FRAME_POINTER) & np.isin(function, e.SUMS)
    everything = np.ones(len(half), bool)
    pairs = (
        (direct, everything),
        (code == e.SPECIAL, by_register),
        ((code == e.COP0) & (first == 16), returns),
        (writes & (second == e.SP) | copies, everything),
        (code == e.SPECIAL, (target == e.SP) | to_frame_pointer),
        (to_rd, target == e.SP),
    )
    upper, lower = np.zeros((2, len(half)), np.uint8)
    for bit, (above, below) in enumerate(pairs):
        upper |= above.astype(np.uint8) << np.uint8(bit)
        lower |= below.astype(np.uint8) << np.uint8(bit)
    return upper, lower


_FLOW = np.uint8(0b111)


def _candidates(text: Text, dialect: Dialect) -> tuple[Indices, Indices]:
    """Indices, ascending, of the words that may lead elsewhere and that may move the stack."""
    upper, lower = _by_half(dialect)
    halves = text.words.view("<u2")
    found = upper.take(halves[1::2])
    found &= lower.take(halves[0::2])
    found *= text.inside()
    some = np.flatnonzero(found)
    found = found[some]
    return some[found & _FLOW != 0], some[found > _FLOW]


def _without_mcount(text: Text, edges: Edges, at: Indices) -> Indices:
    """Leave out what is taken for a call of ``_mcount``, in its slot or just before it."""
    words = text.words[at]
    taking = np.flatnonzero((words == _TAKE_8[0]) | (words == _TAKE_8[1]))
    place = at[taking]
    called = edges.at[(edges.flow == Flow.CALL) & edges.slot]
    before = text.words[np.maximum(place[:, None] - np.arange(1, 7), 0)]
    saves = (before[:, :, None] == np.array(_SAVE_RA, np.uint32)).any(axis=(1, 2))
    kept = np.ones(len(at), bool)
    kept[taking[saves & (member(place - 1, called) | member(place + 1, called))]] = False
    return at[kept]


class _Places:
    """Where steps begin and end: those of a delay slot with its branch."""

    def __init__(self, text: Text, edges: Edges) -> None:
        self._text = text
        size = len(text.words) + 2
        self._early = np.zeros(size, bool)
        self._early[edges.at[edges.slot & ~edges.likely] + 1] = True
        goes = edges.direct & (edges.flow != Flow.CALL)
        goes &= (edges.target >= 0) & (edges.target < size)
        self._entered = np.zeros(size, bool)
        self._entered[edges.target[goes]] = True
        self._entered &= self._early

    def __call__(self, at: Indices) -> tuple[Indices, Indices]:
        """The offsets in bytes at which the steps of some instructions begin and end."""
        return (at - self._early[at]) * WORD, (at + 1) * WORD

    def again(self, at: Indices) -> Indices:
        """Of some instructions those in a slot that is jumped to as well, and then run alone."""
        return np.flatnonzero(self._entered[at])

    def of_edges(self, edges: Edges) -> Indices:
        """Where branches end, as offsets: after their slot, unless that is in another stretch."""
        last = np.zeros(len(self._early), bool)
        last[self._text.end] = True
        return (edges.at + 1 + (edges.slot & ~last[edges.at + 1])) * WORD


def _add_moves(
    place: _Places,
    out: Collector,
    at: Indices,
    effect: NDArray[np.uint8],
    slot: NDArray[np.uint8],
    value: NDArray[np.int64],
) -> None:
    """Add what is done to the stack pointer and its copies; by a slot that is entered, twice."""
    number = value.astype(np.int32)
    out.add(*place(at), effect=effect, slot=slot, value=number)
    again = place.again(at)
    start = at[again] * WORD
    out.add(start, start + WORD, effect=effect[again], slot=slot[again], value=number[again])


def _add_edges(text: Text, edges: Edges, place: _Places, out: Collector) -> None:
    """Add where control goes, after all that is done to the stack pointer."""
    target = np.where(edges.direct, text.addresses(edges.target), np.uint64(0))
    end, likely = place.of_edges(edges), np.flatnonzero(edges.likely)
    slot = edges.at[likely] + 1
    target[likely], end[likely] = text.addresses(slot + 1), slot * WORD
    edges.flow[likely] = Flow.BRANCH
    out.add(edges.at * WORD, end, flow=edges.flow, target=target)
    likely = likely[slot < text.end[text.stretch(slot - 1)]]
    out.add(
        *place(edges.at[likely] + 1), flow=Flow.JUMP, target=text.addresses(edges.target[likely])
    )


def _copies_elsewhere(dialect: Dialect, at: Indices, words: Words) -> Copies:
    """The copies among some instructions that are not to the stack pointer."""
    copies = copies_of(dialect, at, words)
    return copies.take(copies.into != e.SP)


def _begins(text: Text, edges: Edges, near: Indices) -> NDArray[np.bool_]:
    """Which words control can come to from elsewhere than from the word before, (n + 3,).

    Only branches in the words of ``near`` are seen: others lead to where a stretch begins.
    """
    begins = np.zeros(len(text.words) + 3, bool)
    begins[near] = True
    edges = edges.take(np.flatnonzero(begins[edges.at]))
    begins[:] = False
    begins[edges.target[edges.direct & (edges.target >= 0) & (edges.target < len(begins))]] = True
    leaves = LEAVES[edges.flow] | edges.likely
    begins[edges.at[leaves] + 1 + edges.slot[leaves]] = True
    begins[text.begin] = True
    return begins


def _by_register(line: Line, alignment: int, at: int) -> list[tuple[Effect, int]]:
    """What an instruction does to the stack pointer in another way than adding a known number."""
    word = int(line.words[at])
    code, function, first, second = word >> 26, word & 63, word >> 21 & 31, word >> 16 & 31
    if code == e.SPECIAL and e.SP in (first, second):
        if function in (e.SUBU, e.DSUBU) and first == e.SP:
            return taken(line.amount(at, second), alignment)
        if function in (e.ADDU, e.DADDU):
            return [(Effect.DYNAMIC, NO_AMOUNT)]
        mask = line.amount(at, second if first == e.SP else first).exact
        if function == e.AND and mask is not None and is_alignment(-mask):
            return [(Effect.ALIGN, -mask)]
    inserts = code == e.SPECIAL3 and function in (e.INS, e.DINS)
    if inserts and first == 0 and word >> 6 & 31 == 0 and word >> 11 & 31 < 30:
        return [(Effect.ALIGN, 2 << (word >> 11 & 31))]
    return [(Effect.LOST, 0)]


def _differences(line: Line, alignment: int, restores: Copies) -> Rows:
    """What it does to the stack pointer to be set to a register that was made from it."""
    rows: list[tuple[int, int, int, int]] = []
    rows += [(at, Effect.LOST, 0, 0) for at in restores.at[MOST_FOLLOWED:].tolist()]
    # A loop over a few instructions, at most MOST_FOLLOWED of them.
    for at, register in zip(
        restores.at[:MOST_FOLLOWED].tolist(), restores.source.tolist(), strict=False
    ):
        writer, moved = line.writer(at, register), line.writer(at, e.SP)
        if writer is None or (moved is not None and moved > writer):
            rows.append((at, Effect.LOST, 0, 0))
            continue
        taking = line.amount(writer, int(line.words[writer]) >> 16 & 31)
        rows += [(at, *row, 0) for row in taken(taking, alignment)]
    return rows_of(rows)
