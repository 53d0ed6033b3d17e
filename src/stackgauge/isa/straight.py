"""What a register holds at an instruction, as far as the straight line of code before it says.

Used at the few places where the stack pointer is moved by a register's value: a constant that does
not fit an immediate, ``alloca``, the kernel's random stack offset. So it is plain Python over one
instruction at a time, while everything else is arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.amount import ANY, Amount
from stackgauge.isa.model import NO_AMOUNT, Effect

# How far back an instruction is looked for, and how many are followed one after the other.
WINDOW = 64
CHAIN = 8

# More bytes than any stack has; also what an int32 column holds.
LARGEST = 1 << 30

# What an instruction, given as a word, writes to its destination, from what registers hold.
Result = Callable[[int, Callable[[int], Amount]], Amount]


@dataclass(frozen=True, eq=False)
class Line:
    """Looks back from an instruction along its straight line.

    Attributes:
        words: the instructions, (n,) uint32.
        written: the set of registers that each one writes, bit r for register r; (n,) uint32.
        begins: where a straight line begins, because control may come from elsewhere; bool.
        result: what an instruction makes of numbers.
    """

    words: NDArray[np.uint32]
    written: NDArray[np.uint32]
    begins: NDArray[np.bool_]
    result: Result

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
