"""From what an architecture's reader knows of single instructions to the steps of a section.

A reader finds the instructions that may matter, among all of a section at once; here they become
steps: those that lead elsewhere, those that move the stack pointer by a known number, and those
that move it by a register or take it from one, for which the code around them is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import member
from stackgauge.isa.amount import Amount
from stackgauge.isa.followed import Copies, Registers, follow_copies, near_words
from stackgauge.isa.model import Effect, Flow, Steps
from stackgauge.isa.steps import Collector
from stackgauge.isa.straight import (
    LEAVES,
    MOST_FOLLOWED,
    Line,
    Operand,
    Rows,
    follow_sites,
    rows_of,
)
from stackgauge.isa.words import Indices, Text, Words

# The target of an edge that names none.
NOWHERE = -(1 << 60)

# How many bytes of NOPs align a branch's target at most.
_PADDING = 60


class Edges(NamedTuple):
    """Instructions that end or redirect the flow; columns, ascending.

    Attributes:
        at: index of the word that each begins at.
        end: index of the word after it.
        flow: Flow.
        target: index of the word that it goes to, in the section or not, int64; or NOWHERE.
    """

    at: Indices
    end: Indices
    flow: NDArray[np.uint8]
    target: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> Edges:
        """Those of a mask."""
        return Edges(self.at[which], self.end[which], self.flow[which], self.target[which])


def past_padding(text: Text, edges: Edges, padding: tuple[int, ...]) -> None:
    """Make traps end after the NOPs that align what follows them, if there are any.

    What follows is then as a rule the target of a branch, and known not to come after the trap.

    Args:
        text: the code.
        edges: ``end`` is changed.
        padding: words that NOPs consist of.
    """
    traps = np.flatnonzero(edges.flow == Flow.TRAP)
    limit = text.end[text.stretch(edges.at[traps])]
    for _ in range(_PADDING // text.size):
        live = edges.end[traps] < limit
        live[live] = np.isin(text.words[edges.end[traps[live]]], padding)
        traps, limit = traps[live], limit[live]
        edges.end[traps] += 1


@dataclass(frozen=True, eq=False)
class Instructions:
    """A section's instructions.

    Attributes:
        text: its words.
        starts: at which words an instruction to be read begins, bool, (n,).
        fetch: the instructions that begin at some words, each as one number.
        lengths: how many words each of these has.
    """

    text: Text
    starts: NDArray[np.bool_]
    fetch: Callable[[Indices], Words]
    lengths: Callable[[Indices], Indices]

    def near(self, at: Indices) -> Indices:
        """Where instructions begin in all stretches that hold one of ``at``, ascending."""
        near = near_words(self.text, at)
        return near[self.starts[near]]


@dataclass(frozen=True)
class Language:
    """What an architecture's instructions do with registers.

    Attributes:
        sp: the stack pointer's number.
        pinned: slots that registers have everywhere; see ``Registers``.
        copies: the instructions, among some given by index and word, that set a register to
            another one, or to itself, and a number.
        written: the set of registers that each of some words writes, bit r for register r, uint32.
        result: see ``Line``.
        step: see ``Line``.
        by_register: effects and values of an instruction that makes the stack pointer of itself,
            or of it another register, in any other way; LOST where it does something else.
    """

    sp: int
    pinned: Mapping[int, int]
    copies: Callable[[Indices, Words], Copies]
    written: Callable[[Words], NDArray[np.uint32]]
    result: Callable[[int, Operand], Amount]
    step: Callable[[int, Operand], tuple[int, int] | None]
    by_register: Callable[[Line, int], list[tuple[Effect, int]]]


def steps_of(
    code: Instructions, language: Language, moving: Indices, edges: Edges, unreadable: Indices
) -> Steps:
    """The steps of a section.

    Args:
        code: its instructions.
        language: the architecture's.
        moving: those that may move the stack pointer, or copy it to a pinned register; ascending.
        edges: those that lead elsewhere.
        unreadable: words at which no instruction begins that could be read.
    """
    out = Collector()
    _add_moves(code, language, moving, edges, out)
    size = code.text.size
    out.add(unreadable * size, (unreadable + 1) * size, effect=Effect.LOST, flow=Flow.STOP)
    # The flow last: of an instruction with several steps, the last one says where it leads.
    target = np.where(edges.target == NOWHERE, np.uint64(0), code.text.addresses(edges.target))
    out.add(edges.at * size, edges.end * size, flow=edges.flow, target=target)
    steps, _ = out.steps(lambda offsets: code.text.addresses(offsets // size))
    return steps


def _add_moves(
    code: Instructions, language: Language, at: Indices, edges: Edges, out: Collector
) -> None:
    text, sp = code.text, language.sp
    fetched = code.fetch(at)
    copies = language.copies(at, fetched)
    into_sp, from_sp = copies.into == sp, copies.source == sp
    added, restores = copies.take(into_sp & from_sp), copies.take(into_sp & ~from_sp)
    rest = np.ones(len(at), bool)
    rest[np.searchsorted(at, copies.at)] = False
    moves = language.written(fetched[rest]) >> np.uint32(sp) & np.uint32(1) != 0
    sites = at[rest][moves]
    words = np.zeros(len(text.words), fetched.dtype)
    written = np.zeros(len(text.words), np.uint32)
    near = code.near(np.append(restores.at, sites[:MOST_FOLLOWED]))
    words[near] = code.fetch(near)
    written[near] = language.written(words[near])
    line = Line(words, written, _begins(text, edges), sp, language.result, language.step)
    followed = follow_sites(line, sites, partial(language.by_register, line))
    restores = restores.with_restores(followed, sp)
    near = code.near(restores.at)

    def elsewhere(at: Indices, words: Words) -> Copies:
        copies = language.copies(at, words)
        return copies.take(copies.into != sp)

    rows = follow_copies(
        replace(text, words=words), restores, copies.take(from_sp & ~into_sp), near, written[near],
        Registers(sp, language.pinned, elsewhere),
    )  # fmt: skip
    lost = rows.effect == Effect.LOST
    made = _made_from_sp(line, restores.take(member(restores.at, rows.at[lost])), language)
    plain = np.full(len(added.at), Effect.ADD, np.uint8)
    for some, slot in (
        (rows.take(~lost), rows.slot[~lost]),
        (Rows(added.at, plain, added.value, added.source), 0),
        (followed.take(followed.effect != Effect.RESTORE), 0),
        (made, 0),
    ):
        start, end = some.at * text.size, (some.at + code.lengths(some.at)) * text.size
        value = some.value.astype(np.int32)
        out.add(start, end, effect=some.effect, value=value, slot=slot)


def _made_from_sp(line: Line, restores: Copies, language: Language) -> Rows:
    """What a register does that is moved to the stack pointer after something was taken from it.

    LLVM makes room so: the difference of the stack pointer and a register, and a move of that.
    """
    rows: list[tuple[int, int, int, int]]
    rows = [(at, Effect.LOST, 0, 0) for at in restores.at[MOST_FOLLOWED:].tolist()]
    # A loop over a few instructions, at most MOST_FOLLOWED of them.
    for at, source, value in zip(
        *(column[:MOST_FOLLOWED].tolist() for column in (restores.at, *restores[2:])), strict=True
    ):
        made, moved = line.writer(at, source), line.writer(at, line.sp)
        if made is None or value or (moved is not None and moved > made):
            rows.append((at, Effect.LOST, 0, 0))
        else:
            rows += [(at, *row, 0) for row in language.by_register(line, made)]
    return rows_of(rows)


def _begins(text: Text, edges: Edges) -> NDArray[np.bool_]:
    """Which words control can come to from elsewhere than from the word before, (n + 1,)."""
    begins = np.zeros(len(text.words) + 1, bool)
    begins[edges.target[(edges.target >= 0) & (edges.target < len(begins))]] = True
    begins[np.minimum(edges.end[LEAVES[edges.flow]], len(text.words))] = True
    begins[text.begin] = True
    return begins
