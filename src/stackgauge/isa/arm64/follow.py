"""Instructions that move the stack pointer by a register or from one, each followed by itself."""

from __future__ import annotations

from typing import NamedTuple

from stackgauge.isa.arm64.encoding import SP
from stackgauge.isa.arm64.forms import ADD_IMMEDIATE, ADD_TAG
from stackgauge.isa.arm64.probes import Probe
from stackgauge.isa.arm64.trace import LARGEST, Move, Origin, Tracer
from stackgauge.isa.model import NO_AMOUNT, Effect

STACK_ALIGNMENT = 16

# Stands for a copy that is made for one instruction, where others have the copy's register.
SCRATCH = 32


class Row(NamedTuple):
    """A step to be: like those of ``Steps``, but with a register in place of a slot.

    Attributes:
        at: index of the instruction's word.
        effect: what it does.
        value: the effect's number.
        name: the register whose copy it reads or writes, or SCRATCH.
        source: of a MOVE, the register that it reads.
    """

    at: int
    effect: Effect
    value: int = 0
    name: int = 0
    source: int = 0


class Follower:
    """Makes the rows of instructions given to it by ascending address."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.rows: list[Row] = []
        # Of the last instruction that used the scratch copy: what was copied, and where it stood.
        self._copied = (-1, -1)
        self._used = -1

    def site(self, at: int) -> None:
        """An instruction whose result is the stack pointer and whose base may be a register."""
        step = self._tracer.step(at)
        if step is None:
            self.rows.append(Row(at, Effect.LOST))
            return
        base, move = step
        if base == SP:
            self._moves(at, Row(at, Effect.ADD), [move])
            return
        origin = self._tracer.origin(at, base)
        if origin is None:
            self.rows.append(Row(at, Effect.LOST))
        elif self._is_plain(origin):
            self._moves(at, Row(at, Effect.RESTORE, name=base), [move])
        elif self._capture(origin, at):
            self._moves(at, Row(at, Effect.RESTORE, name=SCRATCH), [*origin.moves, move])
        else:
            self.rows.append(Row(at, Effect.LOST))

    def probe(self, loop: Probe) -> None:
        """A loop of probes: all its turns are one move, of as much as the register says."""
        origin = self._tracer.origin(loop.at, loop.register) if loop.exact else None
        moved = self._tracer.writer(loop.at, SP)
        if origin is None or origin.base != SP or (moved is not None and moved > origin.at):
            self.rows.append(Row(loop.at, Effect.DYNAMIC, NO_AMOUNT))
        else:
            self._moves(loop.at, Row(loop.at, Effect.ADD), origin.moves)

    def _is_plain(self, origin: Origin) -> bool:
        """Whether the register itself is followed: not written here, or by a copy."""
        if len(origin.moves) != 1 or origin.base != SP:
            return not origin.moves
        word = self._tracer.word(origin.at)
        return ADD_IMMEDIATE.fits(word) or ADD_TAG.fits(word)

    def _capture(self, origin: Origin, at: int) -> bool:
        """Keep the register that an address is made from, before it is overwritten."""
        wanted = (origin.at, origin.base)
        # One copy at a time: it must not be made before the last one has been used.
        if origin.at <= self._used and wanted != self._copied:
            return False
        self._copied, self._used = wanted, at
        if origin.base == SP:
            self.rows.append(Row(origin.at, Effect.COPY, name=SCRATCH))
        else:
            self.rows.append(Row(origin.at, Effect.MOVE, name=SCRATCH, source=origin.base))
        return True

    def _moves(self, at: int, first: Row, moves: list[Move]) -> None:
        """The rows of one instruction that does ``moves`` after ``first``."""
        rows = [first]
        for move in moves:
            added = move.add - move.take.least
            if rows[-1].effect in (Effect.ADD, Effect.RESTORE):
                rows[-1] = rows[-1]._replace(value=rows[-1].value + added)
            elif added:
                rows.append(Row(at, Effect.ADD, added))
            room = move.take.most - move.take.least
            if room:
                rows.append(Row(at, Effect.DYNAMIC, room if room <= LARGEST else NO_AMOUNT))
            if move.align > 1:
                rows = [_rounded(row) for row in rows]
                rows.append(Row(at, Effect.ALIGN, move.align))
        if any(abs(row.value) > LARGEST for row in rows):
            rows = [Row(at, Effect.LOST)]
        # An addition of nothing says nothing beside others.
        self.rows += [row for row in rows if row.effect != Effect.ADD or row.value] or rows


def _rounded(row: Row) -> Row:
    """A move before an alignment, made a multiple of the stack's: the aligned sum is the same."""
    if row.effect in (Effect.ADD, Effect.RESTORE):
        return row._replace(value=row.value // STACK_ALIGNMENT * STACK_ALIGNMENT)
    if row.effect == Effect.DYNAMIC and row.value != NO_AMOUNT:
        return row._replace(value=-(-row.value // STACK_ALIGNMENT) * STACK_ALIGNMENT)
    return row
