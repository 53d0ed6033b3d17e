"""Where the stack pointer is along every path: instruction evidence, for all architectures alike.

An architecture's reader says what each instruction does to the stack pointer (``Steps``). Here the
code of each routine is cut into blocks, each block is made one transformation of the stack pointer
and its copies, and the state at each routine's entry is carried along the edges, all routines at
once, until every block that can be reached has its state.

A sweep from top to bottom would be wrong after each jump or return. Three kinds of edges are
therefore kept apart: those that the code takes for certain; those after a call or a trap, which it
may not take, and which are followed only when the certain ones have said what they can; and those
of an indirect jump, whose targets are the blocks that nothing else reaches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.pieces import Pieces, Placed, place
from stackgauge.evidence.plain import plain_rows
from stackgauge.evidence.returns import endless_calls
from stackgauge.evidence.table import (
    NO_LIMIT,
    UNKNOWN,
    Base,
    Evidence,
    Rows,
    in_order,
    make_rows,
)
from stackgauge.image.arrays import member, sorted_unique
from stackgauge.isa.model import NO_AMOUNT, SAVED, SLOTS, Effect, Flow, Isa, Steps
from stackgauge.kernel.tables import NO_JUMPS, Jumps

Ints = NDArray[np.int32]
Indices = NDArray[np.intp]
Addresses = NDArray[np.uint64]

# A state that is not known; sums with it stay far below any depth.
_LOST = np.int32(-(1 << 29))
_LOST_BELOW = -(1 << 28)
# Sums with NO_LIMIT stay far above any depth.
_NO_LIMIT_ABOVE = 1 << 29

# What a block's state is taken from: the stack pointer or a copy at the block's entry.
_FROM_SP = 0
_FROM_NOTHING = -1

_NONE = np.zeros(0, np.uint64)

_END_BLOCKS = (Flow.BRANCH, Flow.JUMP, Flow.STOP, Flow.INDIRECT, Flow.TRAP)

# How often a block whose state has changed is carried on from again, before a range that still
# grows is taken to have no end.
_TURNS = 8


@dataclass(frozen=True, eq=False)
class Followed:
    """What the instructions say.

    Attributes:
        rows: evidence INSTRUCTIONS, over all pieces; UNKNOWN where no path from an entry leads.
        pieces: the code that was followed.
        doubtful: by routine, whether its depth may be larger for all that is known: it pops more
            than a call and itself have pushed, as an interrupt's entry does, so what lies above
            its first push is not known; or one of several paths loses the stack pointer; bool.
        dynamic: by routine, whether the stack is moved by an amount known only at run time, or
            again at each turn of a loop; bool.
        unlimited: by routine, whether the code shows no limit of that; bool.
    """

    rows: Rows
    pieces: Pieces
    doubtful: NDArray[np.bool_]
    dynamic: NDArray[np.bool_]
    unlimited: NDArray[np.bool_]


def follow(
    steps: Steps, pieces: Pieces, isa: Isa, jumps: Jumps = NO_JUMPS, never: Addresses = _NONE
) -> Followed:
    """Carry the stack pointer along every path.

    Args:
        steps: what the instructions of all pieces do, ascending.
        pieces: the code; routine numbers are 0 to n-1.
        isa: gives the depth at entry and the stack's alignment.
        jumps: edges from the kernel's tables; those outside the pieces are ignored.
        never: addresses, ascending, of routines that are known not to return.
    """
    routines = int(pieces.routine.max()) + 1 if len(pieces.routine) else 0
    if not routines:
        empty = np.zeros(0, np.uint64)
        rows = make_rows(empty, empty, np.zeros(0, np.int32), Evidence.INSTRUCTIONS)
        return Followed(rows, pieces, *(np.zeros(0, bool),) * 3)
    code = place(steps, pieces)
    # A jump that a table names (a static branch, an alternative) may be a NOP as well.
    switched = np.flatnonzero(code.steps.flow == Flow.JUMP)
    switched = switched[member(code.steps.start[switched], jumps.source)]
    code = code.with_flow(switched, Flow.BRANCH)
    endless = endless_calls(code, routines, never)
    plain = plain_rows(code.with_flow(endless, Flow.STOP), isa, jumps, routines)
    rest = ~plain.routine
    parts, doubtful, dynamic, unlimited = [plain.rows], rest & False, rest & False, rest & False
    if rest.any():
        chosen = rest[pieces.routine]
        numbered = np.cumsum(rest) - 1
        some = replace(pieces.take(chosen), routine=numbered[pieces.routine[chosen]])
        # Like a trap, such a call ends a path; code that nothing else leads to may follow it
        # where the compiler did not know.
        steps = code.with_flow(endless, Flow.TRAP).steps
        followed = _follow_paths(place(steps, some).steps, some, isa, jumps)
        parts.append(followed.rows)
        doubtful[rest], dynamic[rest] = followed.doubtful, followed.dynamic
        unlimited[rest] = followed.unlimited
    return Followed(in_order(parts), pieces, _with_jumpers(code, doubtful), dynamic, unlimited)


def _follow_paths(steps: Steps, pieces: Pieces, isa: Isa, jumps: Jumps) -> Followed:
    """The same for routines that have to be followed path by path."""
    routines = int(pieces.routine.max()) + 1
    inside = _inside(steps, pieces)
    steps, jumps = _with_inner_calls(steps, inside, isa, jumps)
    blocks = _Blocks(steps, pieces, inside, jumps)
    transform = _Transform(steps, blocks, isa)
    state = _State(blocks, transform, routines)
    state.run(pieces, isa)
    dynamic, unlimited = state.endless.copy(), state.endless
    amounts = np.flatnonzero(steps.effect[transform.moving] == Effect.DYNAMIC)
    owner = blocks.routine[transform.block_of[amounts]]
    dynamic[owner] = True
    unlimited[owner[steps.value[transform.moving[amounts]] == NO_AMOUNT]] = True
    rows = _rows(steps, blocks, transform, state)
    doubtful = state.doubt | _uncalled(blocks, transform, state)
    return Followed(rows, pieces, doubtful, dynamic, unlimited)


def _uncalled(blocks: _Blocks, transform: _Transform, state: _State) -> NDArray[np.bool_]:
    """Which routines have a step after which they would have less than nothing on the stack."""
    block, source = transform.block_of, transform.step_source.astype(np.intp)
    depth = state.least[block, np.maximum(source, 0)] + transform.step_least
    result = np.zeros(len(state.endless), bool)
    result[blocks.routine[block[(depth < 0) & (depth > _LOST_BELOW) & ~transform.step_lost]]] = True
    return result


def _with_jumpers(code: Placed, doubtful: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those, and the routines that jump into one of them: an interrupt's stub, for example."""
    jumps = np.flatnonzero(code.steps.flow == Flow.JUMP)
    into, leaves = code.leaving(jumps)
    leaves &= into >= 0
    here, there = code.routine(jumps[leaves]), code.pieces.routine[into[leaves]]
    found = -1
    while found != (found := int(doubtful.sum())):
        doubtful[here[doubtful[there]]] = True
    return doubtful


