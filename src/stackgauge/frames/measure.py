"""A frame for each function of an image, with the evidence that it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.cut import in_midst, leads_on, leaves_deep
from stackgauge.evidence.instructions import instruction_rows, read_steps
from stackgauge.evidence.orc import orc_rows
from stackgauge.evidence.padding import first_code, without_padding
from stackgauge.evidence.pieces import Pieces, place
from stackgauge.evidence.table import (
    NO_LIMIT,
    UNKNOWN,
    Peaks,
    Rows,
    deeper,
    known,
    no_rows,
    peaks,
    sample,
)
from stackgauge.evidence.unseen import unseen
from stackgauge.frames.functions import Functions, find_functions
from stackgauge.image.arrays import member, sorted_unique
from stackgauge.image.elf import EM_ARM
from stackgauge.image.opening import Image
from stackgauge.image.relocate import relocated
from stackgauge.image.source import Bytes
from stackgauge.isa import isa_of
from stackgauge.isa.model import Flow, Isa, Steps
from stackgauge.kernel.noreturns import noreturns
from stackgauge.kernel.tables import replacements, table_jumps

if TYPE_CHECKING:
    from stackgauge.evidence.cfi import Cfi

# How many bytes at a function's start may be NOPs that CFI leaves out.
_PATCHABLE = 16


class Kind(IntEnum):
    """What a frame's number means."""

    UNKNOWN = 0
    STATIC = 1
    DYNAMIC = 2
    """The frame depends on run-time data: a least value, and a most where a limit is known."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of an image, one entry a stretch of code, in the order of ``functions``.

    The frame of a function is that of all its stretches; a cold piece's own entry says nothing.

    Attributes:
        image: what was measured.
        isa: its architecture.
        functions: which function each entry is.
        least: bytes that the function uses at least, UNKNOWN where nothing is known, int32.
        most: bytes that it uses at most, NO_LIMIT where there is none, int32.
        kind: Kind, uint8.
        evidence: Evidence, uint8.
        pieces: the peak of each stretch by itself.
        rows: the rows of the functions that no table settles, as the instructions say.
        contents: gives a section's bytes, relocated where the image is an object.
    """

    image: Image
    isa: Isa
    functions: Functions
    least: NDArray[np.int32]
    most: NDArray[np.int32]
    kind: NDArray[np.uint8]
    evidence: NDArray[np.uint8]
    pieces: Peaks
    rows: Rows
    contents: Callable[[str | int], Bytes]

    @cached_property
    def frame(self) -> NDArray[np.int32]:
        """The figure that is printed: ``most``, or ``least`` where there is no limit."""
        return printed(self.least, self.most)


def printed(least: NDArray[np.int32], most: NDArray[np.int32]) -> NDArray[np.int32]:
    """The figure to print for a range: the most, or the least where there is no limit."""
    return np.where(most >= NO_LIMIT, least, most)


