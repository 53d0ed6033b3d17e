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
_LONGEST = _BEGINS_BEFORE + _ENDS_AFTER


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
    # Very few branches go back so little.
    back = np.flatnonzero((branches >= targets) & (branches - targets <= _LONGEST))
    if not len(taking) or not len(back):
        return taking[:0], back[:0]
    turn = np.minimum(np.searchsorted(taking, targets[back]), len(taking) - 1)
    begin, away, end = targets[back], taking[turn], branches[back]
    around = (away >= begin) & (away - begin <= _BEGINS_BEFORE)
    around &= (end > away) & (end - away <= _ENDS_AFTER)
    turn, back = turn[around], back[around]
    # Of several branches around one instruction, the first.
    first = np.flatnonzero(np.diff(turn, prepend=-1))
    return turn[first], back[first]
