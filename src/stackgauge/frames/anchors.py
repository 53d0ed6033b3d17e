"""What registers hold, as distances from the CFA, at each instruction of one function."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import numpy as np

from stackgauge.evidence.table import Rows, known, sample
from stackgauge.frames.unwinding import State
from stackgauge.isa.model import Isa


class Anchors:
    """The stack pointer, and the register that the CFA is counted from, where that is known."""

    def __init__(self, isa: Isa, states: list[State], rows: Rows) -> None:
        """Take what is known of one function.

        Args:
            isa: its architecture.
            states: how it is unwound, by ascending address.
            rows: depths of its code.
        """
        self._isa, self._states = isa, states
        self._starts = [state.start for state in states]
        self._rows = rows.take(known(rows))
        self.realigned = self._realigned()
        self._body = self._most_code()

    def _realigned(self) -> dict[int, int]:
        """The frame pointers of a function that aligns its stack, less the CFA.

        There each points to where its caller's value was pushed right before, and the frame is
        laid out as if nothing were lost by aligning: by how much it is, only the stack pointer's
        depths say.
        """
        found: dict[int, int] = {}
        for state in self._states:
            for register, rule in state.saved.items():
                if rule == (register, 0) and register not in found:
                    depth = self._stack_pointer(state.start)
                    if depth is not None:
                        found[register] = depth
        return found

    def _most_code(self) -> dict[int, int]:
        """For each register the distance that holds for most of the code."""
        counts: Counter[tuple[int, int]] = Counter()
        for state in self._states:
            if state.register != self._isa.sp_register or not len(self._rows):
                counts[state.register, -state.offset] += state.end - state.start
        # Of a function that aligns its stack the body begins there.
        aligned = self._rows.most > self._rows.depth
        rows = self._rows.take(aligned) if aligned.any() else self._rows
        sp, bias = self._isa.sp_register, self._isa.cfa_bias
        for size, depth in zip((rows.end - rows.start).tolist(), rows.depth.tolist(), strict=True):
            counts[sp, -depth - bias] += size
        # The one that is met last counts, so the rarest come first.
        body = {register: distance for (register, distance), _ in counts.most_common()[::-1]}
        return body | self.realigned

    def __call__(self, register: int, at: int | None) -> int | None:
        """What a register holds, less the CFA; None where that is not known.

        Args:
            register: its DWARF number.
            at: an address of the function's code; None for its body as a whole.
        """
        if at is None:
            return self._body.get(register)
        place = bisect_right(self._starts, at) - 1
        if place >= 0 and at < self._states[place].end:
            state = self._states[place]
            if state.register == register:
                return -state.offset
            if state.saved.get(register) == (register, 0) and register in self.realigned:
                return self.realigned[register]
        return self._stack_pointer(at) if register == self._isa.sp_register else None

    def _stack_pointer(self, at: int) -> int | None:
        """The stack pointer, less the CFA, as the depths of the code say."""
        row = int(sample(self._rows, np.array([at], np.uint64))[0])
        return -int(self._rows.depth[row]) - self._isa.cfa_bias if row >= 0 else None
