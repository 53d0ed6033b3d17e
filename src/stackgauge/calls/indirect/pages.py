"""Addresses that two instructions make together, of which the first one gives the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.blocks import Blocks
from stackgauge.isa.operands import NO_REGISTER, Op, Operands

Indices = NDArray[np.intp]

_ADDS = np.zeros(len(Op), bool)
_ADDS[[Op.LOAD, Op.ADDRESS, Op.STORE, Op.STORE_CONSTANT, Op.GO_LOADED]] = True


def with_pages(code: Operands, blocks: Blocks, registers: int) -> Operands:
    """Instructions that add to a page, as if they named the whole address.

    The page must be of the same block: one that comes from elsewhere may be one of several.
    """
    pages = np.flatnonzero(code.op == Op.PAGE)
    if not len(pages):
        return code
    base, disp = code.base.copy(), code.disp.copy()
    adds = _ADDS[code.op] & (code.base != NO_REGISTER) & (code.base < registers)
    # A loop over registers.
    for register in range(registers):
        rows = np.flatnonzero(adds & (code.base == register))
        writes = np.flatnonzero(code.writes >> np.uint64(register) & np.uint64(1))
        if not len(rows) or not len(writes):
            continue
        last = writes[np.maximum(np.searchsorted(writes, rows) - 1, 0)]
        fits = (last < rows) & (blocks.of[last] == blocks.of[rows]) & (code.op[last] == Op.PAGE)
        base[rows[fits]] = NO_REGISTER
        disp[rows[fits]] += code.disp[last[fits]]
    return replace(code, base=base, disp=disp)
