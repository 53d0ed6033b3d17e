"""Debug entries as a tree (DWARF 5, sections 2.1 to 2.3 and 7.5), read where they are asked for.

For a question about one function: of a kernel's 170 MB of entries a few thousand are read, and
those that have children are stepped over by DW_AT_sibling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stackgauge.image import dwarf_abbrev as forms
from stackgauge.image.dwarf_bytes import Dwarf
from stackgauge.image.dwarf_cursor import BrokenError, Cursor
from stackgauge.image.dwarf_entries import AT_SIBLING
from stackgauge.image.dwarf_units import Units, all_unit_offsets, read_units

# More of either is not a compiler's: declarations of a table, attributes of a declaration.
_MOST_DECLARATIONS = 1 << 16
_MOST_ATTRIBUTES = 256

# Nesting deeper than that, or more entries for one question, are none of a compiler's either: the
# largest functions of a kernel have some ten thousand.
_DEEPEST = 512
_MOST_ENTRIES = 1 << 18

_FORM_SDATA = 0x0D
_LOCAL_REFERENCES = range(0x11, 0x16)
_BLOCK_SIZES = {forms.BLOCK1: 1, forms.BLOCK2: 2, forms.BLOCK4: 4}


class Value(NamedTuple):
    """An attribute's value.

    Attributes:
        form: DW_FORM_*.
        number: a constant, an address, an offset, or where a string or a block begins.
        size: bytes of a block, else -1.
    """

    form: int
    number: int
    size: int = -1


class _Declaration(NamedTuple):
    """The shape of entries: ``attributes`` are (DW_AT_*, form, implicit constant)."""

    tag: int
    children: bool
    attributes: list[tuple[int, int, int]]


@dataclass(frozen=True, eq=False)
class Entry:
    """One debug entry.

    Attributes:
        unit: the unit that it is part of.
        at: where it begins in ``.debug_info``.
        tag: DW_TAG_*.
        children: whether it has any.
        values: its attributes by DW_AT_*.
        after: where its first child begins, or without children the next entry.
    """

    unit: OneUnit
    at: int
    tag: int
    children: bool
    values: dict[int, Value]
    after: int

    def number(self, attribute: int) -> int | None:
        """An attribute that is one number; None where it is not there or is a block."""
        value = self.values.get(attribute)
        return None if value is None or value.size >= 0 else value.number

    def block(self, attribute: int) -> bytes | None:
        """An attribute that is a block of bytes, as expressions are; None where it is none."""
        value = self.values.get(attribute)
        if value is None or value.size < 0:
            return None
        return bytes(self.unit.raw[value.number : value.number + value.size])

    def text(self, attribute: int) -> str:
        """An attribute that is a string; empty where it is not there."""
        value = self.values.get(attribute)
        return "" if value is None else self.unit.units.string(0, value.form, value.number)

    def reference(self, attribute: int) -> Entry | None:
        """The entry that an attribute refers to; None where there is none, or none in this file."""
        value = self.values.get(attribute)
        if value is None:
            return None
        if value.form in _LOCAL_REFERENCES:
            return self.unit.entry(self.unit.start + value.number)
        if value.form == forms.FORM_REF_ADDR:
            return self.unit.tree.entry(value.number)
        return None


class Tree:
    """All entries of one image; keeps the units that were asked for."""

    def __init__(self, dwarf: Dwarf) -> None:
        """Speak of the entries of ``dwarf``; nothing is read yet."""
        self.dwarf = dwarf
        self._units: dict[int, OneUnit] = {}

    @cached_property
    def _offsets(self) -> list[int]:
        offsets: list[int] = all_unit_offsets(self.dwarf).tolist()
        return offsets

    def unit(self, offset: int) -> OneUnit:
        """The unit whose header begins at ``offset``."""
        if offset not in self._units:
            units = read_units(self.dwarf, np.array([offset], np.int64))
            if not len(units):
                raise BrokenError
            self._units[offset] = OneUnit(self, units)
        return self._units[offset]

    def entry(self, at: int) -> Entry | None:
        """The entry at any offset of ``.debug_info``."""
        index = int(np.searchsorted(self._offsets, at, "right")) - 1
        if index < 0:
            raise BrokenError
        return self.unit(self._offsets[index]).entry(at)


class OneUnit:
    """The entries of one unit."""

    def __init__(self, tree: Tree, units: Units) -> None:
        """Take the one unit that is in ``units``."""
        self.tree, self.units = tree, units
        self.start, self.end = int(units.offset[0]), int(units.end[0])
        self.version = int(units.version[0])
        self.raw: memoryview = tree.dwarf.info.data.data
        self._sizes: list[int] = forms.FORM_SIZES[tree.dwarf.width].tolist()
        self._entries: dict[int, Entry | None] = {}

    @cached_property
    def root(self) -> Entry:
        """The unit's own entry."""
        entry = self.entry(int(self.units.root[0]))
        if entry is None:
            raise BrokenError
        return entry

    @cached_property
    def _declarations(self) -> dict[int, _Declaration]:
        """The unit's abbreviations by their codes; a loop over the declarations of one unit."""
        section, order = self.tree.dwarf.abbrev, self.tree.dwarf.order
        read = Cursor(section.data.data, int(self.units.table[0]), len(section), order)
        found: dict[int, _Declaration] = {}
        while code := read.leb():
            tag, children = read.leb(), read.byte() != 0
            attributes = []
            while True:
                attribute, form = read.leb(), read.leb()
                constant = read.leb(signed=True) if form == forms.FORM_IMPLICIT_CONST else 0
                if not attribute:
                    break
                attributes.append((attribute, forms.GNU_FORMS.get(form, form), constant))
            found.setdefault(code, _Declaration(tag, children, attributes))
            if len(found) > _MOST_DECLARATIONS or len(attributes) > _MOST_ATTRIBUTES:
                raise BrokenError
        return found

    def entry(self, at: int) -> Entry | None:
        """The entry at an offset of ``.debug_info``; None where a list of children ends there.

        Raises:
            BrokenError: there is no entry.
        """
        if at not in self._entries:
            if len(self._entries) >= _MOST_ENTRIES:
                raise BrokenError
            self._entries[at] = self._read(at)
        return self._entries[at]

    def _read(self, at: int) -> Entry | None:
        if at < int(self.units.root[0]):
            raise BrokenError
        read = Cursor(self.raw, at, self.end, self.tree.dwarf.order)
        code = read.leb()
        if not code:
            return None
        declaration = self._declarations.get(code)
        if declaration is None:
            raise BrokenError
        values = {
            attribute: self._value(read, form, constant)
            for attribute, form, constant in declaration.attributes
        }
        return Entry(self, at, declaration.tag, declaration.children, values, read.at)

    def _value(self, read: Cursor, form: int, constant: int) -> Value:
        size = self._sizes[form] if form < len(self._sizes) else forms.NOT_KNOWN
        if size == 0:
            return Value(form, constant if form == forms.FORM_IMPLICIT_CONST else 1)
        if size > 0:
            return Value(form, read.number(size))
        if size == forms.LEB:
            return Value(form, read.leb(signed=form == _FORM_SDATA))
        if size == forms.STRING:
            at = read.at
            while read.byte():
                pass
            return Value(form, at)
        if size == forms.NOT_KNOWN:
            raise BrokenError
        length = read.leb() if size == forms.BLOCK else read.number(_BLOCK_SIZES[size])
        return Value(form, read.skip(length), length)

    def children(self, parent: Entry) -> Iterator[Entry]:
        """An entry's children, their own children stepped over."""
        at = parent.after
        while parent.children:
            entry = self.entry(at)
            if entry is None:
                return
            yield entry
            at = self._following(entry)

    def below(self, parent: Entry) -> Iterator[tuple[int, Entry]]:
        """All entries below one, depth first, each with its depth: 0 for the entry's children."""
        depth, at = 0, parent.after
        while parent.children and depth >= 0:
            entry = self.entry(at)
            if entry is None:
                depth, at = depth - 1, at + 1
                continue
            yield depth, entry
            at = entry.after
            depth += entry.children
            if depth > _DEEPEST:
                raise BrokenError

    def _following(self, entry: Entry) -> int:
        """Where the entry after this one and its children begins."""
        if not entry.children:
            return entry.after
        sibling = entry.number(AT_SIBLING)
        if sibling is not None:
            at = self.start + sibling
            if at <= entry.after:
                raise BrokenError
            return at
        depth, at = 1, entry.after
        while depth:
            within = self.entry(at)
            at = at + 1 if within is None else within.after
            depth += -1 if within is None else within.children
        return at
