"""Symbols whose kind is one letter, as nm prints it: those of kallsyms and of a System.map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.symbols import (
    NO_SECTION,
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
    STT_FUNC,
    STT_NOTYPE,
    STT_OBJECT,
    Strings,
    Symbols,
)


def _table(default: int, **letters: int) -> NDArray[np.uint8]:
    table = np.full(256, default, np.uint8)
    for group, value in letters.items():
        table[np.frombuffer(group.encode(), np.uint8)] = value
    return table


# nm(1). A letter says the section's kind, not the symbol's: `t` is a label in assembly too. W is
# a weak function (nm says V of an object), the kernel's own reading of it.
_TYPE = _table(STT_NOTYPE, tTwWiI=STT_FUNC, dDbBrRvVgGsS=STT_OBJECT)
_BINDING = _table(STB_LOCAL, ABCDGIRSTU=STB_GLOBAL, wWvV=STB_WEAK)


def lettered_symbols(
    value: NDArray[np.uint64],
    letter: NDArray[np.uint8],
    name: NDArray[np.int64],
    strings: Strings,
    source: str,
) -> Symbols:
    """A symbol table from addresses, letters and names, shape (n,) each; in no section yet."""
    return Symbols(
        value=value,
        size=np.zeros(len(value), np.uint64),
        type=_TYPE[letter],
        binding=_BINDING[letter],
        section=np.full(len(value), NO_SECTION, np.int32),
        name=name,
        strings=strings,
        source=source,
    )
