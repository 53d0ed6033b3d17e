"""Functions of the kernel that never return to their caller, by name.

The compiler knows them by their declarations (``__noreturn``) and lets a call of one end a
function. Their own code does not always show it: ``panic`` can be left by a jump to code that
only the kernel's linker has put there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.symbols import Symbols

# Those that compiled code calls at its end, of objtool's list (tools/objtool/noreturns.h; before
# 6.5 global_noreturns in tools/objtool/check.c).
NORETURNS = (
    "__fortify_panic",
    "__module_put_and_kthread_exit",
    "__stack_chk_fail",
    "do_exit",
    "do_group_exit",
    "do_task_dead",
    "fortify_panic",
    "kthread_complete_and_exit",
    "kthread_exit",
    "make_task_dead",
    "panic",
    "usercopy_abort",
)


def noreturns(symbols: Symbols) -> NDArray[np.uint64]:
    """Their addresses in an image, ascending."""
    found = (symbols.find(name) for name in NORETURNS)
    return np.array(sorted({address for address in found if address}), np.uint64)
