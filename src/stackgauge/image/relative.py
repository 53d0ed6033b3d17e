"""Words that a position-independent kernel fills in when it starts: its relative relocations.

In ``.rela.dyn`` stands what belongs at each place, where the file may have zeros. Of ``.relr.dyn``
nothing need be read: there the words are in their places already.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import (
    EM_AARCH64,
    EM_LOONGARCH,
    EM_PPC64,
    EM_RISCV,
    EM_S390,
    EM_X86_64,
    Elf,
)

# R_<machine>_RELATIVE, by each machine's ABI supplement.
_RELATIVE = {
    EM_X86_64: 8,
    EM_AARCH64: 1027,
    EM_S390: 12,
    EM_PPC64: 22,
    EM_RISCV: 3,
    EM_LOONGARCH: 3,
}


class Relative(NamedTuple):
    """Columns of one length, by ascending place: addresses, and the addresses held there."""

    place: NDArray[np.uint64]
    value: NDArray[np.uint64]


def relative_words(elf: Elf) -> Relative:
    """The words that relative relocations of a linked image fill in; none of any other image."""
    kind, raw = _RELATIVE.get(elf.machine), elf.contents(".rela.dyn")
    if kind is None or elf.bits != 64 or elf.relocatable:
        raw = raw[:0]
    # Elf64_Rela: r_offset, r_info with the type in its low 32 bits, r_addend.
    rows = np.frombuffer(raw, f"{elf.order}u8", len(raw) // 24 * 3).reshape(-1, 3)
    rows = rows[rows[:, 1] & np.uint64(0xFFFF_FFFF) == np.uint64(kind or 0)]
    rows = rows[np.argsort(rows[:, 0], kind="stable")].astype(np.uint64)
    return Relative(rows[:, 0], rows[:, 2])
