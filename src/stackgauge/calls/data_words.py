"""Words of an image's static data: what they hold, and which of them hold some addresses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.model import Addresses, Indices
from stackgauge.frames.measure import Frames
from stackgauge.image.arrays import member
from stackgauge.image.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS
from stackgauge.image.relative import relative_words


def _sections(frames: Frames) -> Iterator[tuple[np.uint64, NDArray[np.unsignedinteger]]]:
    """The address of each section of data, and its words as they are when the kernel runs."""
    elf, word = frames.image.elf, frames.isa.bits // 8
    headers = elf.headers
    flags = headers["flags"]
    # Since 6.16 .data of x86 may be executed as well.
    data = (flags & SHF_ALLOC != 0) & ((flags & SHF_EXECINSTR == 0) | (flags & SHF_WRITE != 0))
    data &= (headers["type"] != SHT_NOBITS) & (headers["size"] >= word)
    filled = relative_words(elf)
    for index in np.flatnonzero(data).tolist():
        contents = frames.contents(index)
        words = np.ndarray(len(contents) // word, f"{elf.order}u{word}", contents.data)
        base = np.uint64(int(headers["addr"][index]))
        offset = filled.place - base
        here = np.flatnonzero((offset < np.uint64(len(words) * word)) & (offset % word == 0))
        if len(here):
            words = words.copy()
            words[(offset[here] // np.uint64(word)).astype(np.intp)] = filled.value[here]
        yield base, words


def words_at(frames: Frames, address: Addresses) -> tuple[Addresses, NDArray[np.bool_]]:
    """The words at some addresses, (n,) uint64; and which of them are known.

    What lies in ``.bss`` is zero; other data that the file has not is not known, as in a file of
    debug information alone.
    """
    result, word = np.zeros(len(address), np.uint64), np.uint64(frames.isa.bits // 8)
    known = np.zeros(len(address), bool)
    # A loop over the sections of data.
    for base, words in _sections(frames) if len(address) else ():
        offset = address - base
        here = np.flatnonzero((offset < np.uint64(len(words)) * word) & (offset % word == 0))
        result[here] = words[(offset[here] // word).astype(np.intp)]
        known[here] = True
    elf = frames.image.elf
    section = elf.section(".bss")
    if section is not None and section.type == SHT_NOBITS:
        known |= address - np.uint64(section.address) < np.uint64(section.size)
    return result, known


def words_that_hold(frames: Frames, wanted: Addresses) -> tuple[Addresses, Indices]:
    """Where data holds one of some addresses, and which: an index into ``wanted``."""
    cells, which = [np.zeros(0, np.uint64)], [np.zeros(0, np.intp)]
    if len(wanted):
        order = np.argsort(wanted, kind="stable")
        ordered, word = wanted[order], np.uint64(frames.isa.bits // 8)
        # A loop over the sections of data.
        for base, words in _sections(frames):
            # Few words are near them at all.
            near = np.flatnonzero((words >= ordered[0]) & (words <= ordered[-1]))
            value = words[near].astype(np.uint64)
            met = member(value, ordered)
            cells.append(base + near[met].astype(np.uint64) * word)
            which.append(order[np.searchsorted(ordered, value[met])])
    return np.concatenate(cells), np.concatenate(which)
