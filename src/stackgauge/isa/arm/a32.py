"""A32 code: instructions of one width, at multiples of it."""

from __future__ import annotations

import numpy as np

from stackgauge.image.mapping import Marks
from stackgauge.isa.arm import data as found
from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.edges import leads_on
from stackgauge.isa.arm.encoding import Words, matches
from stackgauge.isa.arm.listing import Listing, Mask
from stackgauge.isa.model import Code, Ranges
from stackgauge.isa.words import WORD, Text, text_of

# How many instructions in a row may be written as data (``.long``), one after the other.
_WRITTEN_OUT = 4

# How many NOPs may stand before data to align it.
_ALIGNING = 3

# How soon after an address is formed the two words there are loaded.
_SOON = 8

_NOWHERE = (np.zeros(0, np.int64),) * 2


def a32_listing(code: Code, ranges: Ranges, marks: Marks, order: str, data_order: str) -> Listing:
    """The A32 code of some stretches.

    Args:
        code: one section.
        ranges: the stretches.
        marks: the mapping symbols in it; it is looked at more closely where there are none.
        order: NumPy's character of the byte order of instructions.
        data_order: that of data.
    """
    text = text_of(code, ranges, order)
    raw = code.data[text.address - code.address :]
    listing = Listing(text, raw, data_order, _NOWHERE)
    if len(marks.address):
        data = _without_code(found.marked(marks, text.address, len(text.words), WORD), text.words)
    else:
        data = _data(listing)
    words = text.words.copy()
    words[data] = e.NOP
    last = found.run_ends(data, listing.inside) * WORD
    text = Text(words, text.address, text.begin, text.end)
    return Listing(text, raw, data_order, (last, last + WORD))


def _without_code(data: Mask, words: Words) -> Mask:
    """The data without instructions that are only written like it, as ``.long``.

    Such are BUG, SMC and HVC in the kernel (arch/arm/include/asm/opcodes.h). Control never goes on
    to data, but for a call that does not return; after one, only a trap is code. NOPs before data
    align it.
    """
    first = np.flatnonzero(data[1:] & ~data[:-1]) + 1
    for _ in range(_WRITTEN_OUT):
        before = first - 1
        for _ in range(_ALIGNING):
            before -= np.isin(words[before], (e.NOP, e.OLD_NOP)) & (before > 0)
        code = leads_on(words[before]) | matches(words[first], 0xFFF000F0, 0xE7F000F0)
        first = first[code]
        data[first] = False
        first = first[first + 1 < len(words)] + 1
        first = first[data[first]]
    return data


def _data(listing: Listing) -> Mask:
    """What looks like data: what is loaded, and tables of the addresses that are jumped to."""
    parts = (found.loaded(listing), found.tables_of_addresses(listing), _pairs(listing))
    return found.shown(listing.text, listing, parts)


def _pairs(listing: Listing) -> found.Places:
    """Constants of 8 bytes: their address is formed (ADR), and LDRD loads from it soon after."""
    words = listing.text.words
    at = np.flatnonzero(matches(words, 0xFFEF0000, 0xE28F0000) & listing.inside)
    loaded = np.zeros(len(at), bool)
    for turn in range(1, _SOON + 1):
        loads = words[np.minimum(at + turn, len(words) - 1)]
        double = matches(loads, 0x0FF00FFF, 0x01C000D0)
        loaded |= double & (e.rn(loads) == e.rd(words[at]))
    at = at[loaded]
    place = listing.literal(at)
    return found.Places(at, place, place + 2 * WORD)
