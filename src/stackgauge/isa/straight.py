"""What a register holds at an instruction, as far as the straight line of code before it says.

Used at the few places where the stack pointer is moved by a register's value: a constant that does
not fit an immediate, ``alloca``, the kernel's random stack offset. So it is plain Python over one
instruction at a time, while everything else is arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.model import NO_AMOUNT, Effect, Flow
from stackgauge.isa.words import Words

# At most so many instructions of a section are followed one by one, which bounds the time that a
# made-up file can take. A kernel has some dozens of them.
MOST_FOLLOWED = 20_000

# By Flow, whether what stands next is not run next.
LEAVES = np.zeros(len(Flow), bool)
LEAVES[[Flow.JUMP, Flow.STOP, Flow.INDIRECT]] = True

# How far back an instruction is looked for, and how many are followed one after the other.
WINDOW = 64
CHAIN = 8

# More bytes than any stack has; also what an int32 column holds.
LARGEST = 1 << 30

# What registers hold.
Operand = Callable[[int], Amount]


@dataclass(frozen=True, eq=False)
class Line:
    """Looks back from an instruction along its straight line.

    Attributes:
        words: the instructions, (n,).
        written: the set of registers that each one writes, bit r for register r; (n,) uint32.
        begins: where a straight line begins, because control may come from elsewhere; bool.
        sp: the stack pointer's number.
        result: what an instruction, given as a word, writes to its destination.
        step: of an instruction that sets a register to another one and a known number, these two.
    """

    words: Words
    written: NDArray[np.uint32]
    begins: NDArray[np.bool_]
    sp: int
    result: Callable[[int, Operand], Amount]
    step: Callable[[int, Operand], tuple[int, int] | None]

    def writer(self, at: int, register: int) -> int | None:
        """The last instruction before ``at``, in its straight line, that writes ``register``."""
        for here in range(at, max(at - WINDOW, 0), -1):
            if self.begins[here]:
                return None
            if int(self.written[here - 1]) >> register & 1:
                return here - 1
        return None

    def amount(self, at: int, register: int, depth: int = 0) -> Amount:
        """The number in ``register`` just before ``at``; ANY where the line does not say."""
        writer = self.writer(at, register) if depth < CHAIN else None
        if writer is None:
            return ANY
        return self.result(
            int(self.words[writer]), lambda source: self.amount(writer, source, depth + 1)
        )

    def made(self, at: int) -> tuple[int, int] | None:
        """The register and the number whose sum an instruction makes, where that is known."""
        return self.step(int(self.words[at]), partial(self.amount, at))

    def above_sp(self, at: int, register: int) -> int | None:
        """How far ``register`` is above the stack pointer just before ``at``, where that is known.

        The stack pointer must not be moved between where the register was made from it and there.
        """
        number, moved = 0, self.writer(at, self.sp)
        for _ in range(CHAIN):
            writer = self.writer(at, register)
            step = None if writer is None else self.made(writer)
            if writer is None or step is None:
                return None
            at, register, number = writer, step[0], number + step[1]
            if register == self.sp:
                return number if moved is None or moved < at else None
        return None


class Rows(NamedTuple):
    """Steps by index of the instruction; columns. ``source`` is what a RESTORE reads."""

    at: NDArray[np.intp]
    effect: NDArray[np.uint8]
    value: NDArray[np.int64]
    source: NDArray[np.intp]

    def take(self, which: NDArray[np.bool_]) -> Rows:
        """Those of a mask."""
        return Rows(self.at[which], self.effect[which], self.value[which], self.source[which])


def follow_sites(
    line: Line, sites: NDArray[np.intp], other: Callable[[int], list[tuple[Effect, int]]]
) -> Rows:
    """What instructions do to the stack pointer that move it by what registers hold.

    Args:
        line: the code.
        sites: the instructions; those after MOST_FOLLOWED are not followed.
        other: effects and values of one that does not set it to a register and a known number.
    """
    rows: list[tuple[int, int, int, int]]
    rows = [(at, Effect.LOST, 0, 0) for at in sites[MOST_FOLLOWED:].tolist()]
    # A loop over a few instructions, at most MOST_FOLLOWED of them.
    for at in sites[:MOST_FOLLOWED].tolist():
        made = line.made(at)
        if made is None:
            rows += [(at, *row, 0) for row in other(at)]
        elif made[0] == line.sp:
            rows += [(at, *row, 0) for row in taken(known(-made[1]), 1)]
        elif abs(made[1]) <= LARGEST:
            rows.append((at, Effect.RESTORE, made[1], made[0]))
        else:
            rows.append((at, Effect.LOST, 0, 0))
    return rows_of(rows)


def follow_probes(line: Line, at: NDArray[np.intp], limit: NDArray[np.intp]) -> Rows:
    """The one move that all turns of a loop of probes are.

    Args:
        line: the code.
        at: the instruction that takes a page.
        limit: the register that the stack pointer is then equal to, -1 where it may be beyond.
    """
    rows: list[tuple[int, int, int, int]] = []
    # As many loops as the caller lets through.
    for here, register in zip(at.tolist(), limit.tolist(), strict=True):
        above = line.above_sp(here, register) if register >= 0 else None
        if above is not None and -LARGEST <= above <= 0:
            rows.append((here, Effect.ADD, above, 0))
        else:
            rows.append((here, Effect.DYNAMIC, NO_AMOUNT, 0))
    return rows_of(rows)


def rows_of(rows: list[tuple[int, int, int, int]]) -> Rows:
    """Columns of instructions, effects, values and registers."""
    at, effect, value, source = np.array(rows, np.int64).reshape(-1, 4).T
    return Rows(at, effect.astype(np.uint8), value, source)


def is_alignment(number: int) -> bool:
    """Whether a number is a power of two that a stack pointer can be a multiple of."""
    return 0 < number <= LARGEST and number & number - 1 == 0


def taken(amount: Amount, alignment: int) -> list[tuple[Effect, int]]:
    """What it does to the stack pointer to take an amount from it: effects with their values.

    Args:
        amount: bytes.
        alignment: what the stack pointer stays a multiple of.
    """
    exact = amount.exact
    if exact is not None:
        return [(Effect.ADD, -exact)] if abs(exact) <= LARGEST else [(Effect.LOST, 0)]
    least, most = -(-amount.least // alignment) * alignment, amount.most // alignment * alignment
    if least > LARGEST:
        least, most = 0, amount.most
    limited = most - least <= LARGEST
    rows = [(Effect.DYNAMIC, most - least if limited else NO_AMOUNT)]
    return [(Effect.ADD, -least), *rows] if least else rows
