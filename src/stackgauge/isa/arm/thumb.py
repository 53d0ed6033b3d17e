"""Thumb code: instructions of one halfword or two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.mapping import Marks
from stackgauge.isa.arm import data as found
from stackgauge.isa.arm import thumb16, thumb32
from stackgauge.isa.arm.listing import Listing, Mask, Thumb
from stackgauge.isa.model import Code, Ranges
from stackgauge.isa.words import Text, text_of

HALF = 2


def thumb_listing(code: Code, ranges: Ranges, marks: Marks, order: str, data_order: str) -> Listing:
    """The Thumb code of some stretches; arguments as of ``a32_listing``."""
    text = text_of(code, ranges, order, HALF)
    raw = code.data[text.address - code.address :]
    if len(marks.address):
        data = found.marked(marks, text.address, len(text.words), HALF)
        # BUG is written as data (arch/arm/include/asm/bug.h).
        traps = data & (text.words & 0xFF00 == 0xDE00)
        traps[1:] &= ~data[:-1]
        data &= ~traps
    else:
        data = np.zeros(len(text.words), bool)
        data = _data(text, _listing(text, data, raw, data_order))
    return _listing(text, data, raw, data_order)


def _data(text: Text, listing: Listing) -> Mask:
    """What looks like data: what is loaded, and what TBB and TBH jump by."""
    parts = (found.loaded(listing), found.tables_of_distances(listing))
    return found.shown(text, listing, parts)


def _listing(text: Text, data: Mask, raw: NDArray[np.uint8], order: str) -> Listing:
    """The instructions of stretches of halfwords that are not data."""
    halves, inside = text.words, text.inside()
    at, wide = thumb16.boundaries(halves, inside & ~data, text.begin)
    first, narrow = halves[at], thumb16.expanded()
    words, numbers = narrow.words[first], narrow.numbers[first].astype(np.int64)
    start = at.astype(np.int64) * HALF
    long = np.flatnonzero(wide)
    both = first[long].astype(np.uint32) << np.uint32(16) | halves[at[long] + 1]
    expanded = thumb32.expanded(both, start[long] + text.address)
    words[long], numbers[long] = expanded.words, expanded.numbers
    end = start + np.where(wide, 2 * HALF, HALF)
    thumb16.give_conditions(words, first, np.append(end[:-1] == start[1:], False)[: len(end)])
    last = found.run_ends(data, inside) * HALF
    begin, after = np.searchsorted(at, text.begin), np.searchsorted(at, text.end)
    thumb = Thumb(start, end, numbers, long[expanded.pairs], expanded.second)
    text = Text(words, text.address, begin, after)
    return Listing(text, raw, order, (last, last + HALF), thumb)
