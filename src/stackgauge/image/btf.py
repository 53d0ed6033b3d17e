"""BTF: the kernel's own types, read into columns (Documentation/bpf/btf.rst).

Section ``.BTF`` is a header, a run of types whose numbers are their places in it, and strings.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.arrays import member
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import Strings

Numbers = NDArray[np.int64]

_MAGIC = 0xEB9F


class BtfKind(IntEnum):
    """BTF_KIND_* (include/uapi/linux/btf.h)."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


# Kinds that are another type under a name of their own, or restricted.
QUALIFIERS = (
    BtfKind.TYPEDEF, BtfKind.VOLATILE, BtfKind.CONST, BtfKind.RESTRICT, BtfKind.TYPE_TAG
)  # fmt: skip

# 32-bit words that follow a type's own three, at all, and for each of its ``vlen``.
_FIXED = {BtfKind.INT: 1, BtfKind.ARRAY: 3, BtfKind.VAR: 1, BtfKind.DECL_TAG: 1}
_EACH = {
    BtfKind.STRUCT: 3, BtfKind.UNION: 3, BtfKind.ENUM: 2, BtfKind.FUNC_PROTO: 2,
    BtfKind.DATASEC: 3, BtfKind.ENUM64: 3,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Members:
    """What is listed inside types, one after the other in the order of the types.

    Attributes:
        first: for each type, the row of its first, int64, with one entry more at the end.
        name: offset of its name into the strings, int64.
        type: its type, int64.
        bits: of a structure's member, where it begins in bits, int64; 0 of a parameter.
        bitfield: its width in bits where it is a bit field, else 0, int64.
    """

    first: Numbers
    name: Numbers
    type: Numbers
    bits: Numbers
    bitfield: Numbers


@dataclass(frozen=True, eq=False)
class Btf:
    """Types, one row a type; row 0 is void.

    Attributes:
        kind: BtfKind, uint8.
        name: offset of its name into ``strings``, 0 where it has none, int64.
        type: the type that it refers to (pointer, typedef, qualifier, function, returned value,
            an array's elements), else 0, int64.
        size: bytes (integers, structures, unions, enumerations), else 0, int64.
        count: an array's number of elements, else 0, int64.
        members: of structures and unions.
        parameters: of function prototypes; one of type 0 at the end stands for ``...``.
        strings: the names.
    """

    kind: NDArray[np.uint8]
    name: Numbers
    type: Numbers
    size: Numbers
    count: Numbers
    members: Members
    parameters: Members
    strings: Strings
    names_before: int = 0
    """Of a module's types, the bytes of names that come before its own: its kernel's."""

    def __len__(self) -> int:
        """How many types there are, void included."""
        return len(self.kind)

    def text(self, row: int) -> str:
        """A type's own name; empty where it has none."""
        return self.strings[int(self.name[row])]

    def rows(self, kind: BtfKind, name: str) -> list[int]:
        """The types of a kind that have this name."""
        offsets = np.array(self.strings.offsets(name), np.int64)
        found = (self.kind == kind) & member(self.name, offsets) & (self.name > 0)
        result: list[int] = np.flatnonzero(found).tolist()
        return result

    @cached_property
    def plain(self) -> Numbers:
        """Each type without its typedefs and qualifiers; a ring of such is void."""
        through = np.isin(self.kind, QUALIFIERS)
        to = np.where(through, self.type, np.arange(len(self)))
        # Each turn doubles the length of the chains that have been followed.
        for _ in range(16):
            following = to[to]
            if np.array_equal(following, to):
                break
            to = following
        return np.where(through[to], 0, to)

    def functions(self) -> tuple[list[bytes], Numbers]:
        """The functions' names, and the prototype of each."""
        rows = np.flatnonzero(self.kind == BtfKind.FUNC)
        return self.strings.slices(self.name[rows]), self.type[rows]


def read_btf(elf: Elf, contents: Callable[[str], Bytes], kernel: Btf | None = None) -> Btf | None:
    """The types of ``.BTF``; None where the image has none, or a module's that go on from others.

    Args:
        elf: the image, for its byte order and name.
        contents: gives a section's bytes by name.
        kernel: the types that a module's go on from (split BTF). Types and names are then
            numbered as if the kernel's came first: row ``r`` is the type ``len(kernel) - 1 + r``.

    Raises:
        InputError: the section is broken.
    """
    raw = contents(".BTF")
    if not len(raw):
        return None
    header = struct.Struct(elf.order + "HBBIIIII")
    if len(raw) < header.size:
        raise InputError(elf.where, "is broken: its BTF is cut off")
    magic, version, _, length, types, type_size, names, name_size = header.unpack_from(raw.data)
    if magic != _MAGIC or version != 1:
        raise InputError(elf.where, "has BTF of a version not known here")
    types, names = types + length, names + length
    if types % 4 or types + type_size > len(raw) or names + name_size > len(raw):
        raise InputError(elf.where, "is broken: its BTF reaches beyond its section")
    strings = Strings(raw[names : names + name_size])
    words = np.frombuffer(raw[types:], elf.order + "u4", type_size // 4).astype(np.int64)
    if kernel is None:
        return _read(words, strings, name_size, 0, elf.where)
    before = len(kernel.strings.raw)
    found = _read(words, strings, name_size + before, len(kernel) - 1, elf.where)
    return None if found is None else replace(found, names_before=before)


def _read(
    words: Numbers, strings: Strings, name_size: int, before: int, where: object
) -> Btf | None:
    at = _type_starts(words, where)
    info = np.append(0, words[at + 1])
    kind = (info >> 24 & 31).astype(np.uint8)
    name = np.append(0, words[at])
    third = np.append(0, words[at + 2])
    vlen = np.where(np.isin(kind, list(_EACH)), info & 0xFFFF, 0)
    sized = np.isin(
        kind, (BtfKind.INT, BtfKind.STRUCT, BtfKind.UNION, BtfKind.ENUM, BtfKind.ENUM64,
               BtfKind.FLOAT, BtfKind.DATASEC),
    )  # fmt: skip
    refers = ~sized & (kind != BtfKind.ARRAY) & (kind != BtfKind.FWD)
    type_ = np.where(refers, third, 0)
    count = np.zeros(len(kind), np.int64)
    arrays = np.flatnonzero(kind == BtfKind.ARRAY)
    type_[arrays] = words[at[arrays - 1] + 3]
    count[arrays] = words[at[arrays - 1] + 5]
    body = np.append(0, at + 3)
    members = _members(words, body, np.where(_composite(kind), vlen, 0), info >> 31 != 0)
    parameters = _parameters(words, body, np.where(kind == BtfKind.FUNC_PROTO, vlen, 0))
    most = max(int(column.max(initial=0)) for column in (type_, members.type, parameters.type))
    names = max(int(column.max(initial=0)) for column in (name, members.name, parameters.name))
    if most >= len(kind) + before or names >= max(name_size, 1):
        # A module's types and names go on from the kernel's (split BTF).
        return None
    return Btf(kind, name, type_, np.where(sized, third, 0), count, members, parameters, strings)


def _composite(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    composite: NDArray[np.bool_] = (kind == BtfKind.STRUCT) | (kind == BtfKind.UNION)
    return composite


def _type_starts(words: Numbers, where: object) -> Numbers:
    """Where each type begins in the words."""
    fixed, each = np.full(32, 0, np.int64), np.zeros(32, np.int64)
    fixed[list(_FIXED)], each[list(_EACH)] = list(_FIXED.values()), list(_EACH.values())
    kind = words[1:-1] >> 24 & 31 if len(words) > 2 else words[:0]
    length = (3 + fixed[kind] + each[kind] * (words[1:-1] & 0xFFFF)).tolist() if len(kind) else []
    found, at, size = [], 0, len(words)
    # A chain: each type says where the next one is; bounded by the section's size.
    while at < size:
        if at + 3 > size or at + length[at] > size:
            raise InputError(where, "is broken: its BTF ends inside a type")
        found.append(at)
        at += length[at]
    starts = np.array(found, np.int64)
    kinds = words[starts + 1] >> 24 & 31
    if len(kinds) and (int(kinds.max()) > max(BtfKind) or int(kinds.min()) == 0):
        raise InputError(where, "has BTF of a kind not known here")
    return starts


def _listed(body: Numbers, vlen: Numbers, words_each: int) -> tuple[Numbers, Numbers, Numbers]:
    """Where each listed thing stands, the first of each type, and the type of each."""
    first = np.append(0, np.cumsum(vlen))
    owner = np.repeat(np.arange(len(vlen)), vlen)
    within = np.arange(len(owner)) - first[owner]
    return body[owner] + words_each * within, first, owner


def _members(words: Numbers, body: Numbers, vlen: Numbers, flag: NDArray[np.bool_]) -> Members:
    at, first, owner = _listed(body, vlen, 3)
    offset = words[at + 2] if len(at) else at
    # With the flag set, the upper byte is a bit field's width.
    bits = np.where(flag[owner], offset & 0xFFFFFF, offset)
    width = np.where(flag[owner], offset >> 24, 0)
    return Members(first, words[at], words[at + 1], bits, width)


def _parameters(words: Numbers, body: Numbers, vlen: Numbers) -> Members:
    at, first, _ = _listed(body, vlen, 2)
    none = np.zeros(len(at), np.int64)
    return Members(first, words[at], words[at + 1], none, none)
