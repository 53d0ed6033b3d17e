"""The stack steps of Arm's 32-bit code: A32 and Thumb, by mapping symbols or by what it looks like.

Nearly every instruction of A32 can have a condition, and some of Thumb's. What one does if its
condition holds is a range here: a push may have taken stack, a pop may not have given it back. A
return with a condition says nothing about the path on which it is none.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.mapping import MappingSymbols
from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.amounts import result, shifted
from stackgauge.isa.arm.candidates import candidates
from stackgauge.isa.arm.data import is_literal
from stackgauge.isa.arm.edges import flows, is_direct, links
from stackgauge.isa.arm.encoding import SP, Words
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.arm.moves import Moves, alignments, joined, pushes_of_ip, read_moves, sums
from stackgauge.isa.arm.sets import listings
from stackgauge.isa.followed import Copies, Registers, Rows, follow_copies, near_words
from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.model import joined as joined_steps
from stackgauge.isa.steps import Collector
from stackgauge.isa.straight import Line, Operand, taken
from stackgauge.isa.words import Indices

# AAPCS32, 6.2.1.1: SP is a multiple of 4 at all times, of 8 at a public interface.
STACK_ALIGNMENT = 4

# At most so many instructions of a section are followed one by one, which bounds the time that a
# made-up file can take. A kernel has some dozens of them.
MOST_FOLLOWED = 20_000

# How many instructions before a return can have its condition.
_EPILOGUE = 8


def read_arm(
    code: Code, ranges: Ranges, *, symbols: MappingSymbols, order: str, data_order: str
) -> Steps:
    """The stack steps of A32 and Thumb code.

    Args:
        code: one section.
        ranges: the stretches of it to read.
        symbols: those that tell A32 from Thumb, and both from data.
        order: NumPy's character of the byte order of instructions.
        data_order: that of data.
    """
    marks = symbols.between(code.address, code.address + len(code.data))
    parts = [_steps(listing) for listing in listings(code, ranges, marks, order, data_order)]
    steps = joined_steps(parts)
    if len(parts) < 2:
        return steps
    return steps.take(np.argsort(steps.start, kind="stable"))


def _steps(listing: Listing) -> Steps:
    text = listing.text
    out = _Out(listing)
    at = candidates(text.words, listing.inside, listing.thumb is not None)
    words = text.words[at]
    flow = _flow(listing, at, words)
    edges = flow != Flow.NEXT
    branches = _Branches(listing, at[edges], words[edges], flow[edges])
    skipped = _unless_returned(listing, branches)
    # A return that pops more than was pushed shows that the caller has pushed for this function.
    returns = (flow == Flow.STOP) & ~skipped[at]
    popped = read_moves(listing, at[returns], words[returns])
    out.added(popped.added, popped.value)
    moving = (flow == Flow.NEXT) & ~skipped[at]
    at, words = at[moving], words[moving]
    kept = ~_is_profiling(listing, branches, at, words)
    moves = read_moves(listing, at[kept], words[kept])
    out.added(moves.added, moves.value)
    out.add(moves.lost, effect=Effect.LOST)
    out.add(moves.aligned, effect=Effect.ALIGN, value=moves.alignment)
    _add_followed(listing, branches, moves, _copies(listing, at, words), skipped, out)
    branches.add(out)
    # Data, where no path goes on.
    out.collector.add(*listing.stops, flow=Flow.STOP)
    return out.steps()


class _Out:
    """Steps under construction, by index of instruction."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.collector = Collector()

    def add(
        self,
        at: Indices,
        *,
        effect: Effect = Effect.NONE,
        value: int | NDArray[np.int64] = 0,
        slot: int | NDArray[np.uint8] = 0,
        flow: Flow = Flow.NEXT,
        target: NDArray[np.uint64] | None = None,
    ) -> None:
        start, end = self._listing.start(at), self._listing.end(at)
        self.collector.add(
            start, end, effect=effect, value=np.asarray(value, np.int32), slot=slot, flow=flow,
            target=target,
        )  # fmt: skip

    def added(self, at: Indices, value: NDArray[np.int64]) -> None:
        """Additions to the stack pointer, those with a condition too."""
        always = e.condition(self._listing.text.words[at]) >= e.ALWAYS
        # Given back perhaps: all the least, and as much more at most.
        shrinks = always | (value > 0)
        self.add(at[shrinks], effect=Effect.ADD, value=value[shrinks])
        self.add(at[~always], effect=Effect.DYNAMIC, value=np.abs(value[~always]))

    def rows(self, rows: Rows) -> None:
        """Steps of copies."""
        start, end = self._listing.start(rows.at), self._listing.end(rows.at)
        self.collector.add(
            start, end, effect=rows.effect, value=rows.value.astype(np.int32), slot=rows.slot
        )

    def address(self, offset: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The addresses at some offsets, of 32 bits."""
        address = offset + self._listing.text.address & 0xFFFFFFFF
        return address.astype(np.uint64)

    def steps(self) -> Steps:
        """All that was added."""
        return self.collector.steps(self.address)[0]


def _flow(listing: Listing, at: Indices, words: Words) -> NDArray[np.uint8]:
    """Where instructions lead; a jump after MOV LR, PC is a call."""
    flow = flows(words)
    jumps = np.flatnonzero((flow == Flow.INDIRECT) & (at > 0))
    before = at[jumps] - 1
    calls = links(listing.text.words[before], words[jumps])
    calls &= listing.follows(at[jumps])
    flow[jumps[calls]] = Flow.CALL
    return flow


class _Branches:
    """The instructions that lead elsewhere: indices, words and flow, ascending."""

    def __init__(
        self, listing: Listing, at: Indices, words: Words, flow: NDArray[np.uint8]
    ) -> None:
        self.at, self.flow = at, flow
        self.conditional = e.condition(words) < e.ALWAYS
        self.direct = is_direct(words)
        # Offsets of where the direct ones go.
        self.target = np.zeros(len(at), np.int64)
        direct = at[self.direct]
        self.target[self.direct] = listing.pc(direct) + listing.distances(direct)
        self._listing = listing

    def begins(self) -> NDArray[np.bool_]:
        """Which instructions control can come to from elsewhere than the one before, (n + 1,)."""
        listing = self._listing
        begins = np.zeros(len(listing.text.words) + 1, bool)
        begins[0] = True
        begins[listing.index(self.target[self.direct])] = True
        begins[listing.index(listing.stops[1])] = True
        ends = np.isin(self.flow, (Flow.JUMP, Flow.STOP, Flow.INDIRECT))
        begins[self.at[ends] + 1] = True
        begins[listing.text.begin] = True
        return begins

    def add(self, out: _Out) -> None:
        """Add where they lead, after all that is done to the stack pointer."""
        target = np.where(self.direct, out.address(self.target), np.uint64(0))
        for flow in (Flow.BRANCH, Flow.JUMP, Flow.CALL, Flow.TRAP):
            which = self.flow == flow
            out.add(self.at[which], flow=flow, target=target[which])
        stops = (self.flow == Flow.STOP) & ~self.conditional
        out.add(self.at[stops], flow=Flow.STOP)
        # With a condition it may also go on.
        jumps = self.flow == Flow.INDIRECT
        after = out.address(self._listing.end(self.at))
        target = np.where(self.conditional, after, np.uint64(0))
        out.add(self.at[jumps], flow=Flow.INDIRECT, target=target[jumps])


# PUSH {LR}, as STR and as STM.
_PUSH_LR = (0xE52DE004, 0xE92D4000)


def _is_profiling(
    listing: Listing, branches: _Branches, at: Indices, words: Words
) -> NDArray[np.bool_]:
    """Which instructions push LR for ``__gnu_mcount_nc``, which takes it off the stack again.

    That is the next instruction's callee, if everything that calls it does so (GCC's
    ARM_FUNCTION_PROFILER in gcc/config/arm/bpabi.h). To an object it is an undefined symbol, like
    others; but nothing else calls one with a stack that is not a multiple of 8.
    """
    pushes = np.flatnonzero(np.isin(words, _PUSH_LR))
    calls = np.flatnonzero((branches.flow == Flow.CALL) & branches.direct)
    called, target = branches.at[calls], branches.target[calls]
    result = np.zeros(len(at), bool)
    if not len(pushes) or not len(calls):
        return result
    place = np.minimum(np.searchsorted(called, at[pushes] + 1), len(called) - 1)
    follows = called[place] == at[pushes] + 1
    follows[follows] = listing.follows(called[place[follows]])
    pushes, place = pushes[follows], place[follows]
    callee, pushed = np.unique(target[place], return_counts=True)
    called_at = np.searchsorted(callee, target)
    called_at[called_at == len(callee)] = 0
    count = np.bincount(called_at[callee[called_at] == target], minlength=len(callee))
    takes = (pushed == count) | (callee + listing.text.address == 0)
    result[pushes[takes[np.searchsorted(callee, target[place])]]] = True
    return result


def _unless_returned(listing: Listing, branches: _Branches) -> NDArray[np.bool_]:
    """Returns with a condition and what stands before them with the same one, (n,).

    They do something only on a path that ends there.
    """
    stops = (branches.flow == Flow.STOP) & branches.conditional
    here = branches.at[stops]
    found = np.zeros(len(listing.text.words), bool)
    found[here] = True
    every = listing.text.words
    # Each turn looks one instruction further back, at all returns at once.
    for _ in range(_EPILOGUE):
        here = here[here > 0]
        same = (every[here] ^ every[here - 1]) >> np.uint32(28) == 0
        same &= listing.follows(here)
        here = here[same] - 1
        found[here] = True
    return found


def _copies(listing: Listing, at: Indices, words: Words) -> Copies:
    """The copies that some instructions make in registers, or, of IP, on the stack."""
    found = joined(sums(at, words, listing.numbers(at)), pushes_of_ip(at, words))
    return found.take(found.into != SP)


def _add_followed(
    listing: Listing,
    branches: _Branches,
    moves: Moves,
    far: Copies,
    skipped: NDArray[np.bool_],
    out: _Out,
) -> None:
    """Add what depends on what registers hold.

    Args:
        listing: the code.
        branches: what leads elsewhere in it.
        moves: what moves the stack pointer.
        far: copies; those in the frame pointer are of use to other pieces of a function.
        skipped: instructions that do nothing on any path that goes on.
        out: what to add to.
    """
    text = listing.text
    frame = e.FP if listing.thumb is None else e.FP_THUMB
    far = far.take((far.into == frame) & (far.source == SP))
    rounded = _rounded(listing, moves.restores)
    rounded[np.flatnonzero(rounded)[MOST_FOLLOWED:]] = False
    sites, rounding = moves.sites[:MOST_FOLLOWED], moves.restores.at[rounded]
    out.add(moves.sites[MOST_FOLLOWED:], effect=Effect.LOST)
    near = near_words(text, np.concatenate([moves.restores.at, sites]))
    written = np.zeros(len(text.words), np.uint32)
    written[near] = np.where(skipped[near], np.uint32(0), listing.written(near))
    restores = moves.restores.take(~rounded)
    near = near_words(text, restores.at)
    registers = Registers(SP, {frame: 0}, lambda at, words: _copies(listing, at, words))
    out.rows(follow_copies(text, restores, far, near, written[near], registers))
    if not len(sites) + len(rounding):
        return
    line = _line(listing, written, branches.begins())
    # Loops over a few instructions, at most MOST_FOLLOWED of each.
    for at in sites.tolist():
        for effect, value in _by_register(int(text.words[at]), partial(line.amount, at)):
            out.add(np.array([at]), effect=effect, value=value)
    for at in rounding.tolist():
        _add_rounded(listing, line, at, out)


def _rounded(listing: Listing, restores: Copies) -> NDArray[np.bool_]:
    """Which restores follow an instruction that rounds the register down.

    So LLVM does it in Thumb code, which has no instruction that rounds SP itself:
    ``mov r4, sp; bfc r4, #0, #4; mov sp, r4``, or with a subtraction for the first.
    """
    at = np.maximum(restores.at, 1)
    words, numbers = listing.text.words[at - 1], listing.numbers(at - 1)
    found = listing.follows(at) & (restores.value == 0)
    found &= alignments(words, numbers, restores.source) > 0
    return found


def _add_rounded(listing: Listing, line: Line, at: int, out: _Out) -> None:
    """Add one of these; what its register was made from must be the stack pointer."""
    one = np.array([at])
    register = int(e.rm(listing.text.words[one])[0])
    words, numbers = listing.text.words[one - 1], listing.numbers(one - 1)
    above = line.above_sp(at - 1, register)
    if above is None:
        out.add(one, effect=Effect.LOST)
        return
    # Of less than the stack's own alignment, the sum is rounded too.
    out.add(one, effect=Effect.ADD, value=above // STACK_ALIGNMENT * STACK_ALIGNMENT)
    out.add(one, effect=Effect.ALIGN, value=alignments(words, numbers, register))


def _line(listing: Listing, written: NDArray[np.uint32], begins: NDArray[np.bool_]) -> Line:
    """What looks back from an instruction; its words are the instructions' indices."""

    def amount(at: int, operand: Operand) -> Amount:
        one = np.array([at])
        words = listing.text.words[one]
        if not is_literal(words)[0]:
            return result(int(words[0]), int(listing.numbers(one)[0]), operand)
        offset = int(listing.literal(one)[0])
        if not 0 <= offset <= len(listing.raw) - 4:
            return ANY
        return known(int(np.frombuffer(listing.raw, f"{listing.order}u4", 1, offset)[0]))

    def step(at: int, _: Operand) -> tuple[int, int] | None:
        one = np.array([at])
        copies = sums(one, listing.text.words[one], listing.numbers(one))
        return (int(copies.source[0]), int(copies.value[0])) if len(copies.at) else None

    indices = np.arange(len(listing.text.words), dtype=np.uint32)
    return Line(indices, written, begins, SP, amount, step)


def _by_register(word: int, amount: Operand) -> list[tuple[Effect, int]]:
    """What ADD or SUB of a register does to the stack pointer."""
    first = word >> 16 & 15
    number = shifted(word, amount) if first == SP else amount(first)
    exact = number.exact
    if exact is not None:
        exact -= (exact >> 31 & 1) << 32
    if word & 0x01E00000 == 0x00400000:
        # Of the register less SP nothing is known.
        rows = taken(number if exact is None else known(exact), STACK_ALIGNMENT)
        return rows if first == SP else [(Effect.LOST, 0)]
    return [(Effect.LOST, 0)] if exact is None else taken(known(-exact), STACK_ALIGNMENT)
