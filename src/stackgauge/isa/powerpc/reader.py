"""The stack steps of Power code, 32 and 64 bits.

The word that the stack pointer points to is the back chain: the stack pointer as it was before the
frame was made, by one instruction that stores and moves it (Power Architecture 64-Bit ELF V2 ABI,
2.2.3). A frame that is too large for an immediate, or was made larger, is left by loading it; so
it is followed like a copy in a register.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import member
from stackgauge.isa.followed import Copies, Registers, follow_copies, near_words
from stackgauge.isa.model import NO_AMOUNT, SAVED, Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.powerpc import encoding as e
from stackgauge.isa.powerpc.amounts import CHAIN, copies_of, low_bits, result, step
from stackgauge.isa.powerpc.edges import Edges, line_begins, read_edges, redirects
from stackgauge.isa.powerpc.encoding import Words, written_registers
from stackgauge.isa.probes import loops
from stackgauge.isa.steps import Collector
from stackgauge.isa.straight import (
    LARGEST,
    MOST_FOLLOWED,
    Line,
    follow_probes,
    follow_sites,
    is_alignment,
    taken,
)
from stackgauge.isa.words import WORD, Indices, Text, text_of

_LOW_PRIORITY = 0x7C210B78

# How many NOPs align a branch's target at most.
_PADDING = 15

# How many instructions before a switch to another stack its back chain is stored.
_SWITCH = 4


def read_powerpc(code: Code, ranges: Ranges, *, order: str, bits: int, alignment: int) -> Steps:
    """The stack steps of Power code.

    Args:
        code: one section.
        ranges: the stretches of it to read.
        order: NumPy's character of the byte order.
        bits: 32 or 64.
        alignment: what the stack pointer is a multiple of.
    """
    text = text_of(code, ranges, order)
    leading, moving = _candidates(text)
    prefixes = moving[e.op(text.words[moving]) == e.PREFIX]
    if len(prefixes):
        text = replace(text, words=e.unprefixed(text.words, prefixes))
        leading, moving = _candidates(text)
    edges = read_edges(text, leading, text.words[leading])
    words = text.words[moving]
    copies = copies_of(bits, moving, words)
    into_sp, from_sp = copies.into == e.SP, copies.source == e.SP
    restores, far = copies.take(into_sp & ~from_sp), copies.take(from_sp & ~into_sp)
    added = _added(moving, words)
    sites = moving[_moves_sp(words) & ~member(moving, np.append(added.at, restores.at))]
    taking = np.flatnonzero(added.value < 0)
    turn, back = loops(added.at[taking], edges.at, edges.words)
    turn, back = taking[turn[:MOST_FOLLOWED]], back[:MOST_FOLLOWED]
    probing = added.at[turn]
    limit = _limit(text, probing, edges.take(back))
    probing, back, limit = probing[limit != e.SP], back[limit != e.SP], limit[limit != e.SP]

    edges = edges.without(back)

    written = np.zeros(len(text.words), np.uint32)
    near = near_words(text, np.concatenate([restores.at, sites[:MOST_FOLLOWED], probing]))
    written[near] = written_registers(text.words[near])
    line = Line(
        text.words, written, line_begins(text, edges, near), e.SP, result, partial(step, bits)
    )
    moves = follow_sites(line, sites, partial(_by_register, line, alignment))
    probes = follow_probes(line, probing, limit)
    restores = restores.with_restores(moves, e.SP)
    near = near_words(text, restores.at)
    registers = Registers(e.SP, {e.FRAME_POINTER: 0}, partial(_copies_elsewhere, bits))
    rows = follow_copies(text, restores, far, near, written[near], registers)
    away, back_again = _switches(text, restores)
    rows.effect[member(rows.at, away)] = Effect.LOST
    again = member(rows.at, back_again)
    rows.effect[again], rows.slot[again] = Effect.RESTORE, SAVED

    out = Collector()
    added = added.take(~member(added.at, probing))
    for some in (rows, added, moves.take(moves.effect != Effect.RESTORE), probes):
        start, slot = some.at * WORD, rows.slot if some is rows else 0
        out.add(
            start, start + WORD, effect=some.effect, value=some.value.astype(np.int32), slot=slot
        )
    start, end = edges.at * WORD, _ends(text, edges) * WORD
    out.add(start, end, flow=edges.flow, target=edges.target)
    steps, _ = out.steps(lambda offsets: text.addresses(offsets // WORD))
    return steps


def _limit(text: Text, probing: Indices, back: Edges) -> Indices:
    """What loops of probes compare the stack pointer with: -1 if for an order, SP if not at all.

    Such a loop ends with CMP and BNE or begins with CMP and BEQ.
    """
    limit = np.full(len(probing), e.SP, np.intp)
    ends = text.words[back.at] & np.uint32(0xFFE30000) == 0x40820000
    begins = _word(text, back.words + 1) & np.uint32(0xFFE30000) == 0x41820000
    exact = np.where(back.flow == Flow.JUMP, begins, ends)
    for away in (-2, -1, 1, 2, 3):
        words = _word(text, probing + away)
        compares = (e.op(words) == e.X) & np.isin(e.extended(words), (e.CMP, e.CMPL))
        compares &= (e.ra(words) == e.SP) & (probing + away >= back.words)
        compares &= probing + away < back.at
        limit[compares] = np.where(exact, e.rb(words), -1)[compares]
    return limit


def _word(text: Text, at: Indices) -> Words:
    """The words at some indices, the first or the last where there is none."""
    return text.words[np.clip(at, 0, len(text.words) - 1)]


@cache
def _by_half() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where an instruction's upper and lower half have a bit in common, it may matter.

    The bits of _FLOW say that it may lead elsewhere, the others that it may move the stack
    pointer or copy it to the frame pointer, or is a prefix. 65,536 bytes each.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    code, first, second = half >> np.uint32(10), half >> np.uint32(5) & np.uint32(31), half & 31
    low = half >> np.uint32(1) & np.uint32(1023)
    direct, leaves, traps = redirects()
    moves = e.WRITES_RT[code] & (first == e.SP) | (code == e.PREFIX)
    moves |= (e.WRITES_RA[code] | e.UPDATES[code]) & (second == e.SP)
    moves |= ((code == e.ADDI) | (code == e.ADDIS)) & (first == e.FRAME_POINTER) & (second == e.SP)
    indexed, double = code == e.X, (code == e.LD) | (code == e.STD)
    everything = np.ones(len(half), bool)
    pairs = (
        (direct, everything),
        (code == e.XL, leaves),
        (indexed & (first == 31), traps),
        (moves, everything),
        (double & (second == e.SP), half & np.uint32(3) == 1),
        (indexed & (second == e.SP), e.X_RA[low] | e.X_UPDATES[low]),
        (indexed & (first == e.SP), e.X_RT[low]),
        (indexed & (first == e.SP) & (second == e.FRAME_POINTER), low == e.MR),
    )
    upper, lower = np.zeros((2, len(half)), np.uint8)
    for bit, (above, below) in enumerate(pairs):
        upper |= above.astype(np.uint8) << np.uint8(bit)
        lower |= below.astype(np.uint8) << np.uint8(bit)
    return upper, lower


_FLOW = np.uint8(0b111)


def _candidates(text: Text) -> tuple[Indices, Indices]:
    """Indices, ascending, of the words that may lead elsewhere and that may move the stack."""
    upper, lower = _by_half()
    halves = text.words.view("<u2")
    found = upper.take(halves[1::2])
    found &= lower.take(halves[0::2])
    found *= text.inside()
    some = np.flatnonzero(found)
    found = found[some]
    return some[found & _FLOW != 0], some[found > _FLOW]


def _copies_elsewhere(bits: int, at: Indices, words: Words) -> Copies:
    """The copies among some instructions that are not to the stack pointer."""
    copies = copies_of(bits, at, words)
    return copies.take(copies.into != e.SP)


class _Added(NamedTuple):
    """Instructions that add a number of bytes to the stack pointer; columns."""

    at: Indices
    value: NDArray[np.int64]

    @property
    def effect(self) -> NDArray[np.uint8]:
        """ADD, of each."""
        return np.full(len(self.at), Effect.ADD, np.uint8)

    def take(self, which: NDArray[np.bool_]) -> _Added:
        """Those of a mask."""
        return _Added(self.at[which], self.value[which])


def _added(at: Indices, words: Words) -> _Added:
    """ADDI and ADDIS of the stack pointer, and stores and loads that move it by a number."""
    code, first, on_sp = e.op(words), e.rt(words), e.ra(words) == e.SP
    number = e.signed_field(words, 0, 16)
    number[code == e.ADDIS] <<= 16
    double = ((code == e.LD) | (code == e.STD)) & (words & np.uint32(3) == 1)
    number[double] &= ~3
    found = ((code == e.ADDI) | (code == e.ADDIS)) & (first == e.SP)
    found = (found | e.UPDATES[code] | double) & on_sp & (np.abs(number) <= LARGEST)
    return _Added(at[found], number[found])


def _moves_sp(words: Words) -> NDArray[np.bool_]:
    """Which instructions write the stack pointer."""
    written: NDArray[np.bool_] = written_registers(words) >> np.uint32(e.SP) & np.uint32(1) != 0
    # Of X, only what is known to write a general register there.
    indexed = (e.op(words) == e.X) & (e.ra(words) != e.SP)
    written[indexed] &= e.X_RT[e.extended(words[indexed])]
    # OR r1,r1,r1 sets the thread's priority (book II, 3.2).
    written &= words != _LOW_PRIORITY
    return written


def _ends(text: Text, edges: Edges) -> Indices:
    """Where the edges end: a trap together with the NOPs that align what follows."""
    end = edges.at + 1
    traps = np.flatnonzero(edges.flow == Flow.TRAP)
    for _ in range(_PADDING):
        limit = text.end[text.stretch(edges.at[traps])]
        traps = traps[end[traps] < limit]
        traps = traps[np.isin(text.words[end[traps]], e.NOPS)]
        end[traps] += 1
    return end


def _switches(text: Text, restores: Copies) -> tuple[Indices, Indices]:
    """Where the stack pointer goes to another stack, whose back chain leads to this one, and back.

    The kernel runs its interrupts' handlers so (call_do_irq and do_softirq_own_stack in
    arch/powerpc/kernel/irq.c): STDU r1,N(rX); MR r1,rX; a call; LD r1,0(r1).
    """
    away, back = restores.at[:-1], restores.at[1:]
    pairs = (restores.source[:-1] != CHAIN) & (restores.source[1:] == CHAIN)
    pairs &= text.stretch(away) == text.stretch(back)
    linked = np.zeros(len(pairs), bool)
    for distance in range(1, _SWITCH + 1):
        before = _word(text, away - distance)
        stores = (e.op(before) == e.STWU) | (e.op(before) == e.STD) & (before & np.uint32(3) == 1)
        linked |= stores & (e.rt(before) == e.SP) & (e.ra(before) == restores.source[:-1])
    return away[pairs & linked], back[pairs & linked]


def _by_register(line: Line, alignment: int, at: int) -> list[tuple[Effect, int]]:
    """What an instruction does to the stack pointer in another way than adding a known number."""
    word = int(line.words[at])
    code, low, second, third = word >> 26, word >> 1 & 1023, word >> 16 & 31, word >> 11 & 31
    if code == e.X and low == e.SUBF and third == e.SP:  # RB - RA
        return taken(line.amount(at, second), alignment)
    if code == e.X and low in (e.STDUX, e.STWUX):
        writer = line.writer(at, third)
        return (
            [(Effect.DYNAMIC, NO_AMOUNT)] if writer is None else _negative(line, alignment, writer)
        )
    return [(Effect.LOST, 0)]


def _negative(line: Line, alignment: int, at: int) -> list[tuple[Effect, int]]:
    """What it does to the stack pointer to add what an instruction makes to it.

    That is an amount negated; or a negative number less the stack pointer's own low bits, which
    aligns it.
    """
    word = int(line.words[at])
    code, low, second = word >> 26, word >> 1 & 1023, word >> 16 & 31
    if code == e.X and low == e.NEG:
        return taken(line.amount(at, second), alignment)
    number = None
    if code == e.SUBFIC:
        number = (word & 0x7FFF) - (word & 0x8000)
    elif code == e.X and low in (e.SUBF, e.SUBFC):
        number = line.amount(at, word >> 11 & 31).exact
    writer = None if number is None else line.writer(at, second)
    if number is not None and writer is not None and -LARGEST <= number <= 0:
        bits = int(line.words[writer])
        mask = low_bits(bits)
        if bits >> 21 & 31 == e.SP and is_alignment(mask + 1):
            return [(Effect.ADD, number), (Effect.ALIGN, mask + 1)]
    return [(Effect.DYNAMIC, NO_AMOUNT)]
