"""Abbreviations (DWARF 5, section 7.5.3): the shapes of debug entries, for many units at once.

A kernel has 2,300 abbreviation tables in 5 MB. Only a few declarations of each are of use here,
so they are found by their tag's byte, and the attributes of all of them are then read in lockstep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import sorted_unique
from stackgauge.image.dwarf_bytes import Positions, Reader

TAG_COMPILE_UNIT = 0x11
TAG_SUBPROGRAM = 0x2E
TAG_PARTIAL_UNIT = 0x3C
TAG_SKELETON_UNIT = 0x4A

FORM_ADDR = 0x01
FORM_STRING = 0x08
FORM_BLOCK1 = 0x0A
FORM_REF_ADDR = 0x10
FORM_STRP = 0x0E
FORM_EXPRLOC = 0x18
FORM_FLAG_PRESENT = 0x19
FORM_LINE_STRP = 0x1F
FORM_IMPLICIT_CONST = 0x21

# Forms of an offset into another section; the first up to DWARF 3.
OFFSET_FORMS = (0x06, 0x17)

# How a form's bytes are counted, where they are not a fixed number (DWARF 5, section 7.5.6).
LEB = -1
STRING = -2
BLOCK = -3  # a LEB128 length, and so many bytes
BLOCK1 = -4
BLOCK2 = -5
BLOCK4 = -6
NOT_KNOWN = -7

# Vendor forms are numbered from 0x1f01; the four that occur are kept under these numbers.
GNU_FORMS = {0x1F01: 0x30, 0x1F02: 0x31, 0x1F20: 0x32, 0x1F21: 0x33}

# A declaration with more attributes, or a higher code, is not a compiler's.
_MOST_ATTRIBUTES = 64
_LONGEST_LIST = 256

# Tables are searched together, with what lies between them, if that is no more than this.
_NEAR = 1 << 15
_CODE_BITS = 20


def _form_sizes(width: int) -> NDArray[np.int8]:
    """Bytes of every form in 32-bit DWARF, where addresses have ``width`` bytes."""
    sizes = {
        0x01: width, 0x03: BLOCK2, 0x04: BLOCK4, 0x05: 2, 0x06: 4, 0x07: 8, 0x08: STRING,
        0x09: BLOCK, 0x0A: BLOCK1, 0x0B: 1, 0x0C: 1, 0x0D: LEB, 0x0E: 4, 0x0F: LEB, 0x10: 4,
        0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x15: LEB, 0x17: 4, 0x18: BLOCK, 0x19: 0, 0x1A: LEB,
        0x1B: LEB, 0x1C: 4, 0x1D: 4, 0x1E: 16, 0x1F: 4, 0x20: 8, 0x21: 0, 0x22: LEB, 0x23: LEB,
        0x24: 8, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4,
        0x30: LEB, 0x31: LEB, 0x32: 4, 0x33: 4,
    }  # fmt: skip
    table = np.full(256, NOT_KNOWN, np.int8)
    table[list(sizes)] = list(sizes.values())
    return table


FORM_SIZES = {width: _form_sizes(width) for width in (4, 8)}


@dataclass(frozen=True, eq=False)
class Lists:
    """The attributes of some declarations, one row a declaration.

    Attributes:
        first: where a row's attributes begin in the arrays below, int64.
        count: how many it has, int64.
        attr: the attributes' names, one after the other, uint8; 0 for vendors' ones.
        form: their forms, uint8.
        const: their values where the form is DW_FORM_implicit_const, int64.
    """

    first: Positions
    count: Positions
    attr: NDArray[np.uint8]
    form: NDArray[np.uint8]
    const: Positions

    def __len__(self) -> int:
        """How many declarations there are."""
        return len(self.first)

    def owners(self) -> Positions:
        """The row that each attribute belongs to."""
        return np.repeat(np.arange(len(self)), self.count)


@dataclass(frozen=True, eq=False)
class Abbrevs:
    """Where declarations stand, sorted by table and code.

    Attributes:
        section: ``.debug_abbrev``.
        table: the offset of the declaration's table in the section, int64.
        code: the number by which entries refer to it, int64.
        tag: DW_TAG_*, uint8.
        at: where its attributes begin, int64.
        key: ``table`` and ``code`` as one ascending number, int64.
        stretches: the parts of the section that hold the tables, as (start, end).
    """

    section: Reader
    table: Positions
    code: Positions
    tag: NDArray[np.uint8]
    at: Positions
    key: Positions
    stretches: list[tuple[int, int]]

    def __len__(self) -> int:
        """How many declarations there are."""
        return len(self.table)

    def find(self, table: Positions, code: Positions) -> Positions:
        """The declaration of each code in each table; -1 where there is none."""
        if not len(self.key):
            return np.full(len(table), -1)
        wanted = (table << _CODE_BITS) + np.minimum(code, (1 << _CODE_BITS) - 1)
        at = np.minimum(np.searchsorted(self.key, wanted), len(self.key) - 1)
        return np.where(self.key[at] == wanted, at, -1)

    def mentioning(self, attr: int, forms: tuple[int, ...]) -> Positions:
        """Declarations that may have the attribute in one of the forms, all that do among them."""
        if not len(self):
            return np.zeros(0, np.int64)
        order = np.argsort(self.at)
        starts = self.at[order]
        found = [np.zeros(0, np.int64)]
        for low, high in self.stretches:
            data = self.section.data[low:high]
            where = np.flatnonzero(data[:-1] == attr)
            found.append(where[np.isin(data[1:][where], forms)] + low)
        where = np.concatenate(found)
        index = np.searchsorted(starts, where, "right") - 1
        near = (index >= 0) & (where - starts[index] < _LONGEST_LIST)
        return sorted_unique(order[index[near]])

    def lists(self, which: Positions) -> Lists:
        """The attributes of some declarations, in that order."""
        return _read_lists(self.section, self.at[which])


def read_abbrevs(
    section: Reader, tables: Positions, ends: Positions, tags: tuple[int, ...]
) -> Abbrevs:
    """Find the declarations of some tags in some tables.

    Args:
        section: ``.debug_abbrev``.
        tables: offsets of the tables that are wanted, ascending, each once.
        ends: for each, an offset at or after its end; bytes of tables that follow are harmless,
            because the first declaration of a code is the one that counts.
        tags: the DW_TAG_* wanted, all below 0x80.
    """
    stretches = _stretches(tables, np.minimum(ends, len(section)))
    start, tag_at = _declarations(section, tables, stretches, tags)
    code, _ = section.ulebs(start)
    at = np.searchsorted(tables, start, "right") - 1
    table = tables[np.maximum(at, 0)]
    keep = (at >= 0) & (code > 0) & (code < (1 << _CODE_BITS) - 1)
    keep &= start < ends[np.maximum(at, 0)]
    tag_at, code, table = tag_at[keep], code[keep], table[keep]
    key = (table << _CODE_BITS) + code
    if not (key[1:] > key[:-1]).all():  # not in the order in which all compilers write them
        key, which = np.unique(key, return_index=True)
        tag_at, code, table = tag_at[which], code[which], table[which]
    return Abbrevs(section, table, code, section.bytes(tag_at), tag_at + 2, key, stretches)


def _stretches(tables: Positions, ends: Positions) -> list[tuple[int, int]]:
    """Tables that lie near each other as one part of the section, bounded by the units wanted."""
    reach = np.maximum.accumulate(ends)
    apart = np.flatnonzero(tables[1:] > reach[:-1] + _NEAR) + 1
    low = tables[np.concatenate(([0], apart))]
    high = reach[np.concatenate((apart - 1, [len(tables) - 1]))]
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _declarations(
    section: Reader, tables: Positions, stretches: list[tuple[int, int]], tags: tuple[int, ...]
) -> tuple[Positions, Positions]:
    """Where declarations begin, and where their tags stand, in ascending order.

    A declaration is code, tag, a byte that is 0 or 1 ("has children"), pairs of attribute and
    form, and two zeros; a table ends with one more zero. Neither an attribute nor a form is 0,
    so two zeros before a byte that is not 0 are an end, and what follows is a code.
    """
    data = section.data
    tag_at = []
    for low, high in stretches:
        stretch = data[low:high]
        matches = stretch[:-1] == tags[0]
        for tag in tags[1:]:
            matches |= stretch[:-1] == tag
        matches &= stretch[1:] <= 1
        tag_at.append(np.flatnonzero(matches) + low)
    where = np.concatenate(tag_at)
    where = where[where > 0]
    # A code's last byte is below 0x80, those before it are not.
    begin = where - 1
    for _ in range(2):
        begin -= (section.bytes(begin - 1) >= 0x80) & (begin > 0)
    ended = (section.bytes(begin - 1) == 0) & (section.bytes(begin - 2) == 0) & (begin >= 2)
    at = np.minimum(np.searchsorted(tables, begin), len(tables) - 1)
    fine = (ended | (tables[at] == begin)) & (section.bytes(where - 1) < 0x80)
    fine &= section.bytes(begin) != 0
    return begin[fine], where[fine]


def _read_lists(section: Reader, start: Positions) -> Lists:
    """The attribute lists that begin at ``start``."""
    live = np.arange(len(start))
    at = start
    count = np.zeros(len(start), np.int64)
    steps: list[tuple[Positions, Positions, Positions, Positions]] = []
    # One round for each attribute of the longest list.
    for _ in range(_MOST_ATTRIBUTES + 1):
        attr, at = section.ulebs(at)
        form, at = section.ulebs(at)
        going = (attr != 0) & (at <= len(section))
        if not going.all():
            live, attr, form, at = live[going], attr[going], form[going], at[going]
        if not len(live):
            break
        const = np.zeros(len(live), np.int64)
        implicit = np.flatnonzero(form == FORM_IMPLICIT_CONST)
        if len(implicit):
            # Signed by the standard; files and lines are positive, for which both read the same.
            const[implicit], at[implicit] = section.ulebs(at[implicit])
        steps.append((live, attr, form, const))
        count[live] += 1
    # A list that has not ended is not one of a compiler: it counts as empty.
    count[live] = 0
    first = np.cumsum(count) - count
    total = int(count.sum())
    names, forms = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    constants = np.zeros(total, np.int64)
    for step, (which, attr, form, const) in enumerate(steps):
        kept = count[which] > step
        to = first[which[kept]] + step
        names[to] = np.where(attr < 0x100, attr, 0)[kept]
        forms[to] = _form_numbers(form)[kept]
        constants[to] = const[kept]
    return Lists(first, count, names, forms, constants)


def _form_numbers(form: Positions) -> NDArray[np.uint8]:
    number = np.where(form < 0x30, form, 0xFF)
    if (number == 0xFF).any():
        for theirs, ours in GNU_FORMS.items():
            number[form == theirs] = ours
    return number.astype(np.uint8)
