"""Loops that take the stack a page at a time and touch each (-fstack-clash-protection).

All turns of such a loop together take as much as the register that it compares the stack pointer
with says, so it is one move, and its branch back is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.words import Indices

# Where such a loop begins and ends, in words from the instruction that takes a page.
_BEGINS_BEFORE, _ENDS_AFTER = 2, 4


def loops(
    taking: Indices, branches: Indices, targets: NDArray[np.int64]
) -> tuple[Indices, Indices]:
    """The loops around instructions that take stack.

    Args:
        taking: indices of those instructions, ascending.
        branches: indices of direct branches, ascending.
        targets: the index that each goes to.

    Returns:
        Of each loop the place in ``taking`` and the place in ``branches``.
    """
    if not len(taking):
        return taking, taking
    turn = np.minimum(np.searchsorted(taking, targets), len(taking) - 1)
    away = taking[turn]
    back = (away >= targets) & (away - targets <= _BEGINS_BEFORE)
    back &= (branches > away) & (branches - away <= _ENDS_AFTER)
    found = np.flatnonzero(back)
    # Of several branches around one instruction, the first.
    found = found[np.unique(turn[found], return_index=True)[1]]
    return turn[found], found