def _inside(steps: Steps, pieces: Pieces) -> NDArray[np.bool_]:
    """Which direct targets lie in the code of their own routine; a call to itself does not.

    It may go past instructions that are for other callers (powerpc's local entry point).
    """
    source = pieces.at(steps.start)
    target = np.where(steps.target != 0, pieces.at(steps.target), -1)
    inside: NDArray[np.bool_] = (source >= 0) & (target >= 0)
    inside &= pieces.routine[source] == pieces.routine[target]
    first = np.searchsorted(steps.start, pieces.start)
    recursion = pieces.entry[target] & (np.searchsorted(steps.start, steps.target) == first[target])
    inside &= ~(recursion & (steps.flow == Flow.CALL))
    return inside


def _with_inner_calls(
    steps: Steps, inside: NDArray[np.bool_], isa: Isa, jumps: Jumps
) -> tuple[Steps, Jumps]:
    """Make a call to code of the same routine what it is: a push and a jump, and a way around."""
    calls = np.flatnonzero(inside & (steps.flow == Flow.CALL))
    if not len(calls):
        return steps, jumps
    effect, value, flow = steps.effect.copy(), steps.value.copy(), steps.flow.copy()
    effect[calls], value[calls], flow[calls] = Effect.ADD, -isa.entry_depth, Flow.JUMP
    # Where it is only a way to push an address it goes to the next instruction and never returns.
    returns = calls[steps.target[calls] != steps.end[calls]]
    return replace(steps, effect=effect, value=value, flow=flow), Jumps(
        np.concatenate([jumps.source, steps.start[returns]]),
        np.concatenate([jumps.target, steps.end[returns]]),
    )


