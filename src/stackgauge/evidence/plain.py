"""Routines whose stack is the same on every path: found by sums, and checked on every edge.

Most routines push, call, pop and return, and nothing in them depends on the way that control has
come. For all of them at once the depth before each instruction is a sum along the text, but for a
number that is the same for a whole run of instructions (a stretch that control leaves only at its
end, or by branches). That number comes along one edge into the run. Then every other edge is held
against it: a routine in which one does not agree, or in which an instruction is not certain to be
reached, or which does anything else with the stack pointer, is left to be followed path by path.

What is said here is therefore what following the paths would say.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.pieces import Placed
from stackgauge.evidence.table import UNKNOWN, Base, Evidence, Rows, make_rows
from stackgauge.image.arrays import member
from stackgauge.isa.model import SAVED, SLOTS, Effect, Flow, Isa
from stackgauge.kernel.tables import Jumps

Ints = NDArray[np.int32]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

_ENDS = np.zeros(len(Flow), bool)
_ENDS[[Flow.JUMP, Flow.STOP, Flow.INDIRECT]] = True
# More than an instruction of a plain routine takes.
_LARGE = 1 << 16
# More turns than a chain of 2**31 runs would need, each doubling how far it has been followed.
_DOUBLINGS = 32


class Plain(NamedTuple):
    """What is known.

    Attributes:
        routine: which routines are plain, bool.
        rows: of the pieces of these.
    """

    routine: Mask
    rows: Rows


def plain_rows(code: Placed, isa: Isa, jumps: Jumps, routines: int) -> Plain:
    """Find the plain routines.

    Args:
        code: what the instructions of all pieces do.
        isa: gives the depth at entry.
        jumps: edges from the kernel's tables, each within one routine.
        routines: how many there are.
    """
    work = _Code(code, routines)
    edges = _edges(work, jumps)
    runs = _Runs(work, edges, isa)
    rows = _rows(work, runs, isa)
    return Plain(~work.odd, rows)


class _Code:
    """The code; ``odd`` gathers the routines that are not plain."""

    def __init__(self, code: Placed, routines: int) -> None:
        self.code = code
        self.steps, self.pieces, self.piece = code.steps, code.pieces, code.piece
        self.first, self.after = code.first, code.after
        steps, pieces = self.steps, self.pieces
        self.odd = np.ones(routines, bool)
        self.odd[pieces.routine[pieces.entry]] = False
        self.odd[pieces.routine[(code.first == code.after) & ~pieces.entry]] = True
        self.mark(steps.effect > Effect.RESTORE)
        self.mark((steps.effect == Effect.RESTORE) & (steps.slot == SAVED))
        # No sum may overflow.
        large = (steps.value > _LARGE) | (steps.value < -_LARGE)
        self.mark(large)
        taken = np.where((steps.effect == Effect.ADD) & ~large, -steps.value, np.int32(0))
        if int(np.abs(taken).sum(dtype=np.int64)) >= 1 << 30:
            self.odd[:] = True
            taken[:] = 0
        # What all steps before each have taken, (n + 1,).
        self.taken = np.zeros(len(steps) + 1, np.int32)
        np.cumsum(taken, out=self.taken[1:])

    def mark(self, which: Mask | Indices) -> None:
        """Leave out the routines of some steps."""
        self.odd[self.code.routine(which)] = True


class _Edges(NamedTuple):
    """Edges within routines: columns of one length.

    Attributes:
        source: the step that is the last before it.
        target: the step that is the first after it.
        place: the address that it leads to, at which ``target`` or what comes before it begins.
        change: how much more has been taken before ``target`` than when the edge was taken, by the
            sums along the text: what these are wrong by if there is no other run in between.
    """

    source: Indices
    target: Indices
    place: NDArray[np.uint64]
    change: Ints


def _edges(code: _Code, jumps: Jumps) -> _Edges:
    steps, pieces = code.steps, code.pieces
    source = np.flatnonzero((steps.flow == Flow.BRANCH) | (steps.flow == Flow.JUMP))
    into, leaves = code.code.leaving(source)
    source, into = source[~leaves], into[~leaves]
    _mark_inner_calls(code)
    target = np.searchsorted(steps.start, steps.target[source])
    # Nothing follows that matters, for example the NOPs at a piece's end.
    some = target < code.after[into]
    code.mark(source[~some])
    source, target = source[some], target[some]
    # What is listed starts before its instruction.
    here, there = pieces.at(jumps.source), pieces.at(jumps.target)
    inside = (here >= 0) & (there >= 0)
    here, there = here[inside], there[inside]
    before = np.searchsorted(steps.start, jumps.source[inside])
    after = np.searchsorted(steps.start, jumps.target[inside])
    some = (before < code.after[here]) & (after < code.after[there])
    some &= pieces.routine[here] == pieces.routine[there]
    code.odd[pieces.routine[here[~some]]] = True
    code.odd[pieces.routine[there[~some]]] = True
    before, after = before[some], after[some]
    taken = code.taken
    return _Edges(
        np.concatenate([source, before]),
        np.concatenate([target, after]),
        np.concatenate([steps.target[source], jumps.target[inside][some]]),
        np.concatenate([taken[source + 1] - taken[target], taken[before] - taken[after]]),
    )


def _mark_inner_calls(code: _Code) -> None:
    """A call to code of the same routine, other than of the routine itself."""
    steps, pieces = code.steps, code.pieces
    calls = np.flatnonzero(steps.flow == Flow.CALL)
    # Most calls can only be inner ones if they stay in the piece.
    into, target = code.piece[calls], steps.target[calls]
    several = np.bincount(pieces.routine, minlength=len(code.odd))[pieces.routine] > 1
    calls = calls[(target >= pieces.start[into]) & (target < pieces.end[into]) | several[into]]
    callee, leaves = code.code.leaving(calls)
    calls, callee = calls[~leaves], callee[~leaves]
    code.mark(calls[(steps.target[calls] != pieces.start[callee]) | ~pieces.entry[callee]])


class _Runs:
    """Stretches of steps that control leaves only at their end, or by branches.

    Attributes:
        first, last: steps of each.
        run: by step, which one it is in.
        reached: the step from which on each is reached; after the last where none is known to be.
        begin: the address from which on each is reached; 0 where it is entered at its first byte.
        base: the depth before each of its steps, less what the sums along the text say.
    """

    def __init__(self, code: _Code, edges: _Edges, isa: Isa) -> None:
        steps = code.steps
        restores = steps.effect == Effect.RESTORE
        leaves = _ENDS.take(steps.flow)
        ends = leaves | restores
        ends[code.after[code.after > code.first] - 1] = True
        self.last = np.flatnonzero(ends)
        self.first = np.append(0, self.last[:-1] + 1)[: len(self.last)]
        self.run = np.repeat(np.arange(len(self.last), dtype=np.int32), self.last - self.first + 1)
        piece = code.piece[self.first]
        self._root = code.pieces.entry[piece] & (self.first == code.first[piece])
        # Runs that go on from a RESTORE.
        before = self.last[:-1]
        restored = restores[before] & ~leaves[before] & (piece[1:] == code.piece[before])
        self._restored = np.flatnonzero(restored) + 1
        # Not where it branches as well, or nothing that matters follows in its piece.
        alone = restores[self.last] & ~leaves[self.last]
        alone[:-1] &= ~restored | (steps.flow[before] == Flow.BRANCH)
        code.mark(self.last[alone])
        self._enter(edges)
        self._reach(edges)
        self.begin = self._begins(edges)
        self.base = self._bases(code, edges, isa)
        self._check(code, edges)

    def _enter(self, edges: _Edges) -> None:
        """Choose how each run is entered: by which edge, or else on from the run before it.

        Of several edges one that leads down to the run's first step, or else the one that comes
        first in the text.
        """
        into = self.run[edges.target]
        by = np.full(len(self.first), -1, np.intp)
        by[into[::-1]] = np.arange(len(into))[::-1]
        down = (edges.target == self.first[into]) & (edges.source < edges.target)
        down = np.flatnonzero(down)[::-1]
        by[into[down]] = down
        by[self._root] = by[self._restored] = -1
        edged = by >= 0
        self._by, self._leave = by, np.full(len(by), -1, np.intp)
        self._leave[edged] = edges.source[by[edged]]
        self._leave[self._restored] = self.last[self._restored - 1]
        self.reached = self.first.copy()
        self.reached[edged] = edges.target[by[edged]]
        self._parent = np.where(self._leave < 0, np.arange(len(by)), self.run[self._leave])

    def _reach(self, edges: _Edges) -> None:
        """Which steps control can come to; chosen ways that it can't take are replaced."""
        nowhere = np.intp(len(self.run))
        way, own = self._parent.copy(), np.arange(len(self._parent))
        # A way that leaves a run before it is entered is not certain.
        doubtful = self._leave < self.reached[self._parent]
        way[doubtful] = own[doubtful]
        top, _ = _roots(way, self._leave)
        self.reached = np.where(self._root[top], self.reached, nowhere)
        source = np.concatenate([edges.source, self.last[self._restored - 1]])
        target = np.concatenate([edges.target, self.first[self._restored]])
        pending = np.flatnonzero(target < self.reached[self.run[target]])
        # A loop over what is reached only by ways that were not chosen; few, and fewer each turn.
        while True:
            live = pending[source[pending] >= self.reached[self.run[source[pending]]]][::-1]
            if not len(live):
                break
            into = self.run[target[live]]
            new = self.reached[into] == nowhere
            np.minimum.at(self.reached, into, target[live])
            live, into = live[new], into[new]
            self._by[into] = np.where(live < len(edges.source), live, -1)
            self._leave[into] = source[live]
            self._parent[into] = self.run[source[live]]
            pending = pending[target[pending] < self.reached[self.run[target[pending]]]]
        lost = self.reached == nowhere
        self._by[lost], self._parent[lost] = -1, own[lost]

    def _begins(self, edges: _Edges) -> NDArray[np.uint64]:
        into = self.run[edges.target]
        first = edges.target == self.reached[into]
        first &= edges.source >= self.reached[self.run[edges.source]]
        begin = np.full(len(self.first), 2**64 - 1, np.uint64)
        np.minimum.at(begin, into[first], edges.place[first])
        begin[self._root] = begin[self._restored] = 0
        return begin

    def _bases(self, code: _Code, edges: _Edges, isa: Isa) -> Ints:
        steps, taken, parent = code.steps, code.taken, self._parent
        change = np.zeros(len(self.first), np.int32)
        edged = np.flatnonzero(self._by >= 0)
        change[edged] = edges.change[self._by[edged]]
        root = np.flatnonzero(self._root)
        change[root] = isa.entry_depth - taken[self.first[root]]
        # A RESTORE takes the stack pointer to where the routine's only copy in that slot was made.
        # That has to be on the way to it.
        restored = self._restored[self.reached[self._restored] < len(self.run)]
        restores = self.last[restored - 1]
        copies = np.flatnonzero(steps.effect == Effect.COPY)
        key = code.pieces.routine[code.piece[copies]] * SLOTS + steps.slot[copies]
        number = np.bincount(key, minlength=len(code.odd) * SLOTS)
        copied = np.zeros(len(number), np.intp)
        copied[key] = copies
        key = code.pieces.routine[code.piece[restores]] * SLOTS + steps.slot[restores]
        code.mark(restores[number[key] != 1])
        single = number[key] == 1
        restored, restores, copy = restored[single], restores[single], copied[key[single]]
        holder = self.run[copy]
        way = parent.copy()
        way[holder] = holder
        top, leave = _roots(way, self._leave)
        sound = (top[restored] == holder) & (leave[restored] >= copy)
        sound &= copy >= self.reached[holder]
        code.mark(restores[~sound])
        parent = parent.copy()
        parent[restored] = holder
        change[restored] = (
            taken[copy] - steps.value[copy] - steps.value[restores] - taken[self.first[restored]]
        )
        return _sums(parent, change)

    def _check(self, code: _Code, edges: _Edges) -> None:
        """Leave out routines where an edge does not agree or what is not reached may matter."""
        steps = code.steps
        apart = self.base[self.run[edges.target]] - self.base[self.run[edges.source]]
        wrong = (apart != edges.change) & (edges.source >= self.reached[self.run[edges.source]])
        code.mark(edges.source[wrong])
        unreached = np.flatnonzero(self.reached > self.first)
        if len(unreached):
            first = self.first[unreached]
            count = np.minimum(self.reached[unreached], self.last[unreached] + 1) - first
            each = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
            takes = (steps.effect[each] == Effect.ADD) & (steps.value[each] < 0)
            code.mark(each[takes | (steps.effect[each] == Effect.RESTORE)])
            # An indirect jump may land there.
            jumps = code.pieces.routine[code.piece[steps.flow == Flow.INDIRECT]]
            routine = code.pieces.routine[code.piece[first]]
            code.odd[jumps[member(jumps, routine)]] = True


