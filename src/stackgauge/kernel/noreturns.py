"""Functions of the kernel that never return to their caller, by name.

The compiler knows them by their declarations (``__noreturn``) and lets a call of one end a
function. Their own code does not always show it: ``panic`` can be left by a jump to code that
only the kernel's linker has put there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.symbols import Symbols

# Of objtool's list (tools/objtool/noreturns.h; before 6.5 global_noreturns in check.c) those that
# most others end with a call of, which then tells of them.
NORETURNS = ("__stack_chk_fail", "panic", "do_exit")


def noreturns(symbols: Symbols) -> NDArray[np.uint64]:
    """Their addresses in an image, ascending."""
    found = (symbols.find(name) for name in NORETURNS)
    return np.array(sorted({address for address in found if address}), np.uint64)