class _Blocks:
    """The code cut where control enters or leaves, and the edges between the parts."""

    def __init__(
        self, steps: Steps, pieces: Pieces, inside: NDArray[np.bool_], jumps: Jumps
    ) -> None:
        ends_block = np.isin(steps.flow, _END_BLOCKS)
        # A fixup that lies apart (ARM's .text.fixup) runs on another routine's stack.
        here, there = pieces.at(jumps.source), pieces.at(jumps.target)
        within = pieces.routine[here] == pieces.routine[there]
        listed = np.flatnonzero((here >= 0) & (there >= 0) & within)
        listed_source, listed_target = jumps.source[listed], jumps.target[listed]
        leaders = sorted_unique(
            np.concatenate(
                [pieces.start, steps.target[inside], steps.end[ends_block],
                 listed_source, listed_target]
            )
        )  # fmt: skip
        piece = pieces.at(leaders)
        self.start = leaders[piece >= 0]
        self.piece = piece[piece >= 0]
        self.routine = pieces.routine[self.piece]
        self.count = len(self.start)
        following = np.append(self.start[1:], np.uint64(0xFFFF_FFFF_FFFF_FFFF))
        self.end = np.minimum(following, pieces.end[self.piece])
        self.first = np.searchsorted(steps.start, self.start)
        self.after = np.searchsorted(steps.start, self.end)
        self._edges(steps, inside)
        edges = np.argsort(self.at(listed_source), kind="stable")
        self.listed_source = self.at(listed_source)[edges]
        self.listed_target = self.at(listed_target)[edges]

    def at(self, leaders: Addresses) -> Indices:
        """The blocks that begin at these addresses."""
        return np.searchsorted(self.start, leaders)

    def _edges(self, steps: Steps, inside: NDArray[np.bool_]) -> None:
        last = self.after - 1
        has_last = last >= self.first
        last = np.maximum(last, 0)
        if len(steps):
            # A step may end beyond its block: a delay slot that is jumped to, too.
            has_last &= steps.end[last] >= self.end
            flow = np.where(has_last, steps.flow[last], np.uint8(Flow.NEXT))
            goes = has_last & inside[last]
            target = np.where(goes, steps.target[last], np.uint64(0))
        else:
            flow = np.zeros(self.count, np.uint8)
            goes = np.zeros(self.count, bool)
            target = np.zeros(self.count, np.uint64)
        follows = np.zeros(self.count, bool)
        follows[:-1] = (self.end[:-1] == self.start[1:]) & (self.piece[:-1] == self.piece[1:])
        next_block = np.where(follows, np.arange(1, self.count + 1), -1)
        if len(steps):
            beyond = np.flatnonzero(has_last & (steps.end[last] > self.end))
            leader = np.minimum(self.at(steps.end[last[beyond]]), self.count - 1)
            found = self.start[leader] == steps.end[last[beyond]]
            # What looks like padding may be the end of a routine's last instruction.
            found &= self.routine[leader] == self.routine[beyond]
            next_block[beyond[found]] = leader[found]
        certain = (flow == Flow.NEXT) | (flow == Flow.BRANCH)
        maybe = (flow == Flow.CALL) | (flow == Flow.TRAP)
        self.traps = flow == Flow.TRAP
        self.falls = np.where(certain, next_block, -1)
        self.may_fall = np.where(maybe, next_block, -1)
        self.jumps_to = np.where(goes, self.at(target), -1)
        self.indirect = flow == Flow.INDIRECT
        # Entered by nothing that the code shows: where an indirect jump can land.
        self.orphan = np.ones(self.count, bool)
        for edges in (self.falls, self.may_fall, self.jumps_to):
            self.orphan[edges[edges >= 0]] = False