class Measurer:
    """What one image's evidence is computed from; each table is read when it is first needed."""

    def __init__(self, image: Image) -> None:
        """Take an image; nothing is read yet."""
        self.image = image
        self.isa = isa_of(image.elf)

    def contents(self, which: str | int) -> Bytes:
        """A section's bytes, relocated where the image is an object."""
        return relocated(self.image.elf, which, self.image.symbols)

    @cached_property
    def orc(self) -> Rows:
        """The rows of ORC; none where the image has none."""
        elf = self.image.elf
        return without_padding(orc_rows(elf, self.contents), elf, self.isa)

    @cached_property
    def _cfi(self) -> Cfi:
        # Imported where needed alone: a kernel has one table or another, seldom all.
        from stackgauge.evidence.cfi import cfi_rows

        return cfi_rows(self.image.elf, self.isa, self.contents)

    @property
    def cfi(self) -> Rows:
        """The rows of call frame information; none where the image has none."""
        return self._cfi.rows

    @cached_property
    def ehabi(self) -> Rows:
        """The rows of ARM's EHABI; none where the image has none."""
        if self.image.elf.machine != EM_ARM:
            return no_rows()
        from stackgauge.evidence.ehabi import ehabi_rows

        return ehabi_rows(self.image.elf, self.contents)

    @cached_property
    def table(self) -> Rows:
        """The table that says most: ORC, which sees every instruction, or else CFI."""
        return self.orc if len(self.orc) else self.cfi

    @cached_property
    def functions(self) -> Functions:
        """The image's functions."""
        begins = self.ehabi.start
        if not len(self.orc):
            begins = np.concatenate([begins, self._cfi.fde_start])
        return find_functions(self.image.elf, self.image.symbols, self.isa, self.table, begins)

    @cached_property
    def steps(self) -> Steps:
        """What the instructions of all functions do to the stack."""
        functions = self.functions
        return read_steps(self.image.elf, self.isa, self.contents, functions.start, functions.end)

    def _steps_of(self, pieces: Pieces) -> Steps:
        """The same of some functions, of which few are read where a table sees instructions."""
        if len(self.orc):
            return read_steps(self.image.elf, self.isa, self.contents, pieces.start, pieces.end)
        return place(self.steps, pieces).steps

    def _pieces(self, which: NDArray[np.bool_]) -> Pieces:
        """The stretches of some functions, which are numbered by ``unique`` of their routines."""
        functions, chosen = self.functions, np.flatnonzero(which)
        numbered = np.unique(functions.routine[chosen], return_inverse=True)[1]
        return Pieces(
            functions.start[chosen], functions.end[chosen], numbered, functions.parent[chosen] < 0
        )

    def peaks(self, table: Rows) -> Peaks:
        """What a table says of each function.

        GCC's CFI begins after the NOPs that are to be patched (-fpatchable-function-entry), so a
        function that it leaves open is looked up from its first other instruction.
        """
        start, end = self.functions.start.copy(), self.functions.end
        late = np.flatnonzero(sample(table, start) < 0)
        entry = np.minimum(start[late] + np.uint64(_PATCHABLE), end[late])
        begin = first_code(self.image.elf, self.isa, start[late], entry)
        start[late] = np.where(begin < end[late], begin, start[late])
        return peaks(table, start, end)

    def beyond(self, table: Rows, settled: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which settled functions have instructions that take stack where the table says not so."""
        functions, elf = self.functions, self.image.elf
        # What an alternative does counts at the instruction that it may replace.
        patched = replacements(elf, self.contents)
        start, first = np.unique(patched.start, return_index=True)
        taken = unseen(
            read_steps(elf, self.isa, self.contents, start, patched.end[first]), no_rows()
        )
        takes = np.searchsorted(taken, patched.end) > np.searchsorted(taken, patched.start)
        steps = self._steps_of(self._pieces(settled[functions.routine]))
        places = np.concatenate([unseen(steps, table), patched.site[takes]])
        result = np.zeros(len(functions), bool)
        at = np.searchsorted(functions.start, places, side="right") - 1
        result[functions.routine[at[at >= 0]]] = True
        return result

    def cut(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Functions of no known size that a label has cut, and what each goes on with.

        Whether one does is only looked at where a table says that what follows it in the text has
        more on the stack than a call puts there.
        """
        functions = self.functions
        midst = in_midst(functions.start, self.table, self.isa) & (functions.parent < 0)
        before = np.flatnonzero(midst[1:] & ~functions.sized[:-1])
        pieces = self._pieces(member(np.arange(len(functions)), before))
        code = place(self._steps_of(pieces), pieces)
        over = before[leads_on(code)]
        jumps = np.flatnonzero((code.steps.flow == Flow.JUMP) | (code.steps.flow == Flow.BRANCH))
        into = np.searchsorted(functions.start, code.steps.target[jumps], side="right") - 1
        met = (into >= 0) & midst[into]
        return np.append(over, before[code.piece[jumps[met]]]), np.append(over + 1, into[met])

    def instructions(self, which: NDArray[np.bool_], other: Rows) -> tuple[Rows, Judged]:
        """What the instructions of some functions say.

        Args:
            which: mask over ``functions``; a function and its cold pieces go together.
            other: rows of other evidence, which counts where it is deeper or alone.

        Returns:
            The rows, and the frames of the functions of ``which``.
        """
        functions, elf = self.functions, self.image.elf
        used, pieces = sorted_unique(functions.routine[which]), self._pieces(which)
        steps = self._steps_of(pieces)
        followed = instruction_rows(
            elf, self.isa, self.contents, pieces, steps,
            table_jumps(elf, self.image.symbols, self.contents), replacements(elf, self.contents),
            noreturns(self.image.symbols),
        )  # fmt: skip
        rows = deeper(followed.rows, other)
        listed = self._pieces(np.ones(len(functions), bool))
        deep = leaves_deep(place(steps, pieces), rows, self.isa, listed) & ~functions.sized[which]
        doubtful = followed.doubtful
        doubtful[pieces.routine[deep]] = True
        pieces = followed.pieces
        judged = judge(peaks(rows, pieces.start, pieces.end), used[pieces.routine], len(functions))
        judged.settled[used] &= ~doubtful
        judged.dynamic[used] = followed.dynamic
        judged.most[used[followed.unlimited]] = NO_LIMIT
        return rows, judged


@dataclass(frozen=True, eq=False)
class Judged:
    """Frames by function, one entry a function: columns as in ``Frames``."""

    least: NDArray[np.int32]
    most: NDArray[np.int32]
    settled: NDArray[np.bool_]
    dynamic: NDArray[np.bool_]
    evidence: NDArray[np.uint8]


def judge(found: Peaks, routine: NDArray[np.intp], count: int) -> Judged:
    """Put the peaks of pieces of code together, function by function.

    Args:
        found: the peak of each piece.
        routine: the function that each piece is part of.
        count: how many functions there are.
    """
    least, most = np.full((2, count), UNKNOWN, np.int32)
    settled, evidence = np.ones(count, bool), np.zeros(count, np.uint8)
    np.maximum.at(least, routine, found.depth)
    np.maximum.at(most, routine, found.most)
    np.logical_and.at(settled, routine, found.settled)
    np.maximum.at(evidence, routine, found.evidence)
    return Judged(least, most, settled, np.zeros(count, bool), evidence)


def _doubt_cut(work: Measurer, whole: Judged) -> None:
    """Where a label has cut a function, its figure may be that of its first part alone.

    What follows the label counts from the same place, so it matters where it is deeper.
    """
    first, second = work.cut()
    first, second = work.functions.routine[first], work.functions.routine[second]
    # Few, and as many turns as a function has parts.
    while True:
        deeper_on = (whole.least[second] > whole.least[first]) | ~whole.settled[second]
        doubtful = first[deeper_on & whole.settled[first]]
        if not len(doubtful):
            break
        whole.settled[doubtful] = False


def _settle_rest(work: Measurer, whole: Judged, endless: NDArray[np.bool_]) -> None:
    """Let EHABI say the frames that nothing else does.

    It tells of a function's body and not of each instruction, so it comes last, and is believed
    only where it is at least as deep as what else is known: in an entry of the function's own, or
    where both are the same, in that of a neighbour, since the linker drops an equal one. The range
    of another entry in a function without a size is that of a neighbour without a name.
    """
    table, functions = work.ehabi, work.functions
    if not len(table):
        return
    row = sample(table, functions.start)
    first = table.take(np.maximum(row, 0))
    own = (row >= 0) & known(first)
    same = (first.depth > 0) & (first.depth == whole.least)
    own &= (first.start == functions.start) | same | (functions.parent >= 0)
    found = judge(
        Peaks(first.depth, first.most, own, first.evidence), functions.routine, len(functions)
    )
    settles = found.settled & ~whole.settled & ~endless & (found.least >= whole.least)
    for column in ("least", "most", "settled", "dynamic", "evidence"):
        getattr(whole, column)[settles] = getattr(found, column)[settles]


def measure(image: Image, work: Measurer | None = None) -> Frames:
    """The frame of every function of an image.

    Args:
        image: the image.
        work: what is to compute it, of a caller that wants its tables as well.
    """
    work = work or Measurer(image)
    functions = work.functions
    routine, table = functions.routine, work.table
    pieces = work.peaks(table)
    whole = judge(pieces, routine, len(functions))
    rows = no_rows()
    # A function of which any piece is not settled is read whole.
    rest = ~whole.settled
    if not len(work.orc):
        rest |= work.beyond(table, whole.settled)
    rest = rest[routine]
    if rest.any():
        rows, read = work.instructions(rest, table)
        inside = peaks(rows, functions.start[rest], functions.end[rest])
        for ours, theirs in ((whole, read), (pieces, inside)):
            for field in fields(ours):
                column = getattr(theirs, field.name)
                getattr(ours, field.name)[rest] = column if theirs is inside else column[rest]
    _doubt_cut(work, whole)
    # Of a function without a limit only the least is said, and code that is not understood
    # can't make that less.
    endless = whole.dynamic & (whole.most >= NO_LIMIT)
    _settle_rest(work, whole, endless)
    kind = np.full(len(functions), Kind.UNKNOWN, np.uint8)
    kind[whole.settled] = Kind.STATIC
    kind[whole.settled & whole.dynamic | endless] = Kind.DYNAMIC
    return Frames(
        image,
        work.isa,
        functions,
        whole.least,
        whole.most,
        kind,
        whole.evidence,
        pieces,
        rows,
        work.contents,
    )
