"""Instructions that take stack where a table does not say so.

Call frame information is what the compiler and the assembly's author wrote down, and says nothing
of a push inside inline assembly or inside an alternative.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import Rows, known, sample
from stackgauge.isa.model import Effect, Steps

# What can make the stack deeper, besides an ADD of less than nothing.
_MAY_TAKE = (Effect.ALIGN, Effect.DYNAMIC, Effect.LOST)


def unseen(steps: Steps, table: Rows) -> NDArray[np.uint64]:
    """Where stack is taken that the table leaves out.

    Args:
        steps: what the instructions do.
        table: rows of other evidence.

    Returns:
        The addresses of the instructions, ascending, shape (n,).
    """
    may_take = np.flatnonzero(np.isin(steps.effect, _MAY_TAKE))
    takes = np.flatnonzero((steps.effect == Effect.ADD) & (steps.value < 0))
    before, after = sample(table, steps.start[takes]), sample(table, steps.end[takes])
    says = known(table)
    told = (before >= 0) & (after >= 0)
    told &= says[before] & says[after] if len(table) else False
    grown = table.depth[after] - table.depth[before] if len(table) else steps.value[takes]
    told &= grown >= -steps.value[takes]
    return np.sort(np.concatenate([steps.start[may_take], steps.start[takes[~told]]]))