class _Transform:
    """What each block makes of the stack pointer and its copies.

    A state is SLOTS + 1 pairs (least, most) of depths: column 0 the stack pointer, column 1 + s
    slot s. A block's transformation says for each column which column of the state at its entry
    it is taken from, and what is added.
    """

    def __init__(self, steps: Steps, blocks: _Blocks, isa: Isa) -> None:
        self.moving = np.flatnonzero(steps.effect != Effect.NONE)
        first = np.searchsorted(self.moving, blocks.first)
        after = np.searchsorted(self.moving, blocks.after)
        self.first, self.after = first, after
        count = after - first
        self.block_of = np.repeat(np.arange(blocks.count), count)
        self.active = np.flatnonzero(count)
        # Longest first, so that the blocks that still have a step are always a prefix.
        self.active = self.active[np.argsort(-count[self.active], kind="stable")]
        self.index = np.full(blocks.count, -1, np.intp)
        self.index[self.active] = np.arange(len(self.active))
        self._compose(steps, first[self.active], count[self.active], isa)

    def _compose(self, steps: Steps, first: Indices, count: Indices, isa: Isa) -> None:
        lanes = len(first)
        source = np.tile(np.arange(SLOTS + 1, dtype=np.int8), (lanes, 1))
        self.both = np.zeros((lanes, 2, SLOTS + 1), np.int32)
        least, most = self.both[:, 0], self.both[:, 1]
        self.step_lost = np.zeros(len(self.moving), bool)
        self.step_source = np.zeros(len(self.moving), np.int8)
        self.step_least = np.zeros(len(self.moving), np.int32)
        self.step_most = np.zeros(len(self.moving), np.int32)
        for turn in range(int(count[0]) if lanes else 0):
            live = int(np.searchsorted(-count, -turn, side="left"))
            at = first[:live] + turn
            step = self.moving[at]
            _apply(
                steps.effect[step], steps.slot[step], steps.value[step],
                source[:live], least[:live], most[:live], isa,
            )  # fmt: skip
            # While the stack pointer is lost, what was saved of it says what this stack holds.
            lost = source[:live, 0] == _FROM_NOTHING
            rows, column = np.arange(live), np.where(lost, 1 + SAVED, 0)
            self.step_lost[at] = lost
            self.step_source[at] = source[rows, column]
            self.step_least[at] = least[rows, column]
            self.step_most[at] = most[rows, column]
        self.source = source.astype(np.intp)


