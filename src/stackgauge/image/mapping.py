"""Mapping symbols: where code begins, of which instruction set, and where data lies in it.

Source: "ELF for the Arm Architecture" (IHI 0044), 4.5.5: ``$a`` begins A32 code, ``$t`` Thumb code,
``$d`` data; the name may go on after a full stop.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import Elf
from stackgauge.image.symbols import NO_SECTION, STT_NOTYPE, elf_symbols


class Marks(NamedTuple):
    """What begins where; columns, by ascending address.

    ``kind`` is the letter of the mapping symbol, as a number.
    """

    address: NDArray[np.uint64]
    kind: NDArray[np.uint8]


class MappingSymbols:
    """The mapping symbols of a file, read when they are first asked for."""

    def __init__(self, elf: Elf) -> None:
        """Take a file; one whose symbols are stripped has none."""
        self._elf = elf

    @cached_property
    def _all(self) -> Marks:
        symbols = elf_symbols(self._elf)
        rows = np.flatnonzero((symbols.type == STT_NOTYPE) & (symbols.section != NO_SECTION))
        raw = np.frombuffer(symbols.strings.raw + b"\0\0\0", np.uint8)
        at = symbols.name[rows]
        marks = (raw[at] == ord("$")) & np.isin(raw[at + 2], (0, ord(".")))
        rows, kind = rows[marks], raw[at[marks] + 1]
        order = np.argsort(symbols.value[rows], kind="stable")
        return Marks(symbols.value[rows[order]], kind[order])

    def between(self, start: int, end: int) -> Marks:
        """Those at addresses from ``start`` to before ``end``."""
        low, high = np.searchsorted(self._all.address, np.array([start, end], np.uint64))
        return Marks(self._all.address[low:high], self._all.kind[low:high])
