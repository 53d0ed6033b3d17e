"""Code as A32 instructions, whatever it is written in, without the data in it.

Thumb code is read by making of each instruction the A32 one that does the same. So there is one
way to tell what an instruction does, and a listing to tell where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.encoding import Words
from stackgauge.isa.arm.writes import written_registers
from stackgauge.isa.words import WORD, Indices, Text

Mask = NDArray[np.bool_]
Offsets = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Thumb:
    """What the A32 words of Thumb code do not say.

    Attributes:
        start, end: offset in bytes of each instruction and of what follows it, (n,).
        numbers: the immediate or distance in each, (n,).
        pairs: those that load a second register, ascending indices.
        second: that register.
    """

    start: Offsets
    end: Offsets
    numbers: NDArray[np.int64]
    pairs: Indices
    second: Words


@dataclass(frozen=True, eq=False)
class Listing:
    """Instructions in the order of their addresses; data is NOPs.

    Attributes:
        text: their words. Its ``address`` is what offsets count from, in bytes, and its stretches
            are given by index of instruction.
        raw: the section's bytes from there on.
        order: NumPy's character of the byte order of data.
        stops: where no path goes on: offsets of the last unit of each run of data, and its end.
        thumb: more of Thumb code; of A32 code, whose instructions are all words there are, None.
    """

    text: Text
    raw: NDArray[np.uint8]
    order: str
    stops: tuple[Offsets, Offsets]
    thumb: Thumb | None = None

    @cached_property
    def inside(self) -> Mask:
        """Which instructions are to be read, (n,)."""
        return self.text.inside()

    def start(self, at: Indices) -> Offsets:
        """Where instructions begin."""
        return at.astype(np.int64) * WORD if self.thumb is None else self.thumb.start[at]

    def end(self, at: Indices) -> Offsets:
        """Where they end."""
        return self.start(at) + WORD if self.thumb is None else self.thumb.end[at]

    def follows(self, at: Indices) -> Mask:
        """Whether the instruction before each one leads to it if it leads on; not of the first."""
        if self.thumb is None:
            return np.ones(len(at), bool)
        adjacent: Mask = self.thumb.end[at - 1] == self.thumb.start[at]
        return adjacent

    def numbers(self, at: Indices) -> NDArray[np.int64]:
        """The immediate or distance in each instruction."""
        return e.numbers(self.text.words[at]) if self.thumb is None else self.thumb.numbers[at]

    def distances(self, at: Indices) -> NDArray[np.int64]:
        """How far from the PC each of B, BL and BLX leads."""
        return e.distances(self.text.words[at]) if self.thumb is None else self.thumb.numbers[at]

    def pc(self, at: Indices) -> Offsets:
        """The PC as an instruction reads it."""
        return self.start(at) + (8 if self.thumb is None else 4)

    def literal(self, at: Indices) -> Offsets:
        """Where an instruction loads from that has the PC as its base."""
        address = self.pc(at) + self.text.address
        return (address & ~3) - self.text.address + self.numbers(at)

    def written(self, at: Indices) -> NDArray[np.uint32]:
        """The registers that each instruction writes; indices are ascending."""
        found = written_registers(self.text.words[at])
        if self.thumb is not None and len(at):
            place = np.minimum(np.searchsorted(at, self.thumb.pairs), len(at) - 1)
            here = at[place] == self.thumb.pairs
            registers = np.uint32(1) << self.thumb.second[here]
            found[place[here]] |= registers & np.uint32(0x7FFF)
        return found

    def index(self, offset: Offsets) -> Indices:
        """The instruction that begins at each offset, or -1."""
        count = len(self.text.words)
        if self.thumb is None:
            inside = (offset >= 0) & (offset < count * WORD) & (offset & WORD - 1 == 0)
            return np.where(inside, offset // WORD, -1)
        if not count:
            return np.full(len(offset), -1, np.intp)
        at = np.minimum(np.searchsorted(self.thumb.start, offset), count - 1)
        return np.where(self.thumb.start[at] == offset, at, -1)
