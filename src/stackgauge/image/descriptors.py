"""Functions of big-endian 64-bit PowerPC: their symbols stand for descriptors, not for code.

64-bit PowerPC ELF Application Binary Interface Supplement 1.9, 3.2.5: a function's symbol lies in
``.opd``, where three words begin with the address of its code; its size is that of the code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stackgauge.image.elf import EM_PPC64, Elf
from stackgauge.image.relocate import relocated
from stackgauge.image.symbols import STT_FUNC, Symbols


def described(elf: Elf, symbols: Symbols) -> Symbols:
    """The symbols of a file, those of descriptors with the address and the section of the code."""
    table = elf.section(".opd") if elf.machine == EM_PPC64 else None
    if table is None:
        return symbols
    raw = relocated(elf, table, symbols)
    words = raw[: len(raw) // 8 * 8].view(f"{elf.order}u8").astype(np.uint64)
    offset = symbols.value - np.uint64(table.address)
    inside = (symbols.section == table.index) & (offset // np.uint64(8) < len(words))
    rows = np.flatnonzero(inside & (symbols.type == STT_FUNC))
    rows = rows[offset[rows] % np.uint64(8) == 0]
    code = words[(offset[rows] // np.uint64(8)).astype(np.intp)]
    start = elf.headers["addr"][elf.executable].astype(np.uint64)
    end = start + elf.headers["size"][elf.executable].astype(np.uint64)
    at = np.searchsorted(start, code, side="right") - 1
    inside = (at >= 0) & (code < np.append(end, np.uint64(0))[at])
    rows, code, at = rows[inside], code[inside], at[inside]
    value, section = symbols.value.copy(), symbols.section.copy()
    value[rows], section[rows] = code, elf.executable[at]
    return replace(symbols, value=value, section=section)
