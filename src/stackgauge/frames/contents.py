"""What lies in one function's frame, gathered from all that tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import Rows
from stackgauge.frames.anchors import Anchors
from stackgauge.frames.canary import find_canary
from stackgauge.frames.layout import Item, What
from stackgauge.frames.measure import Frames, Measurer
from stackgauge.frames.registers import holds_return_address, linkage_area
from stackgauge.frames.saved import Saved, pushed_arguments, pushed_registers, saved_registers
from stackgauge.frames.unwinding import Unwinding
from stackgauge.frames.variable_entries import find_variables
from stackgauge.frames.variables import Span, Variable
from stackgauge.image.dwarf_bytes import open_dwarf

# The largest functions of a kernel have some thousand; this many are not a compiler's.
_MOST_ITEMS = 1 << 13


@dataclass
class Contents:
    """What lies in one frame.

    Attributes:
        items: the things, by who counts first where several lie in the same bytes; their places
            are distances from the caller's stack pointer before the call.
        facts: for each item the variable or the register that it is; None for others.
        wandering: variables that lie in the frame, at a place that only the running code knows.
        notes: what could not be told, and why.
        known: the items, and those that are too many.
    """

    items: list[Item] = field(default_factory=list)
    facts: list[Variable | Saved | None] = field(default_factory=list)
    wandering: list[Variable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    known: set[Item] = field(default_factory=set)

    def add(self, what: What, span: Span, fact: Variable | Saved | None = None) -> None:
        """Add an item, but none twice and no more than there can be."""
        key: object = what
        if isinstance(fact, Variable):
            key = (fact.name, fact.type, fact.file, fact.line)
        item = Item(what, span, key)
        if item in self.known:
            return
        self.known.add(item)
        if len(self.items) < _MOST_ITEMS:
            self.items.append(item)
            self.facts.append(fact)
        elif len(self.known) == _MOST_ITEMS + 1:
            self.notes.append(f"it has more than {_MOST_ITEMS} variables: not all are shown")


class FrameContents:
    """Tells what lies in the frames of one image, function by function."""

    def __init__(self, frames: Frames) -> None:
        """Take a measured image; nothing is read yet."""
        self._frames, self._isa = frames, frames.isa
        self._unwinding = Unwinding(frames.image.elf, frames.contents)
        self._dwarf = open_dwarf(frames.image.elf, frames.contents)

    @cached_property
    def _table(self) -> Rows:
        """The image's table, for where call frame information is missing."""
        return Measurer(self._frames.image).table

    def of(self, index: int) -> Contents:
        """What lies in the frame of the function of a row of ``functions``."""
        frames, isa = self._frames, self._isa
        functions = frames.functions
        stretches = np.flatnonzero(functions.routine == index).tolist()
        pieces = [(int(functions.start[at]), int(functions.end[at])) for at in stretches]
        main = int(functions.start[index]), int(functions.end[index])
        states = self._unwinding.states(pieces)
        rows = _inside(frames.rows, pieces)
        if not states and not len(rows):
            rows = _inside(self._table, pieces)
        anchors = Anchors(isa, states, rows)
        contents = Contents()
        saved = saved_registers(isa, states, anchors) if states else pushed_registers(frames, *main)
        if not states:
            contents.notes.append(
                "there is no call frame information: saved registers are what it pushes at first"
                if saved
                else "no call frame information says which registers are saved"
            )
        for register in saved:
            self._add(
                contents, What.RETURN if register.returns else What.SAVED, register.span, register
            )
        for piece in pieces:
            self._add_canary(contents, piece, anchors)
        found = find_variables(self._dwarf, *main, anchors)
        if found.missing:
            contents.notes.append(found.missing)
        self._add_variables(contents, found.variables)
        contents.wandering = [
            each for each in found.variables if each.size and not each.homes and not each.spills
        ]
        pushed = pushed_arguments(frames, pieces, anchors, saved)
        for span in _merged([*found.arguments, *pushed]):
            self._add(contents, What.ARGUMENT, span)
        calls = any(holds_return_address(isa.name, each) for one in states for each in one.saved)
        area = linkage_area(isa.name, frames.image.elf.bits, frames.image.elf.order)
        if calls and 0 < area <= frames.least[index]:
            contents.add(What.LINKAGE, Span(-int(frames.least[index]), area))
        return contents

    def _add(
        self, contents: Contents, what: What, span: Span, fact: Variable | Saved | None = None
    ) -> None:
        """Add an item, if any of it lies in the frame and not in the caller's."""
        bias = self._isa.cfa_bias
        if span.offset + bias < 0:
            contents.add(what, Span(span.offset + bias, span.size), fact)

    def _add_canary(self, contents: Contents, piece: tuple[int, int], anchors: Anchors) -> None:
        elf, isa = self._frames.image.elf, self._isa
        for index in elf.executable.tolist():
            base, size = int(elf.headers["addr"][index]), int(elf.headers["size"][index])
            if base <= piece[0] < base + size:
                code = self._frames.contents(index)[piece[0] - base : piece[1] - base]
                order = "<" if isa.name == "arm64" else elf.order
                store = find_canary(isa.name, order, code)
                if store:
                    from_cfa = anchors(store.register, piece[0] + store.at)
                    if from_cfa is not None:
                        span = Span(from_cfa + store.offset, isa.bits // 8)
                        self._add(contents, What.CANARY, span)

    def _add_variables(self, contents: Contents, variables: tuple[Variable, ...]) -> None:
        """Variables where they lie, the largest first; then what was saved of others."""
        word = self._isa.bits // 8
        homes = [(span, variable) for variable in variables for span in variable.homes]
        homes.sort(key=lambda pair: (-pair[0].size, not pair[1].fixed, len(pair[1].inlined)))
        whole = [pair for pair in homes if pair[1].fixed or pair[0].size > word]
        spills = [pair for pair in homes if not (pair[1].fixed or pair[0].size > word)]
        spills += [(span, variable) for variable in variables for span in variable.spills]
        for span, variable in whole:
            self._add(contents, What.VARIABLE, span, variable)
        # What is read out of a variable that lies there is nothing of its own.
        low, high = _bounds([span for span, _ in whole])
        for span, variable in spills:
            if not ((low <= span.offset) & (high >= span.offset + span.size)).any():
                self._add(contents, What.SPILL, span, variable)


def _merged(spans: list[Span]) -> list[Span]:
    """Spans that touch each other made one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.offset <= merged[-1].offset + merged[-1].size:
            before = merged.pop()
            end = max(before.offset + before.size, span.offset + span.size)
            merged.append(Span(before.offset, end - before.offset))
        else:
            merged.append(span)
    return merged


def _bounds(spans: list[Span]) -> NDArray[np.int64]:
    """Where some spans begin and end: two rows."""
    bounds = np.array(spans, np.int64).reshape(-1, 2).T
    return np.stack([bounds[0], bounds[0] + bounds[1]])


def _inside(rows: Rows, pieces: list[tuple[int, int]]) -> Rows:
    """The rows that speak of some stretches of code."""
    which = np.zeros(len(rows), bool)
    for start, end in pieces:
        which |= (rows.start < np.uint64(end)) & (rows.end > np.uint64(start))
    return rows.take(which)
