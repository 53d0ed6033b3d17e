"""Which function of which image a direct site leads to, kernel and modules taken together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.model import Addresses, Indices
from stackgauge.evidence.padding import first_code
from stackgauge.frames.measure import Frames
from stackgauge.image.opening import Image
from stackgauge.image.symbols import NO_SECTION, STB_GLOBAL, STB_LOCAL

NOWHERE = -1


def function_at(frames: Frames, address: Addresses) -> Indices:
    """The function that each address lies in, a cold piece's being its parent; else NOWHERE.

    The padding in front of a function leads into it, as where powerpc's assembly has a NOP at the
    local entry point.
    """
    functions = frames.functions
    if not len(functions):
        return np.full(len(address), NOWHERE, np.intp)
    at = np.searchsorted(functions.start, address, side="right") - 1
    inside = (at >= 0) & (address < functions.end[at])
    between = np.flatnonzero(~inside & (at + 1 < len(functions)))
    if len(between):
        elf, between = frames.image.elf, between[np.argsort(address[between], kind="stable")]
        start = functions.start[at[between] + 1]
        code = elf.headers["addr"][functions.section[at[between] + 1]].astype(np.uint64)
        padded = first_code(elf, frames.isa, address[between], start) == start
        padded &= address[between] >= code
        at[between] += padded
        inside[between] = padded
    return np.where(inside, functions.routine[at], NOWHERE)


class Linked:
    """The functions that an image's undefined symbols stand for in the other images.

    As the kernel links a module when it loads it: by name, with what the kernel and the modules
    before it define (kernel/module/main.c, ``simplify_symbols``).
    """

    def __init__(self, frames: Sequence[Frames], first: NDArray[np.intp]) -> None:
        """Take the images' frames and the number of each one's first function."""
        self.first = first
        self._frames = frames
        self._by_name: dict[bytes, tuple[int, int]] | None = None

    def _names(self) -> dict[bytes, tuple[int, int]]:
        """By name, the image and the address of what it defines for others."""
        if self._by_name is None:
            self._by_name = {}
            # A loop over the global symbols: names have to be compared whole.
            for index, frames in enumerate(self._frames):
                symbols = frames.image.symbols
                some = (symbols.binding != STB_LOCAL) & (symbols.section != NO_SECTION)
                rows = np.flatnonzero(some)
                rows = rows[np.argsort(symbols.binding[rows] != STB_GLOBAL, kind="stable")]
                exported = _exported(frames.image)
                names = symbols.strings.slices(symbols.name[rows])
                for name, value in zip(names, symbols.value[rows].tolist(), strict=True):
                    if exported is None or name in exported:
                        self._by_name.setdefault(name, (index, value))
        return self._by_name

    def defined(self, image: int, symbol: NDArray[np.int64]) -> tuple[NDArray[np.intp], Addresses]:
        """Which image defines each of some symbols of another, and at which address.

        Args:
            image: the image whose symbols they are.
            symbol: rows of its symbols.

        Returns:
            The image, NOWHERE where none does; and the address there.
        """
        used, which = np.unique(symbol, return_inverse=True)
        symbols = self._frames[image].image.symbols
        # A module names a few hundred at most.
        found = [
            self._names().get(name, (NOWHERE, 0))
            for name in symbols.strings.slices(symbols.name[used])
        ]
        where = np.array([index for index, _ in found], np.intp)
        value = np.array([address for _, address in found], np.uint64)
        return where[which], value[which]

    def functions(self, image: int, symbol: NDArray[np.int64]) -> Indices:
        """The function that each of some symbols stands for, or NOWHERE; of all images."""
        where, address = self.defined(image, symbol)
        callee = np.full(len(symbol), NOWHERE, np.intp)
        for index in np.unique(where[where >= 0]).tolist():
            here = np.flatnonzero(where == index)
            row = function_at(self._frames[index], address[here])
            callee[here] = np.where(row >= 0, row + self.first[index], NOWHERE)
        return callee


def _exported(image: Image) -> set[bytes] | None:
    """What a module exports; None of a kernel, or where it isn't said, which may be anything."""
    strings = image.elf.contents("__ksymtab_strings")
    if not image.elf.relocatable or not len(strings):
        return None
    return set(strings.tobytes().split(b"\0"))
