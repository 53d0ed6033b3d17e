"""Copies of the stack pointer in registers, where the stack pointer is taken from one again.

Only a stretch of code that does so is looked at instruction by instruction, as columns: which of
its registers can hold such a copy when it is used, where each is made, and where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import member, sorted_unique
from stackgauge.isa import straight
from stackgauge.isa.model import SAVED, Effect
from stackgauge.isa.words import Indices, Text, Words

# Registers are numbered from 0 to 31; 32 is a place in memory that an architecture keeps the
# stack pointer in, which is followed like a register.
MEMORY = 32
_COUNT = 33

# The last slot but SAVED is never written: what is copied from it is not known.
NOTHING = SAVED - 1


class Copies(NamedTuple):
    """Instructions that set register ``into`` to register ``source`` plus ``value``; columns."""

    at: Indices
    into: Indices
    source: Indices
    value: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> Copies:
        """Those of a mask."""
        return Copies(*(column[which] for column in self))

    def with_restores(self, moves: straight.Rows, sp: int) -> Copies:
        """Restores, and those among moves that were followed, by ascending index."""
        more = moves.take(moves.effect == Effect.RESTORE)
        into = np.full(len(more.at), sp, np.intp)
        columns = zip(self, (more.at, into, more.source, more.value), strict=True)
        merged = [np.concatenate(pair) for pair in columns]
        order = np.argsort(merged[0], kind="stable")
        return Copies(*(column[order] for column in merged))


class Rows(NamedTuple):
    """Steps by word of the text; columns."""

    at: Indices
    effect: NDArray[np.uint8]
    slot: NDArray[np.uint8]
    value: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> Rows:
        """Those of a mask."""
        return Rows(self.at[which], self.effect[which], self.slot[which], self.value[which])


@dataclass(frozen=True)
class Registers:
    """An architecture's registers, as far as copies are concerned.

    Attributes:
        sp: the stack pointer's number.
        pinned: slots that registers have everywhere, since a piece of the function that lies
            apart (``.cold``) may use them; from 0 on.
        copies: those among some instructions, given by index and word; none is to the stack
            pointer.
    """

    sp: int
    pinned: Mapping[int, int]
    copies: Callable[[Indices, Words], Copies]


def near_words(text: Text, at: Indices) -> Indices:
    """Indices of the words of all stretches that hold an instruction of ``at``, ascending."""
    return text.words_of(sorted_unique(text.stretch(at)))


def follow_copies(
    text: Text,
    restores: Copies,
    far: Copies,
    near: Indices,
    written: NDArray[np.uint32],
    registers: Registers,
) -> Rows:
    """The steps that make copies, end them and use them.

    Args:
        text: the code.
        restores: where the stack pointer is taken from a copy.
        far: copies to pinned registers in the whole text.
        near: the words of the stretches that have a restore (``near_words``).
        written: of each of these, the registers that it writes.
        registers: the architecture's.

    Returns:
        The steps; those of one instruction are in their order.
    """
    stretches = sorted_unique(text.stretch(restores.at))
    copies = registers.copies(near, text.words[near])
    lane = np.searchsorted(stretches, text.stretch(copies.at))
    restoring = np.searchsorted(stretches, text.stretch(restores.at))
    slot = _slots(len(stretches), restoring, restores, lane, copies, registers)
    source = slot[restoring, restores.source]
    # An instruction that loads other registers along with the stack pointer ends their copies.
    restored = Rows(
        restores.at,
        np.where(source == NOTHING, Effect.LOST, Effect.RESTORE).astype(np.uint8),
        np.where(source == NOTHING, 0, source).astype(np.uint8),
        np.where(source == NOTHING, 0, restores.value),
    )
    parts = [restored, _far(text, stretches, far, registers)]
    into = slot[lane, copies.into]
    kept = into != NOTHING
    parts.append(_copied(copies.take(kept), into[kept], slot[lane[kept]], registers.sp))
    parts += _ended(copies, near, written, slot, np.searchsorted(stretches, text.stretch(near)))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _slots(
    count: int,
    restoring: Indices,
    restores: Copies,
    lane: Indices,
    copies: Copies,
    registers: Registers,
) -> NDArray[np.uint8]:
    """The slot of each register in each stretch, (count, 33); NOTHING for one without.

    A register needs one if the stack pointer may come back from it: it holds what came from the
    stack pointer, and a restore or another such register takes it.
    """
    holds = np.zeros((count, _COUNT), bool)
    holds[:, registers.sp] = True
    needed = np.zeros((count, _COUNT), np.int8)
    needed[restoring, restores.source] = _COUNT
    # Each turn follows the copies one instruction further, of which there are few in a row.
    for _ in range(NOTHING):
        filled = holds[lane, copies.source]
        holds[lane[filled], copies.into[filled]] = True
    for turn in range(NOTHING):
        wanted = (needed[lane, copies.into] > 0) & (needed[lane, copies.source] == 0)
        needed[lane[wanted], copies.source[wanted]] = NOTHING - turn
    needed[~holds] = 0
    needed[:, registers.sp] = 0
    slot = np.full((count, _COUNT), NOTHING, np.uint8)
    pinned = list(registers.pinned)
    needed[:, pinned] = 0
    # The most direct ones first, then by number.
    order = np.argsort(-needed, axis=1, kind="stable")
    for taken in range(len(pinned), NOTHING):
        register = order[:, taken - len(pinned)]
        rows = np.flatnonzero(needed[np.arange(count), register])
        slot[rows, register[rows]] = taken
    for pin, taken in registers.pinned.items():
        slot[:, pin] = taken
    return slot


def _far(text: Text, stretches: Indices, far: Copies, registers: Registers) -> Rows:
    """Copies to pinned registers outside of the stretches that are looked at."""
    stretch = text.stretch(far.at)
    slots = np.full(_COUNT, NOTHING, np.uint8)
    slots[list(registers.pinned)] = list(registers.pinned.values())
    far = far.take(~member(stretch, stretches) & (slots[far.into] != NOTHING))
    effect = np.full(len(far.at), Effect.COPY, np.uint8)
    return Rows(far.at, effect, slots[far.into], far.value)


def _copied(copies: Copies, into: NDArray[np.uint8], slots: NDArray[np.uint8], sp: int) -> Rows:
    """The steps of copies to registers that have a slot, given with all slots of their stretch."""
    source = slots[np.arange(len(into)), copies.source].astype(np.int64)
    direct = copies.source == sp
    # What a MOVE adds has 24 bits; no copy is made further away than that.
    source[np.abs(copies.value) >= 1 << 23] = NOTHING
    value = np.where(direct, copies.value, source << 24 | copies.value & 0xFFFFFF)
    effect = np.where(direct, Effect.COPY, Effect.MOVE).astype(np.uint8)
    return Rows(copies.at, effect, into, value)


def _ended(
    copies: Copies,
    near: Indices,
    written: NDArray[np.uint32],
    slot: NDArray[np.uint8],
    lane: Indices,
) -> list[Rows]:
    """Where registers that have a slot are overwritten by something else; a part a register."""
    copied = np.full(len(near), _COUNT, np.uint8)
    copied[np.searchsorted(near, copies.at)] = copies.into
    parts = []
    for register in np.flatnonzero((slot != NOTHING).any(axis=0)[:MEMORY]).tolist():
        into = slot[lane, register]
        lost = (written >> np.uint32(register) & 1 != 0) & (copied != register)
        lost &= into != NOTHING
        at = near[lost]
        effect = np.full(len(at), Effect.MOVE, np.uint8)
        parts.append(Rows(at, effect, into[lost], np.full(len(at), NOTHING << 24)))
    return parts