def _roots(parent: Indices, leave: Indices) -> tuple[Indices, Indices]:
    """What is above each node of a forest at last, and by which of its ways out the node is met.

    Args:
        parent: of each node; a root's is itself.
        leave: the way out of its parent by which each node is met.

    Returns:
        The root, or some node that is none where there is a cycle; and the way.
    """
    top, way = parent.copy(), leave.copy()
    on = np.flatnonzero(parent[parent] != parent)
    for _ in range(_DOUBLINGS):
        if not len(on):
            break
        above = top[on]
        way[on], top[on] = way[above], top[above]
        on = on[parent[top[on]] != top[on]]
    return top, way


def _sums(parent: Indices, change: Ints) -> Ints:
    """The sum of ``change`` over each node of a forest and all above it; of a cycle anything."""
    count = len(parent)
    # One more, which is above the roots, so that no root is added twice.
    total, top = np.append(change, np.int32(0)), np.append(parent, count)
    top[:count][parent == np.arange(count)] = count
    on = np.flatnonzero(top < count)
    for _ in range(_DOUBLINGS):
        if not len(on):
            break
        above = top[on]
        total[on] += total[above]
        top[on] = top[above]
        on = on[top[on] < count]
    return total[:count]


def _rows(code: _Code, runs: _Runs, isa: Isa) -> Rows:
    """A row from the start of each piece and one after each step that makes a difference."""
    steps, pieces = code.steps, code.pieces
    moves = steps.effect == Effect.ADD
    moves[runs.last] = True
    late = runs.reached[(runs.reached > runs.first) & (runs.reached <= runs.last)]
    moves[late - 1] = True
    at = np.flatnonzero(moves)
    after = runs.base[runs.run[at]] + code.taken[at + 1]
    code.mark(at[(after < 0) & (at >= runs.reached[runs.run[at]])])
    met = np.flatnonzero(runs.reached <= runs.last)
    code.mark(runs.last[met[runs.base[met] + code.taken[runs.reached[met]] < 0]])
    plain = ~code.odd[pieces.routine]
    kept = plain[code.piece[at]]
    at, after = at[kept], after[kept]
    piece = np.flatnonzero(plain)
    some = np.flatnonzero(code.first[piece] < code.after[piece])
    # What holds before the first step of a piece, and before what follows a step.
    following = np.append(code.piece, np.int32(-1))[at + 1] == code.piece[at]
    step = np.concatenate([code.first[piece[some]], at[following] + 1])
    run = runs.run[step]
    depth = runs.base[run] + code.taken[step]
    depth[step < runs.reached[run]] = UNKNOWN
    # A run may be entered behind the step before it: nothing leads to the NOPs in between.
    begin = np.where(step == runs.reached[run], runs.begin[run], np.uint64(0))
    depths = np.full(len(piece) + len(at), isa.entry_depth, np.int32)
    # Nothing is known to run behind a piece's last jump or return.
    idle = _ENDS.take(steps.flow[at]) | (at < runs.reached[runs.run[at]])
    depths[len(piece) :] = np.where(idle, UNKNOWN, after)
    row = np.concatenate([some, len(piece) + np.flatnonzero(following)])
    depths[row] = depth
    start = np.concatenate([pieces.start[piece], steps.end[at]])
    owner = np.concatenate([piece, code.piece[at]])
    gaps = np.flatnonzero((begin > start[row]) & (depth != UNKNOWN))
    start = np.concatenate([start, begin[gaps]])
    owner = np.concatenate([owner, owner[row[gaps]]])
    depths[row[gaps]] = UNKNOWN
    depths = np.concatenate([depths, depth[gaps]])
    return _ordered(start, owner, depths, pieces.end[owner])


def _ordered(
    start: NDArray[np.uint64], owner: Indices, depth: Ints, limit: NDArray[np.uint64]
) -> Rows:
    """Rows in order, each up to the next one of its piece or to its limit."""
    inside = np.flatnonzero(start < limit)
    order = inside[np.argsort(start[inside], kind="stable")]
    start, owner, depth, limit = start[order], owner[order], depth[order], limit[order]
    # Of two at one address, from two steps of one instruction, the later one stands.
    kept = np.append(start[1:] != start[:-1], True)[: len(start)]
    # Neighbours of one depth are one row.
    start, owner, depth, limit = start[kept], owner[kept], depth[kept], limit[kept]
    kept = np.ones(len(start), bool)
    kept[1:] = (depth[1:] != depth[:-1]) | (owner[1:] != owner[:-1])
    start, owner, depth, limit = start[kept], owner[kept], depth[kept], limit[kept]
    end = limit
    end[:-1] = np.where(owner[1:] == owner[:-1], start[1:], limit[:-1])
    base = np.where(depth == UNKNOWN, Base.UNREACHED, Base.SP).astype(np.uint8)
    return make_rows(start, end, depth, Evidence.INSTRUCTIONS, base=base)
