"""The functions that a user means by a name or an address."""

from __future__ import annotations

import difflib

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import UsageError
from stackgauge.frames.measure import Frames
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.symbols import STT_FILE, STT_SECTION

# How many similar names an error tells, and how long names may differ to be compared at all.
_SUGGESTED = 3
_LONGER = 6


def find_named(frames: Frames, wanted: str) -> NDArray[np.intp]:
    """The functions of a name, of which there may be several, or the one at an address.

    Args:
        frames: the measured image.
        wanted: a name, an alias, or an address as ``0x…``: of an instruction of the function, in
            an object as an offset in any section.

    Returns:
        Rows of ``frames.functions``, ascending; none where there is no such function.
    """
    if wanted[:2].lower() == "0x":
        return _at(frames, wanted)
    symbols = frames.functions.symbols
    if not wanted:
        return np.zeros(0, np.intp)
    named = symbols.defined(wanted)
    named = named[(symbols.type[named] != STT_FILE) & (symbols.type[named] != STT_SECTION)]
    return _holding(frames, sorted_unique(symbols.value[named]), begin=True)


def _at(frames: Frames, wanted: str) -> NDArray[np.intp]:
    try:
        address = int(wanted, 16)
    except ValueError:
        return np.zeros(0, np.intp)
    if not 0 <= address < 1 << 64:
        return np.zeros(0, np.intp)
    elf, functions = frames.image.elf, frames.functions
    if not elf.relocatable:
        return _holding(frames, np.array([address], np.uint64), begin=False)
    every = np.arange(len(functions))
    start = functions.addresses(elf, every)
    inside = (start <= address) & (functions.end - functions.start > np.uint64(address) - start)
    return sorted_unique(functions.routine[inside])


def _holding(frames: Frames, address: NDArray[np.uint64], *, begin: bool) -> NDArray[np.intp]:
    """The functions whose code has any of the addresses, or that begin there."""
    functions = frames.functions
    if not len(functions):
        return np.zeros(0, np.intp)
    at = np.searchsorted(functions.start, address, "right") - 1
    held = (at >= 0) & (address < functions.end[at])
    if begin:
        held &= address == functions.start[at]
    return sorted_unique(functions.routine[at[held]])


def not_found(measured: list[Frames], wanted: str) -> UsageError:
    """The error that says that no function has that name, and which have similar ones."""
    where = ", ".join(frames.image.path for frames in measured[:1])
    if wanted[:2].lower() == "0x":
        return UsageError(f"{where}: no function has code at {wanted}")
    names = {
        name
        for frames in measured
        for name in frames.functions.names(np.flatnonzero(frames.functions.parent < 0))
        if name and abs(len(name) - len(wanted)) <= _LONGER
    }
    # A comparison costs microseconds, and a kernel has 50,000 names: first those that share most.
    pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)}
    likely = sorted(names, key=lambda name: -sum(pair in name for pair in pairs))[:500]
    similar = difflib.get_close_matches(wanted, likely, _SUGGESTED)
    hint = f"; similar: {', '.join(similar)}" if similar else ""
    return UsageError(f"{where}: has no function {wanted!r}{hint}")
