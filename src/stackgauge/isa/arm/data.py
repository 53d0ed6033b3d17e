"""Which parts of a text are data: literal pools and jump tables.

Mapping symbols say it where there are any. A stripped image has none; there, what instructions
load from near the PC is data, and so is what a jump table holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stackgauge.image.mapping import Marks
from stackgauge.isa.arm.encoding import Words, field, matches
from stackgauge.isa.arm.listing import Listing, Mask, Offsets
from stackgauge.isa.words import WORD, Indices, Text

# The letter of the mapping symbol before data.
DATA = ord("d")

# Entries of a jump table that are looked at; a made-up one could go on for ever.
_LONGEST_TABLE = 1 << 12

# How often data is looked for again without what is said in data.
_TURNS = 3


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


class Places(NamedTuple):
    """Data, and the instructions that show it to be that; columns.

    Attributes:
        at: indices of instructions.
        start, end: offsets of the data of each.
    """

    at: Indices
    start: Offsets
    end: Offsets


def shown(text: Text, listing: Listing, parts: Sequence[Places]) -> Mask:
    """Which words of a section are data by what its instructions say.

    What lies in another stretch than the instruction is no data for it. Nor is what an instruction
    says that lies in data itself: it is none. Which ones do so is found turn by turn.

    Args:
        text: the section, in words of any size.
        listing: its code, and data read as code.
        parts: data of several kinds.
    """
    at, start, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    here, start, end = listing.start(at) // text.size, start // text.size, -(-end // text.size)
    stretch = text.stretch(here)
    own = (start >= text.begin[stretch]) & (end <= text.end[stretch])
    here, start, end = here[own], start[own], end[own]
    data = np.zeros(len(text.words), bool)
    for _ in range(_TURNS):
        true = ~data[here]
        data = spans(start[true], end[true], len(text.words))
    return data


def loaded(listing: Listing) -> Places:
    """What instructions load from near the PC."""
    words = listing.text.words
    at = np.flatnonzero(is_literal(words) & listing.inside)
    place = listing.literal(at)
    double = matches(words[at], 0x0F000F00, 0x0D000B00)  # VLDR
    return Places(at, place, place + np.where(double, 2 * WORD, WORD))


def is_literal(words: Words) -> Mask:
    """Which instructions load from near the PC: LDR, and VLDR."""
    single = matches(words, 0x0F7F0000, 0x051F0000) & (words < np.uint32(0xF0000000))
    return single | matches(words, 0x0F3F0E00, 0x0D1F0A00)


def tables_of_addresses(listing: Listing) -> Places:
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
    for _ in range(_LONGEST_TABLE):
        if not len(live):
            break
        live = live[end[live] < len(text.words)]
        entry = text.words[end[live]].astype(np.int64)
        live = live[(entry >= low[live]) & (entry < high[live]) & (entry & WORD - 1 == 0)]
        end[live] += 1
    return Places(at, first * WORD, end * WORD)


def tables_of_distances(listing: Listing) -> Places:
    """Jump tables of Thumb, of TBB and TBH: none reaches into what an entry of it leads to."""
    words = listing.text.words
    at = np.flatnonzero(matches(words, 0x0FFFFF70, 0x008FF000))
    at = at[listing.end(at) - listing.start(at) == WORD]  # not ADD PC, Rm
    first = listing.end(at)
    size = 1 + field(words[at], 7, 1).astype(np.int64)
    end, limit = first.copy(), np.full(len(first), len(listing.raw), np.int64)
    live = np.arange(len(first))
    # Each turn is one entry further, in all tables at once.
    for _ in range(_LONGEST_TABLE):
        if not len(live):
            break
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
    return Places(at, first, end)
