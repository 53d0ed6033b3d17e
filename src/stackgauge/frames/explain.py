"""Where the bytes of one function's frame go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.frames.contents import Contents, FrameContents
from stackgauge.frames.finding import find_named, not_found
from stackgauge.frames.layout import Layout, Run, What, lay_out
from stackgauge.frames.listing import FrameRow, frame_rows
from stackgauge.frames.measure import Frames
from stackgauge.frames.variables import Inlined, Span, Variable
from stackgauge.image.dwarf_cursor import BrokenError
from stackgauge.image.dwarf_types import Member, members
from stackgauge.isa.model import Isa

# How many variables are looked at for what it would save to do without them.
_CANDIDATES = 3


class Part(NamedTuple):
    """Bytes of a frame; the names of the fields are those of every output format.

    Attributes:
        offset: from the caller's stack pointer before the call, negative.
        bytes: how many.
        what: ``return address``, ``saved register``, ``canary``, ``variable``, ``spill``,
            ``outgoing argument``, ``padding`` or ``unnamed``.
        name: of the variable or register; empty where there is none.
        type: the variable's, as C writes it; it can be larger than ``bytes``, or smaller, where
            others are counted for some of its bytes.
        file, line: where the variable is declared, empty and None where not told.
        inlined: the inlined functions that brought it, from the outermost on.
        shares: names of other variables that lie in the same bytes at other times.
    """

    offset: int
    bytes: int
    what: str
    name: str
    type: str
    file: str
    line: int | None
    inlined: tuple[Inlined, ...]
    shares: tuple[str, ...]


class Candidate(NamedTuple):
    """A variable, and what the frame would be without it.

    Attributes:
        name, type, size, file, line: the variable's, as in ``Part``.
        saves: bytes that nothing else takes.
        frame: what would be left of the frame.
        members: what its structure, or an element of an array of structures, consists of.
    """

    name: str
    type: str
    size: int | None
    file: str
    line: int | None
    saves: int
    frame: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Explained:
    """Where one frame's bytes go.

    Attributes:
        row: the function and its frame.
        size: bytes that ``parts`` are of: the least that the function uses.
        parts: from the top of the frame down, each byte once.
        totals: bytes by kind of part.
        inlined: bytes that functions inlined directly into this one brought, with what was inlined
            into them; the largest first.
        shrink: the variables without which the frame would be smallest, the best first.
        notes: what could not be told, and why.
    """

    row: FrameRow
    size: int
    parts: tuple[Part, ...]
    totals: dict[str, int]
    inlined: tuple[tuple[Inlined, int], ...]
    shrink: tuple[Candidate, ...]
    notes: tuple[str, ...]

    @property
    def named(self) -> int:
        """Bytes of variables, those that were only saved there among them."""
        return self.totals[What.VARIABLE.value] + self.totals[What.SPILL.value]


def explain(frames: Frames, function: str) -> list[Explained]:
    """Where the frames of the functions of a name go.

    Args:
        frames: the measured image.
        function: a name, of which there may be several functions, or an address as ``0x…``.

    Returns:
        One for each function, by ascending address.

    Raises:
        UsageError: there is none.
    """
    rows = find_named(frames, function)
    if not len(rows):
        raise not_found([frames], function)
    return explain_rows(frames, rows)


def explain_rows(frames: Frames, rows: NDArray[np.intp]) -> list[Explained]:
    """The same for functions by their rows in ``frames.functions``, none of them a cold piece."""
    contents = FrameContents(frames)
    return [
        _explained(frames.isa, row, contents.of(index))
        for index, row in zip(rows.tolist(), frame_rows(frames, rows), strict=True)
    ]


def _explained(isa: Isa, row: FrameRow, found: Contents) -> Explained:
    """Divide a frame among what lies in it."""
    notes = list(found.notes)
    # Where a compiler moves the stack pointer before it says so, spills seem to lie too low.
    reach = max(
        [-item.span.offset for item in found.items if item.what is not What.SPILL], default=0
    )
    if row.least is None:
        notes.append("the frame is not known: this is what is known to lie in it")
    size = reach if row.least is None else row.least
    layout = lay_out(found.items, size, isa.bits // 8)
    if found.wandering:
        notes += _settle(found, layout)
        layout = lay_out(found.items, size, isa.bits // 8)
    if reach > size:
        notes.append(f"variables reach up to {reach - size} bytes below the frame")
    parts = tuple(_part(found, run) for run in layout.runs)
    totals = {what.value: 0 for what in What}
    for part in parts:
        totals[part.what] += part.bytes
    return Explained(
        row,
        size,
        parts,
        totals,
        _inlined(parts),
        _candidates(isa, found, layout, size),
        tuple(notes),
    )


def _settle(found: Contents, layout: Layout) -> list[str]:
    """Give variables whose place only the running code knows one that nothing else has.

    Returns:
        Notes that say so.
    """
    gaps = [run.span for run in layout.runs if run.what is What.UNNAMED]
    notes = []
    for variable in sorted(found.wandering, key=lambda each: -(each.size or 0)):
        size = variable.size or 0
        large = [gap for gap in gaps if gap.size >= size]
        if large:
            gap = min(large, key=lambda gap: gap.size)
            gaps[gaps.index(gap)] = Span(gap.offset + size, gap.size - size)
            found.add(What.VARIABLE, Span(gap.offset, size), variable)
            notes.append(f"{variable.name} is aligned at run time: it lies there, or a bit above")
    return notes


def _part(found: Contents, run: Run) -> Part:
    fact = found.facts[run.owner] if run.owner >= 0 else None
    others = [found.facts[index] for index in run.others]
    names = dict.fromkeys(each.name or "?" for each in others if isinstance(each, Variable))
    common = (run.span.offset, run.span.size, run.what.value)
    if isinstance(fact, Variable):
        names.pop(fact.name, None)
        return Part(*common, fact.name, fact.type, fact.file, fact.line, fact.inlined, tuple(names))
    return Part(*common, fact.name if fact else "", "", "", None, (), tuple(names))


def _inlined(parts: tuple[Part, ...]) -> tuple[tuple[Inlined, int], ...]:
    counts: Counter[Inlined] = Counter()
    for part in parts:
        if part.inlined:
            counts[part.inlined[0]] += part.bytes
    return tuple(counts.most_common())


def _candidates(isa: Isa, found: Contents, layout: Layout, size: int) -> tuple[Candidate, ...]:
    """The variables that would save most; the same one inlined several times is one."""
    first: dict[object, Variable] = {}
    for item, fact in zip(found.items, found.facts, strict=True):
        if isinstance(fact, Variable) and item.what is What.VARIABLE:
            first.setdefault(item.key, fact)
    best = sorted(first, key=lambda key: -layout.alone.get(key, 0))[:_CANDIDATES]
    candidates = []
    for key in best:
        variable, alone = first[key], layout.alone.get(key, 0)
        saves = alone // isa.stack_alignment * isa.stack_alignment
        if saves:
            candidates.append(
                Candidate(
                    variable.name, variable.type, variable.size, variable.file, variable.line,
                    saves, size - saves, _members(variable),
                )
            )  # fmt: skip
    return tuple(candidates)


def _members(variable: Variable) -> tuple[Member, ...]:
    if variable.structure is None:
        return ()
    try:
        return tuple(members(variable.structure))
    except BrokenError:
        return ()