def _apply(
    effect: NDArray[np.uint8],
    slot: NDArray[np.uint8],
    value: Ints,
    source: NDArray[np.int8],
    least: Ints,
    most: Ints,
    isa: Isa,
) -> None:
    """One step of each lane, on its transformation so far. A depth grows as addresses fall."""
    lanes = np.arange(len(effect))
    column = slot.astype(np.intp) + 1
    for kind in np.flatnonzero(np.bincount(effect)).tolist():
        at = lanes[effect == kind]
        here, amount = column[at], value[at]
        if kind == Effect.ADD:
            least[at, 0] -= amount
            most[at, 0] = np.minimum(most[at, 0] - amount, NO_LIMIT)
        elif kind in (Effect.COPY, Effect.MOVE, Effect.RESTORE):
            into, out_of = here, here
            if kind == Effect.COPY:
                out_of = np.zeros(len(at), np.intp)
            elif kind == Effect.RESTORE:
                into = np.zeros(len(at), np.intp)
            else:
                out_of = (amount >> 24).astype(np.intp) + 1
                amount = (amount << 8) >> 8
            source[at, into] = source[at, out_of]
            least[at, into] = least[at, out_of] - amount
            most[at, into] = np.minimum(most[at, out_of] - amount, NO_LIMIT)
        elif kind == Effect.ALIGN:
            most[at, 0] += np.maximum(amount - isa.stack_alignment, 0)
        elif kind == Effect.DYNAMIC:
            room = np.where(amount == NO_AMOUNT, NO_LIMIT, amount)
            most[at, 0] = np.minimum(most[at, 0] + room, NO_LIMIT)
        else:
            aware = at[source[at, 0] != _FROM_NOTHING]
            for column_set in (source, least, most):
                column_set[aware, 1 + SAVED] = column_set[aware, 0]
            source[at, 0] = _FROM_NOTHING


