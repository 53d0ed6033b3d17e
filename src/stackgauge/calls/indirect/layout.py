"""Structures taken apart: which field lies at an offset, and what it points to."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import sorted_unique
from stackgauge.image.btf import Btf, BtfKind

Numbers = NDArray[np.int64]

UNKNOWN = 0

# Structures inside structures, arrays and unions; none of the kernel's goes deeper.
_DEEPEST = 24
# Places that are followed at once; a kernel has some ten thousand.
_MOST_LANES = 1 << 21
# A field at the end that has no length of its own reaches as far as any object does.
_ENDLESS = 1 << 40


class Fields(NamedTuple):
    """Pointers that lie at some places; columns of one length, rows of UNKNOWN for no pointer.

    Attributes:
        owner: the innermost structure with a name that has the field, by its first like-named
            type, so that a structure is one whatever it lies in; int64.
        offset: where the field begins in that, bytes, int64.
        pointee: the type that the pointer leads to, without qualifiers, int64; UNKNOWN where
            nothing is known of it, or several pointers may lie there.
    """

    owner: Numbers
    offset: Numbers
    pointee: Numbers


class Layouts:
    """Looks fields up in the types of an image."""

    def __init__(self, btf: Btf, pointer: int = 8) -> None:
        """Take types, and the bytes of a pointer."""
        self.btf = btf
        self.pointer = pointer
        self._known = np.zeros(0, np.int64)
        self._found = Fields(*(np.zeros(0, np.int64),) * 3)

    @cached_property
    def size(self) -> Numbers:
        """Bytes of each type; 0 where it has none."""
        btf = self.btf
        size = np.where(btf.kind == BtfKind.PTR, self.pointer, btf.size)[btf.plain]
        # Arrays of arrays: the innermost first.
        arrays = np.flatnonzero(btf.kind == BtfKind.ARRAY)
        for _ in range(_DEEPEST):
            total = np.minimum(btf.count[arrays] * size[btf.type[arrays]], _ENDLESS)
            if np.array_equal(size[arrays], total):
                break
            size[arrays] = total
            size = size[btf.plain]
        return size

    @cached_property
    def first_named(self) -> Numbers:
        """Each type's first type of the same kind and name; itself where it has no name.

        A declaration alone counts as a structure.
        """
        btf = self.btf
        key = btf.name * 32 + np.where(btf.kind == BtfKind.FWD, BtfKind.STRUCT, btf.kind)
        _, first, of = np.unique(key, return_index=True, return_inverse=True)
        return np.where(btf.name > 0, first[of], np.arange(len(btf)))

    @cached_property
    def _members(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Members that have a place of their own, by type and offset: key, type, offset, size."""
        btf, members = self.btf, self.btf.members
        owner = np.repeat(np.arange(len(btf)), np.diff(members.first))
        plain = btf.plain[members.type]
        size = self.size[plain]
        last = np.zeros(len(owner), bool)
        ends = members.first[1:][np.diff(members.first) > 0] - 1
        last[ends] = True
        endless = last & (btf.kind[plain] == BtfKind.ARRAY) & (btf.count[plain] == 0)
        size = np.where(endless, _ENDLESS, size)
        kept = np.flatnonzero((size > 0) & (members.bitfield == 0) & (members.bits % 8 == 0))
        offset = members.bits[kept] // 8
        key = (owner[kept] << 32) + offset
        order = np.argsort(key, kind="stable")
        kept = kept[order]
        return key[order], plain[kept], offset[order], size[kept]

    def fields(self, type_: Numbers, offset: Numbers) -> Fields:
        """The pointers that lie at offsets into types; what was looked up before is remembered.

        Args:
            type_: types without qualifiers, UNKNOWN for none.
            offset: bytes from each one's beginning.
        """
        fits = (offset >= 0) & (offset < 1 << 31) & (type_ > 0)
        key = np.where(fits, (type_ << 32) + offset, 0)
        fresh = sorted_unique(key)
        at = np.searchsorted(self._known, fresh)
        fresh = fresh[(at == len(self._known)) | (np.append(self._known, -1)[at] != fresh)]
        if len(fresh):
            found = self._look_up(fresh >> 32, fresh & 0xFFFF_FFFF)
            known = np.concatenate([self._known, fresh])
            order = np.argsort(known, kind="stable")
            self._known = known[order]
            pairs = zip(self._found, found, strict=True)
            self._found = Fields(*(np.concatenate(pair)[order] for pair in pairs))
        at = np.searchsorted(self._known, key)
        return Fields(*(column[at] for column in self._found))

    def _look_up(self, type_: Numbers, offset: Numbers) -> Fields:
        btf, plain = self.btf, self.btf.plain
        count = len(type_)
        # A pointer to pointers may lead to any of an array of them.
        offset = np.where(btf.kind[type_] == BtfKind.PTR, offset % self.pointer, offset)
        query, owner, inside = np.arange(count), np.zeros(count, np.int64), offset
        found: list[tuple[Numbers, ...]] = []
        for _ in range(_DEEPEST):
            kind = btf.kind[type_]
            composite = (kind == BtfKind.STRUCT) | (kind == BtfKind.UNION)
            enters = composite & (btf.name[type_] > 0)
            owner = np.where(enters, self.first_named[type_], owner)
            inside = np.where(enters, offset, inside)
            ends = np.flatnonzero((kind == BtfKind.PTR) & (offset == 0))
            pointee = plain[btf.type[type_[ends]]]
            found.append((query[ends], owner[ends], inside[ends], pointee))
            arrays = np.flatnonzero(kind == BtfKind.ARRAY)
            element = plain[btf.type[type_[arrays]]]
            begin = offset[arrays] % np.maximum(self.size[element], 1)
            row, member, rest = self._into(np.flatnonzero(composite), type_, offset)
            # All elements of an array are one field.
            inside = np.append(inside[arrays] - (offset[arrays] - begin), inside[row])
            row = np.append(arrays, row)
            if len(row) > _MOST_LANES:
                # Unions of unions of many members: nothing is known of any of these places.
                return Fields(*np.zeros((3, count), np.int64))
            query, owner = query[row], owner[row]
            type_, offset = np.append(element, member), np.append(begin, rest)
            if not len(row):
                break
        return self._merged(count, *(np.concatenate(column) for column in zip(*found, strict=True)))

    def _into(
        self, rows: NDArray[np.intp], type_: Numbers, offset: Numbers
    ) -> tuple[NDArray[np.intp], Numbers, Numbers]:
        """The members that hold an offset: of a structure one, of a union several.

        Returns:
            The row that each is a member of, its type, and the offset inside it.
        """
        key, member, begin, size = self._members
        wanted = (type_[rows] << 32) + offset[rows]
        last = np.searchsorted(key, wanted, "right")
        # Of a structure's members the last that begins there or before; of a union's, all.
        union = self.btf.kind[type_[rows]] == BtfKind.UNION
        first = np.where(union, np.searchsorted(key, type_[rows] << 32), np.maximum(last - 1, 0))
        first = np.minimum(first, last)
        many = last - first
        lane = np.repeat(np.arange(len(rows)), many)
        at = np.arange(len(lane)) - np.repeat(np.cumsum(many) - many - first, many)
        row = rows[lane]
        rest = offset[row] - begin[at]
        kept = np.flatnonzero((key[at] >> 32 == type_[row]) & (rest >= 0) & (rest < size[at]))
        return row[kept], member[at[kept]], rest[kept]

    def _merged(
        self, count: int, query: Numbers, owner: Numbers, inside: Numbers, pointee: Numbers
    ) -> Fields:
        """One field for each query; UNKNOWN where members of a union are different pointers."""
        order = np.argsort(query, kind="stable")
        query, owner, inside, pointee = (c[order] for c in (query, owner, inside, pointee))
        first = np.ones(len(query), bool)
        first[1:] = query[1:] != query[:-1]
        start = np.cumsum(first) - 1
        heads = np.flatnonzero(first)
        place = (owner == owner[heads][start]) & (inside == inside[heads][start])
        name = self.first_named
        alike = place & (name[pointee] == name[pointee[heads][start]])
        result = Fields(*np.zeros((3, count), np.int64))
        for columns, same in (((0, owner), (1, inside)), place), (((2, pointee),), alike):
            every = np.ones(len(heads), bool)
            np.logical_and.at(every, start, same)
            for which, values in columns:
                result[which][query[heads[every]]] = values[heads[every]]
        return result
