"""The depth of the stack along the paths of one function, from its acts alone."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from stackgauge.evidence.objdump_code import Act
from stackgauge.isa.objdump_patterns import Motion

# How often an address may turn out deeper than thought before the stack is called dynamic, and
# how often a function is followed anew because a path turned out not to be taken.
_DEEPENINGS = 8
_PASSES = 16

# As plain integers: the loops below are the time of the whole verb.
_GROW, _COPY, _MOVE, _RESTORE, _LINK, _HOME, _HOME_COPY, _LIMIT, _ALIGN, _DYNAMIC = (
    int(motion)
    for motion in (
        Motion.GROW,
        Motion.COPY,
        Motion.MOVE,
        Motion.RESTORE,
        Motion.LINK,
        Motion.HOME,
        Motion.HOME_COPY,
        Motion.LIMIT,
        Motion.ALIGN,
        Motion.DYNAMIC,
    )
)
_STOP, _INDIRECT, _SWITCH, _JUMP, _BRANCH, _CALL = (
    int(motion)
    for motion in (
        Motion.STOP,
        Motion.INDIRECT,
        Motion.SWITCH,
        Motion.JUMP,
        Motion.BRANCH,
        Motion.CALL,
    )
)

Copies = dict[bytes, int]
"""Registers that hold a copy of the stack pointer, each with the depth at which that lies."""

Place = tuple[int, int, Copies]
"""An address, the depth there, and the copies."""


@dataclass(frozen=True)
class Stack:
    """What a function does with its stack.

    Attributes:
        frame: bytes at its deepest.
        dynamic: it may go deeper, by an amount that the text does not tell.
        exits: places outside the function that it jumps to.
    """

    frame: int
    dynamic: bool
    exits: list[Place]


def follow(
    acts: dict[int, Act],
    starts: list[Place],
    *,
    entry: int,
    word: int,
    after_traps: frozenset[int] = frozenset(),
    whole: bool = True,
) -> Stack:
    """Follow a function's stack along all its paths.

    Args:
        acts: what its instructions do, by address.
        starts: the places where it begins.
        entry: the depth at which a function begins.
        word: bytes that a call pushes.
        after_traps: addresses after a call or a trap, from which the flow may not come to them.
        whole: it begins here, so that a stack pointer from a register not known to hold a copy
            leads to another stack. In a piece of a function the copy may have been made elsewhere.
    """
    walk = _Walk(acts, entry, word, after_traps, whole)
    for _ in range(_PASSES):
        walk.follow(starts)
        if not walk.misled:
            break
    return Stack(walk.frame, walk.dynamic, walk.exits)


class _Walk:
    """Depths before each act, found by following paths from the starts."""

    def __init__(
        self,
        acts: dict[int, Act],
        entry: int,
        word: int,
        after_traps: frozenset[int],
        whole: bool,
    ) -> None:
        self.order = sorted(acts)
        self.acts = [acts[address] for address in self.order]
        self.entry = entry
        self.word = word
        self.whole = whole
        # Places that a branch goes to, and that the flow may not come to from the one before.
        targets = {act[1] for act in self.acts if act[0] in (_BRANCH, _JUMP, _CALL)}
        self.doubtful = {self.index(address) for address in targets & after_traps} - {None}
        # Those that it surely does not come to from there.
        self.cut: set[int | None] = set()

    def follow(self, starts: list[Place]) -> None:
        count = len(self.acts)
        self.before: list[int | None] = [None] * count
        self.deepened = bytearray(count)
        self.settled = bytearray(count)
        # What only doubtful paths lead to is followed when all others have been.
        self.later: list[tuple[int, int, Copies, int]] = []
        # Where one would come to a place that is known, but less deep: the place and its origin.
        self.deeper: list[tuple[int, int]] = []
        self.doubted: set[int] = set()
        self.frame = max(depth for _, depth, _ in starts)
        self.dynamic = False
        self.misled = False
        self.exits: list[Place] = []
        self.copies: Copies = {}
        self.indirect: int | None = None
        self.deepest = self.entry
        for address, depth, copies in starts:
            self.copies.update(copies)
            self.run(bisect_left(self.order, address), depth, copies)
        self.run_later()
        known = [depth for depth in self.before if depth is not None]
        self.deepest = max(known, default=self.entry)
        # What no path leads to does not change what is known of the others.
        self.settled = bytearray(depth is not None for depth in self.before)
        for place in range(count):
            if self.before[place] is None:
                self.run(place, self.guess(place), dict(self.copies))
                self.run_later()
        # A call does return where there would be no loop without it, which takes stack at each
        # turn; unless arguments are pushed, as those of a `panic` that several branches go to.
        for place, origin in [] if self.entry else self.deeper:
            reached = self.reached(place)
            self.dynamic |= origin in reached and place not in reached

    def run_later(self) -> None:
        """Follow the doubtful paths to places that nothing else has led to."""
        while self.later:
            place, depth, copies, origin = self.later.pop(0)
            known = self.before[place]
            if known is None:
                self.doubted.add(place)
                self.run(place, depth, copies)
            elif depth > known:
                self.deeper.append((place, origin))

    def reached(self, start: int) -> set[int]:
        """The places that paths from one lead to, calls and traps in doubt taken for its end."""
        reached: set[int] = set()
        work = [start]
        while work:
            place = work.pop()
            motion, amount = self.acts[place][:2]
            after = place + 1
            following = []
            if motion not in (_JUMP, _STOP, _INDIRECT) and after not in self.doubtful:
                following.append(after)
            if motion in (_JUMP, _BRANCH) and (target := self.index(amount)) is not None:
                following.append(target)
            new = {one for one in following if one < len(self.acts)} - reached
            reached |= new
            work += new
        return reached

    def index(self, address: int) -> int | None:
        """Where an address stands in the order; None if the function has no such place."""
        place = bisect_left(self.order, address)
        if place < len(self.order) and self.order[place] == address:
            return place
        return None

    def guess(self, start: int) -> int:
        """The depth at a place that no path reaches, from where the code after it goes.

        A return has the entry's depth, a branch its target's. Else it is the depth at the jump
        through a table, which is how the flow got here; else the deepest, to be on the safe side.
        """
        grown = 0
        depth = None
        for place in range(start, len(self.acts)):
            if place > start and (known := self.before[place]) is not None:
                depth = known - grown
                break
            motion, amount, register, _, _ = self.acts[place]
            if motion == _GROW:
                grown += amount
            elif motion == _STOP:
                if not register:
                    depth = self.entry - amount - grown
                break
            elif motion in (_BRANCH, _JUMP):
                target = self.index(amount)
                if target is not None and (known := self.before[target]) is not None:
                    depth = known - grown
                    break
                if motion == _JUMP:
                    if target is None and grown < 0:  # a tail call, after an epilogue
                        depth = self.entry - grown
                    break
            elif motion == _HOME:
                if grown > 0:  # a frame of its own
                    depth = self.entry
                break
            elif motion in (_RESTORE, _ALIGN, _LINK, _DYNAMIC, _INDIRECT):
                break
        if depth is not None and depth >= self.entry:
            return depth
        return self.deepest if self.indirect is None else self.indirect

    def arrive(self, place: int, known: int, depth: int, origin: int) -> bool:
        """Come to a place that is known; True to follow the paths from it anew, at this depth."""
        if known == depth or self.settled[place]:
            return False
        if place in self.doubted:
            # The branch is right: what comes before is a call that does not return.
            self.cut.add(place)
            self.misled = True
            return False
        if depth < known:
            return False
        if origin >= place or self.deepened[place] >= _DEEPENINGS:
            self.dynamic = True  # a loop that pushes
            return False
        self.deepened[place] += 1
        return True

    def run(self, start: int, depth: int, copies: Copies) -> None:
        """Follow all paths from a place."""
        acts, before, doubtful = self.acts, self.before, self.doubtful
        count = len(acts)
        frame = self.frame
        work = [(start, depth, copies, start - 1)]
        while work:
            place, depth, copies, origin = work.pop()
            limited = False
            branch = True
            while place < count:
                if not branch and place in doubtful:
                    if place not in self.cut:
                        self.later.append((place, depth, copies, origin))
                    break
                known = before[place]
                if known is not None and not self.arrive(place, known, depth, origin):
                    break
                before[place] = depth
                motion, amount, register, _, growth = acts[place]
                branch = False
                origin = place
                if motion == _GROW:
                    depth += amount
                elif motion == _BRANCH:
                    target = self.index(amount)
                    if target is None:
                        self.exits.append((amount, depth + growth, copies))
                    elif not limited or target > place:
                        work.append((target, depth + growth, copies, place))
                    limited = False
                elif motion == _JUMP:
                    target = self.index(amount)
                    if target is None:
                        self.exits.append((amount, depth, copies))
                        break
                    place, branch = target, True
                    continue
                elif motion == _STOP:
                    break
                elif motion in (_INDIRECT, _SWITCH):
                    self.indirect = max(depth, self.indirect or 0)
                    if motion == _INDIRECT:
                        break
                elif motion == _CALL:
                    target = self.index(amount)
                    if target is not None:
                        work.append((target, depth + self.word, copies, place))
                        frame = max(frame, depth + self.word)
                elif motion == _RESTORE:
                    if register in copies:
                        depth = copies[register] + amount
                    elif self.whole and register not in self.copies:
                        self.dynamic = True
                elif motion == _HOME:
                    depth = self.entry
                elif motion == _ALIGN:
                    depth = copies.get(register, depth) + amount
                elif motion == _LIMIT:
                    if copies.get(register, -1) >= depth:
                        depth = copies[register]
                        limited = True
                elif motion == _DYNAMIC:
                    self.dynamic = True
                else:
                    depth, copies = self.copy(acts[place], depth, copies)
                frame = max(frame, depth)
                place += 1
        self.frame = frame

    def copy(self, act: Act, depth: int, copies: Copies) -> tuple[int, Copies]:
        """Do one of the acts that change which registers hold copies; a LABEL does nothing."""
        motion, amount, register, source, _ = act
        if motion == _COPY:
            where = depth + amount
        elif motion == _MOVE and source in copies:
            where = copies[source] + amount
        elif motion == _HOME_COPY:
            where = self.entry
        elif motion == _LINK:
            where = depth + self.word
            depth = where + amount
        else:
            return depth, copies
        self.copies[register] = where
        return depth, {**copies, register: where}
