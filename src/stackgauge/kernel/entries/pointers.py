"""Pointers that static data holds, in whichever way a kernel has them before it is relocated.

A position-independent kernel (arm64, s390, LoongArch, PowerPC) has them in ``.rela.dyn`` as
relative relocations, whose words in the file may be zero, or in ``.relr.dyn``, whose words hold the
addresses already.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import EM_ARM, SHF_ALLOC, SHT_NOBITS
from stackgauge.image.opening import Image
from stackgauge.image.relative import relative_words
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import STB_GLOBAL, STB_WEAK, STT_FUNC, STT_NOTYPE

Addresses = NDArray[np.uint64]
Contents = Callable[[str | int], Bytes]

NOWHERE = np.zeros(0, np.uint64)


class Pointers:
    """Reads pointers out of an image's data, and tells which of them are functions."""

    def __init__(self, image: Image, contents: Contents) -> None:
        """Take an image; nothing is read yet.

        Args:
            image: the image.
            contents: gives a section's bytes, relocated where the image is an object.
        """
        self.image, self._contents = image, contents
        self._places, self._values = relative_words(image.elf)
        symbols, elf = image.symbols, image.elf
        in_code = np.zeros(len(elf.headers) + 1, bool)
        in_code[elf.executable] = True
        kinds = np.isin(symbols.type, (STT_FUNC, STT_NOTYPE))
        rows = self._in_code = np.flatnonzero(kinds & in_code[symbols.section])
        # Of the aliases of an address a function comes first, then what is global.
        rank = np.where(symbols.type[rows] == STT_FUNC, 0, 2) + (
            symbols.binding[rows] != STB_GLOBAL
        )
        rows = rows[np.lexsort((rows, rank, symbols.value[rows]))]
        values = symbols.value[rows]
        first = np.ones(len(rows), bool)
        first[1:] = values[1:] != values[:-1]
        self._rows, self._starts = rows[first], values[first]

    def words(self, start: int, end: int) -> Addresses:
        """The pointers at addresses ``start`` to ``end``; none where no section holds them."""
        elf = self.image.elf
        size = elf.bits // 8
        end = start + max(end - start, 0) // size * size
        raw = self._bytes(start, end)
        words = raw[: len(raw) // size * size].view(f"{elf.order}u{size}").astype(np.uint64)
        low, high = np.searchsorted(self._places, np.array([start, end], np.uint64))
        at = self._places[low:high] - np.uint64(start)
        whole = at % np.uint64(size) == 0
        at = (at[whole] // np.uint64(size)).astype(np.intp)
        inside = at < len(words)
        words[at[inside]] = self._values[low:high][whole][inside]
        if elf.machine == EM_ARM:  # an odd address is one of Thumb code
            words &= ~np.uint64(1)
        return words

    def _bytes(self, start: int, end: int) -> Bytes:
        elf = self.image.elf
        if not elf.relocatable:
            return elf.at_addresses(start, end)
        index = self._section(start)
        if index is None:
            return elf.data[:0]
        base = int(elf.headers["addr"][index])
        return self._contents(index)[start - base : end - base]

    def _section(self, address: int) -> int | None:
        """The section with contents that holds an address, or None."""
        headers, place = self.image.elf.headers, np.uint64(address)
        start = headers["addr"].astype(np.uint64)
        held = (headers["flags"] & SHF_ALLOC != 0) & (headers["type"] != SHT_NOBITS)
        held &= (start <= place) & (place - start < headers["size"].astype(np.uint64))
        found = np.flatnonzero(held)
        return int(found[0]) if len(found) else None

    def named(self, address: Addresses) -> tuple[NDArray[np.bool_], list[str]]:
        """Which addresses are beginnings of functions, (n,); and the names of those that are."""
        if not len(self._starts):
            return np.zeros(len(address), bool), []
        at = np.minimum(np.searchsorted(self._starts, address), len(self._starts) - 1)
        known = self._starts[at] == address
        symbols = self.image.symbols
        names = symbols.strings.slices(symbols.name[self._rows[at[known]]])
        return known, [name.decode("utf-8", "replace") for name in names]

    @cached_property
    def _by_name(self) -> list[tuple[bytes, int]]:
        """The names of code, sorted, each with its symbol's row."""
        symbols = self.image.symbols
        names = symbols.strings.slices(symbols.name[self._in_code])
        return sorted(zip(names, self._in_code.tolist(), strict=True))

    def with_names(self, *patterns: str) -> tuple[Addresses, list[str]]:
        """Functions by name: their addresses, (n,), and names, in the symbol table's order.

        Args:
            patterns: names; one that ends in ``*`` stands for all that begin so, but for cold
                pieces and clones, which have a suffix, and for weak ones: these stand for what
                the kernel was built without (COND_SYSCALL, kernel/sys_ni.c).
        """
        symbols, names = self.image.symbols, self._by_name
        found = {}
        # A loop over patterns and what they match.
        for pattern in patterns:
            begin = pattern.rstrip("*").encode()
            at = bisect_left(names, (begin, 0))
            while at < len(names) and names[at][0].startswith(begin):
                name, row = names[at]
                at += 1
                if name == begin or (
                    pattern.endswith("*") and b"." not in name and symbols.binding[row] != STB_WEAK
                ):
                    found[row] = name.decode("utf-8", "replace")
        rows = sorted(found)
        return symbols.value[rows], [found[row] for row in rows]

    def as_compiled(self, name: str) -> str:
        """What a function is called in this image: the name, or else that of its only clone.

        GCC names one that it has changed for its callers with a suffix, as in ``f.constprop.0``.
        """
        names, begin = self._by_name, name.encode()
        at = bisect_left(names, (begin, 0))
        if at < len(names) and names[at][0] == begin:
            return name
        clones = []
        while at < len(names) and names[at][0].startswith(begin + b"."):
            if not names[at][0].endswith(b".cold"):
                clones.append(names[at][0])
            at += 1
        return clones[0].decode("utf-8", "replace") if len(clones) == 1 else name

    def bounds(self, name: str, limit: int) -> tuple[int, int] | None:
        """Where the object of a name begins and at most ends, or None where there is no such.

        The end is by the symbol's size or, of one without, where the next symbol stands.

        Args:
            name: the symbol.
            limit: most bytes that such an object has.
        """
        symbols = self.image.symbols
        start = symbols.find(name)
        if start is None:
            return None
        index = self._section(start)
        if index is None:
            return None
        header = self.image.elf.headers[index]
        end = int(header["addr"]) + int(header["size"])
        size = int(symbols.size[symbols.value == np.uint64(start)].max())
        if size:
            return start, min(start + min(size, limit), end)
        beyond = symbols.value[symbols.value > np.uint64(start)]
        end = min(end, int(beyond.min())) if len(beyond) else end
        return start, min(end, start + limit)