class _State:
    """The state at each block's entry, found by carrying the routines' entries along the edges."""

    def __init__(self, blocks: _Blocks, transform: _Transform, routines: int) -> None:
        self._blocks = blocks
        self._transform = transform
        self.both = np.full((blocks.count, 2, SLOTS + 1), _LOST, np.int32)
        self.least, self.most = self.both[:, 0], self.both[:, 1]
        self.known = np.zeros(blocks.count, bool)
        self.endless = np.zeros(routines, bool)
        self.doubt = np.zeros(routines, bool)
        self._turns = np.zeros(blocks.count, np.uint8)
        # Those after a call or trap, put off until the certain edges have all been followed.
        self._put_off: list[Indices] = []

    def run(self, pieces: Pieces, isa: Isa) -> None:
        entries = self._blocks.at(pieces.start[pieces.entry])
        self.least[entries, 0] = isa.entry_depth
        self.most[entries, 0] = isa.entry_depth
        self.known[entries] = True
        self._carry(entries)
        while True:
            landed = self._land_indirect()
            if not len(landed):
                break
            self._carry(landed)

    def _carry(self, frontier: Indices) -> None:
        """Along the certain edges as far as they lead, then along those put off, and again."""
        while len(frontier) or self._put_off:
            while len(frontier):
                frontier = self._advance(frontier)
            frontier = self._resume()

    def _leave(self, block: Indices) -> Ints:
        """The state at the end of each block: least and most."""
        both = self.both[block]
        index = self._transform.index[block]
        moved = np.flatnonzero(index >= 0)
        if len(moved):
            rows = index[moved]
            source = self._transform.source[rows]
            old = np.take_along_axis(both[moved], np.maximum(source, 0)[:, None], 2)
            lost = (source == _FROM_NOTHING) | (old[:, 0] < _LOST_BELOW)
            new = np.minimum(old + self._transform.both[rows], NO_LIMIT)
            both[moved] = np.where(lost[:, None], _LOST, new)
        return both

    def _advance(self, block: Indices) -> Indices:
        blocks = self._blocks
        both = self._leave(block)
        put_off = blocks.may_fall[block] >= 0
        if put_off.any():
            self._put_off.append(block[put_off])
        falls, jumps_to = blocks.falls[block], blocks.jumps_to[block]
        fall, jump = np.flatnonzero(falls >= 0), np.flatnonzero(jumps_to >= 0)
        target = np.concatenate([falls[fall], jumps_to[jump]])
        both = both[np.concatenate([fall, jump])]
        if len(blocks.listed_source):
            # A table's edge leaves at its block's start, with the state there.
            low = np.searchsorted(blocks.listed_source, block)
            count = np.searchsorted(blocks.listed_source, block, side="right") - low
            if count.any():
                listed = np.repeat(low - (np.cumsum(count) - count), count)
                listed += np.arange(len(listed))
                source = blocks.listed_source[listed]
                target = np.concatenate([target, blocks.listed_target[listed]])
                both = np.concatenate([both, self.both[source]])
        return self._arrive(target, both)

    def _arrive(self, target: Indices, both: Ints) -> Indices:
        """Give blocks the states that edges bring; the blocks to carry on from."""
        new = ~self.known[target]
        fresh, first = np.unique(target[new], return_index=True)
        chosen = np.flatnonzero(new)[first]
        self.both[fresh] = both[chosen]
        self.known[fresh] = True
        # The others bring a state to a block that has one: normally the same.
        again = np.flatnonzero((self.both[target] != both).any(axis=(1, 2)))
        if not len(again):
            return fresh
        return np.concatenate([fresh, self._meet(target[again], both[again])])

    def _meet(self, target: Indices, both: Ints) -> Indices:
        """Different states meet in a block; it gets the range that holds them all.

        What one path does not know another may; but where that is the stack pointer itself, the
        routine is in doubt.
        """
        least, most = both[:, 0], both[:, 1]
        place, which = np.unique(target, return_inverse=True)
        has_least, has_most = self.least[place], self.most[place]
        known = least > _LOST_BELOW
        low = np.where(has_least > _LOST_BELOW, has_least, NO_LIMIT)
        np.minimum.at(low, which, np.where(known, least, np.int32(NO_LIMIT)))
        high = has_most.copy()
        np.maximum.at(high, which, most)
        lost = low == NO_LIMIT
        doubt = has_least[:, 0] < _LOST_BELOW
        np.logical_or.at(doubt, which, ~known[:, 0])
        self.doubt[self._blocks.routine[place[doubt & ~lost[:, 0]]]] = True
        # A loop that takes stack at each turn has no limit that the code shows.
        endless = (self._turns[place] >= _TURNS)[:, None] & ~lost
        low = np.where(endless, has_least, low)
        high = np.where(endless & (high > has_most), NO_LIMIT, high)
        self.endless[self._blocks.routine[place[(endless & (high > has_most))[:, 0]]]] = True
        low[lost] = high[lost] = _LOST
        changed = (low != has_least).any(axis=1) | (high != has_most).any(axis=1)
        again: Indices = place[changed]
        self.least[again], self.most[again] = low[changed], high[changed]
        self._turns[again] = np.minimum(self._turns[again] + 1, _TURNS)
        return again

    def _resume(self) -> Indices:
        """Blocks after a call or trap, once the certain edges have been followed.

        A trap that another edge leads around (BUG, most of the time) does not come into it, so
        the traps wait until all that is after calls has been followed.
        After a call the state does, even so: it would be an under-estimate to leave out stack
        that was taken before it, and that of a callee that does not return is mostly the same.
        """
        if not self._put_off:
            return np.zeros(0, np.intp)
        block = sorted_unique(np.concatenate(self._put_off))
        self._put_off.clear()
        traps = self._blocks.traps[block]
        if traps.all():
            block = block[~self._led_around(self._blocks.may_fall[block])]
        else:
            self._put_off.append(block[traps])
            block = block[~traps]
        return self._arrive(self._blocks.may_fall[block], self._leave(block))

    def _led_around(self, block: Indices) -> NDArray[np.bool_]:
        """Which blocks are reached, or only lead on to one that is: NOPs that align it, mostly."""
        blocks = self._blocks
        idle = (blocks.first[block] == blocks.after[block]) & (blocks.falls[block] >= 0)
        led: NDArray[np.bool_] = self.known[block] | idle & self.known[blocks.falls[block]]
        return led

    def _land_indirect(self) -> Indices:
        """Blocks that nothing reaches, in a routine with an indirect jump: its jump table's."""
        blocks = self._blocks
        jump = np.flatnonzero(blocks.indirect & self.known)
        if not len(jump):
            return jump
        orphan: Indices = np.flatnonzero(blocks.orphan & ~self.known)
        orphan = orphan[np.isin(blocks.routine[orphan], blocks.routine[jump])]
        orphan = orphan[~self._led_around(orphan)]
        if not len(orphan):
            return orphan
        # The deepest jump of the routine: a tail call jumps from the entry's depth.
        both = self._leave(jump)
        order = np.lexsort((both[:, 0, 0], blocks.routine[jump]))
        routine = blocks.routine[jump][order]
        deepest = order[np.searchsorted(routine, blocks.routine[orphan], side="right") - 1]
        self.both[orphan] = both[deepest]
        self.known[orphan] = True
        return orphan


