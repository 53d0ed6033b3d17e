"""Where a flat ARM kernel lies in memory, told by how its functions begin.

Its first byte is at PAGE_OFFSET and TEXT_OFFSET (arch/arm/Makefile), of which neither is in the
image, and ``_stext``, the first symbol that kallsyms has, follows at any distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.symbols import Symbols
from stackgauge.image.vmlinuz import Flat

# The lower half of an address: TEXT_OFFSET has one of the first, and PAGE_OFFSET none.
_STEP = 0x8000

# How far _stext is from the first byte at most: TEXT_OFFSET is added to an address that is a
# multiple of 1 MiB or 2, and so is _stext (arch/arm/kernel/vmlinux.lds.S).
_FURTHEST = 1 << 24

# So many functions are looked at, and at least one in so many must begin like one.
_SAMPLE = 1024
_ONE_IN = 4


def arm_first_address(flat: Flat, symbols: Symbols) -> int | None:
    """The address of a little-endian image's first byte; None where no address fits.

    Most functions begin by pushing registers: of the possible addresses it is the one by which
    most symbols are where that is done.
    """
    start, end = symbols.find("_stext"), symbols.find("_etext")
    if start is None or end is None or len(flat.data) < 4 or flat.order != "<":
        return None
    functions = np.unique(symbols.value[(symbols.value >= start) & (symbols.value < end)])
    functions = functions[:: max(len(functions) // _SAMPLE, 1)]
    offsets = functions.astype(np.int64) - start
    best, address = 0, None
    # A loop over some hundred addresses.
    for before in range(0, min(_FURTHEST, start, len(flat.data)), _STEP):
        found = _pushes(flat, offsets + before)
        if found > best:
            best, address = found, start - before
    return address if best * _ONE_IN >= len(functions) else None


def _pushes(flat: Flat, offset: NDArray[np.int64]) -> int:
    """How many offsets in the image begin with a push, in A32 or in Thumb code."""
    offset = offset[(offset >= 0) & (offset + 4 <= len(flat.data))] & ~1
    data = flat.data
    a32 = ((data[offset + 3] == 0xE9) | (data[offset + 3] == 0xE5)) & (data[offset + 2] == 0x2D)
    thumb = (data[offset + 1] == 0xB5) | (data[offset + 1] == 0xE9) & (data[offset] == 0x2D)
    return int((a32 | thumb).sum())
