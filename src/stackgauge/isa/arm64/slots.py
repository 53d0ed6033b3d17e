"""Which registers' copies of the stack pointer are followed, and where they end.

A slot is given, in each stretch of code by itself, to the registers that the stack pointer is
taken from there. Copies in other registers are of no use and are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64.columns import Columns
from stackgauge.isa.arm64.encoding import FRAME_POINTER, SP
from stackgauge.isa.arm64.follow import SCRATCH, Row
from stackgauge.isa.arm64.moves import Copies
from stackgauge.isa.model import SAVED, Effect
from stackgauge.isa.words import Indices, Text

# The frame pointer always has slot 0, since a piece of the function that lies apart (``.cold``)
# may use it. The last slot but SAVED is never written: what is copied from it is not known.
FRAME_SLOT = 0
NOTHING = SAVED - 1


def add_frame_copies(copies: Copies, out: Columns) -> None:
    """Add the copies in the frame pointer, where no other is of use."""
    frame = copies.register == FRAME_POINTER
    out.add(copies.at[frame], effect=Effect.COPY, slot=FRAME_SLOT, value=copies.value[frame])


class Slots:
    """The slots in some stretches of code."""

    def __init__(self, text: Text, stretches: Indices, rows: list[Row]) -> None:
        """Give out the slots.

        Args:
            text: the code.
            stretches: those that have rows, ascending.
            rows: which registers they read.
        """
        self._text = text
        self._stretches = stretches
        # Columns as the fields of Row.
        self._rows = np.array(rows, np.int64).reshape(-1, len(Row._fields)).T
        self._lane = np.searchsorted(stretches, text.stretch(self._rows[0]))
        # By stretch and register; a register without a slot has NOTHING.
        self._slot = np.full((len(stretches), SCRATCH + 1), NOTHING, np.uint8)
        taken = [FRAME_SLOT + 1] * len(stretches)
        # A loop, but over no more rows than the instructions that were followed one by one.
        for row, lane in zip(rows, self._lane.tolist(), strict=True):
            reads = {Effect.RESTORE: (row.name,), Effect.MOVE: (row.name, row.source)}
            for name in reads.get(row.effect, ()):
                if name == FRAME_POINTER:
                    self._slot[lane, name] = FRAME_SLOT
                elif self._slot[lane, name] == NOTHING and taken[lane] < NOTHING:
                    self._slot[lane, name] = taken[lane]
                    taken[lane] += 1

    def add_rows(self, out: Columns) -> None:
        """Add the rows themselves."""
        at, effect, value, name, source = self._rows
        slot = self._slot[self._lane, name]
        read = self._slot[self._lane, source].astype(np.int64)
        value = np.where(effect == Effect.MOVE, read << 24, value)
        writes = (effect == Effect.COPY) | (effect == Effect.MOVE)
        kept = ~writes | (slot != NOTHING)
        slot = np.where(writes | (effect == Effect.RESTORE), slot, 0)
        out.add(at[kept], effect=effect[kept], slot=slot[kept], value=value[kept])

    def add_copies(self, copies: Copies, written: NDArray[np.uint32], out: Columns) -> None:
        """Add the copies in registers that have a slot, and where those are overwritten.

        Args:
            copies: of the whole text.
            written: by word, the registers that it writes; filled in for these stretches.
            out: what to add to.
        """
        copied = np.zeros(len(self._text.words), np.uint8)
        copied[copies.at] = copies.register + 1
        at = self._text.words_of(self._stretches)
        lane = np.searchsorted(self._stretches, self._text.stretch(at))
        for register in range(SP):
            slot = self._slot[lane, register]
            lost = (written[at] >> np.uint32(register) & 1 != 0) & (copied[at] != register + 1)
            lost &= slot != NOTHING
            out.add(at[lost], effect=Effect.MOVE, slot=slot[lost], value=NOTHING << 24)
        stretch = self._text.stretch(copies.at)
        lane = np.minimum(np.searchsorted(self._stretches, stretch), len(self._stretches) - 1)
        slot = self._slot[lane, copies.register]
        slot[self._stretches[lane] != stretch] = NOTHING
        slot[copies.register == FRAME_POINTER] = FRAME_SLOT
        kept = slot != NOTHING
        out.add(copies.at[kept], effect=Effect.COPY, slot=slot[kept], value=copies.value[kept])