def _rows(steps: Steps, blocks: _Blocks, transform: _Transform, state: _State) -> Rows:
    """A row from each block's start and one after each step that moves the stack pointer."""
    # At the blocks' starts.
    lost = state.least[:, 0] < _LOST_BELOW
    column = np.where(lost, 1 + SAVED, 0)
    here = np.arange(blocks.count)
    starts = (
        blocks.start,
        blocks.end,
        here,
        lost,
        state.least[here, column],
        state.most[here, column],
    )
    # After their steps, but for one that ends where its block does.
    moving = transform.moving[: len(transform.block_of)]
    inner = np.flatnonzero(steps.end[moving] < blocks.end[transform.block_of])
    block, source = transform.block_of[inner], transform.step_source[inner].astype(np.intp)
    before = state.least[block, source]
    after = (
        steps.end[moving[inner]],
        blocks.end[block],
        block,
        transform.step_lost[inner] | (state.least[block, 0] < _LOST_BELOW) & (source == 0),
        np.where(before < _LOST_BELOW, _LOST, before + transform.step_least[inner]),
        state.most[block, source] + transform.step_most[inner],
    )
    columns = [np.concatenate(pair) for pair in zip(starts, after, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    start, last, block, lost, least, most = (column[order] for column in columns)
    end = np.minimum(last, np.append(start[1:], np.uint64(0xFFFF_FFFF_FFFF_FFFF)))
    # The stack pointer is known to have been elsewhere only where the code takes it back.
    returns = np.zeros(len(state.endless), bool)
    takes_back = (steps.effect[moving] == Effect.RESTORE) & (steps.slot[moving] == SAVED)
    returns[blocks.routine[transform.block_of[takes_back]]] = True
    elsewhere = lost & returns[blocks.routine[block]]
    known = state.known[block] & (least >= 0) & (~lost | elsewhere)
    most = np.where(most > _NO_LIMIT_ABOVE, NO_LIMIT, most)
    base = np.where(elsewhere, Base.ELSEWHERE, Base.SP)
    idle = ~state.known & ~_takes_stack(steps, blocks, transform)
    base = np.where(known, base, np.where(idle[block], Base.UNREACHED, Base.OTHER))
    rows = make_rows(
        start, end, np.where(known, least, UNKNOWN).astype(np.int32), Evidence.INSTRUCTIONS,
        most=np.where(known, most, UNKNOWN).astype(np.int32),
        base=base.astype(np.uint8),
    )  # fmt: skip
    # Of two steps of one instruction, which end at one address, the later row stands.
    return rows.take(start < end)


def _takes_stack(steps: Steps, blocks: _Blocks, transform: _Transform) -> NDArray[np.bool_]:
    """Which blocks have a step that can make the stack deeper, or may do so unseen."""
    moving = transform.moving[: len(transform.block_of)]
    effect, value = steps.effect[moving], steps.value[moving]
    harmless = (effect == Effect.COPY) | (effect == Effect.MOVE)
    harmless |= (effect == Effect.ADD) & (value >= 0)
    takes = np.zeros(blocks.count, bool)
    takes[transform.block_of[~harmless]] = True
    return takes
