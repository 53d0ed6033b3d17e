"""Which parts of a text are data: literal pools and jump tables.

Mapping symbols say it where there are any. A stripped image has none; there, what instructions
load from near the PC is data, and so is what a jump table holds.
"""

from __future__ import annotations

import numpy as np

from stackgauge.image.mapping import Marks
from stackgauge.isa.arm.encoding import Words, field, matches
from stackgauge.isa.arm.listing import Listing, Mask, Offsets
from stackgauge.isa.words import WORD, Indices

# The letter of the mapping symbol before data.
DATA = ord("d")


def run_ends(data: Mask, inside: Mask) -> Indices:
    """The last index of each run of data inside of what is read."""
    data = data & inside
    ends = data.copy()
    ends[:-1] &= ~data[1:]
    return np.flatnonzero(ends)


def spans(start: Offsets, end: Offsets, count: int) -> Mask:
    """Which of ``count`` places lie in any of the spans, which may overlap and reach beyond."""
    depth = np.zeros(count + 1, np.int32)
    np.add.at(depth, np.clip(start, 0, count), 1)
    np.add.at(depth, np.clip(end, 0, count), -1)
    inside: Mask = np.cumsum(depth[:-1]) > 0
    return inside


def marked(marks: Marks, address: int, count: int, unit: int) -> Mask:
    """Which units of a section are data by its mapping symbols.

    Args:
        marks: those in it.
        address: of the first unit.
        count: of units.
        unit: bytes of one.
    """
    place = (marks.address - np.uint64(address)).astype(np.int64) // unit
    edges = np.clip(np.concatenate([[0], place, [count]]), 0, count)
    return np.repeat(np.append(False, marks.kind == DATA), np.diff(edges))


def loaded(listing: Listing) -> tuple[Offsets, Offsets]:
    """Where the data begins and ends that instructions load from near the PC."""
    words = listing.text.words
    at = np.flatnonzero(is_literal(words) & listing.inside)
    place = listing.literal(at)
    double = matches(words[at], 0x0F000F00, 0x0D000B00)  # VLDR
    return place, place + np.where(double, 2 * WORD, WORD)


def is_literal(words: Words) -> Mask:
    """Which instructions load from near the PC: LDR, and VLDR."""
    single = matches(words, 0x0F7F0000, 0x051F0000) & (words < np.uint32(0xF0000000))
    return single | matches(words, 0x0F3F0E00, 0x0D1F0A00)


def tables_of_addresses(listing: Listing) -> tuple[Offsets, Offsets]:
    """Jump tables of A32: of as many addresses as lie in the stretch that jumps by the table.

    ``LDR PC, [PC, Rm, LSL #2]`` has its table after the next instruction.
    """
    text = listing.text
    at = np.flatnonzero(matches(text.words, 0x0FFFFFF0, 0x079FF100) & listing.inside)
    stretch = text.stretch(at)
    low, high = (text.address + edge[stretch] * WORD for edge in (text.begin, text.end))
    first = at + 2
    end = first.copy()
    live = np.arange(len(first))
    # Each turn is one entry further, in all tables at once.
    while len(live):
        live = live[end[live] < len(text.words)]
        entry = text.words[end[live]].astype(np.int64)
        live = live[(entry >= low[live]) & (entry < high[live]) & (entry & WORD - 1 == 0)]
        end[live] += 1
    return first * WORD, end * WORD


def tables_of_distances(listing: Listing) -> tuple[Offsets, Offsets]:
    """Jump tables of Thumb, of TBB and TBH: none reaches into what an entry of it leads to."""
    words = listing.text.words
    at = np.flatnonzero(matches(words, 0x0FFFFF70, 0x008FF000))
    at = at[listing.end(at) - listing.start(at) == WORD]  # not ADD PC, Rm
    first = listing.end(at)
    size = 1 + field(words[at], 7, 1).astype(np.int64)
    end, limit = first.copy(), np.full(len(first), len(listing.raw), np.int64)
    live = np.arange(len(first))
    # Each turn is one entry further, in all tables at once.
    while len(live):
        live = live[end[live] + size[live] <= limit[live]]
        here = end[live]
        low, high = (listing.raw[place] for place in (here, here + size[live] - 1))
        if listing.order == ">":
            low, high = high, low
        entry = np.where(size[live] == 2, low | high.astype(np.int64) << 8, low)
        limit[live] = np.minimum(limit[live], first[live] + 2 * entry)
        # An entry that leads into the table itself belongs to none.
        live = live[limit[live] > here]
        end[live] += size[live]
    return first, end
