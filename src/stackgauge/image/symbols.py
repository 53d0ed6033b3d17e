"""Symbols as columns: from an ELF symbol table, the kernel's kallsyms or a System.map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.arrays import member
from stackgauge.image.elf import (
    EM_ARM,
    SHN_LORESERVE,
    SHN_XINDEX,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
    Elf,
)
from stackgauge.image.source import Bytes

STT_NOTYPE = 0
STT_OBJECT = 1
STT_FUNC = 2
STT_SECTION = 3
STT_FILE = 4

STB_LOCAL = 0
STB_GLOBAL = 1
STB_WEAK = 2

# The section column of a symbol that lies in none (undefined, absolute, or from kallsyms).
NO_SECTION = -1


class Strings:
    """NUL-terminated strings in one byte array, looked up by offset when they are printed."""

    def __init__(self, raw: Bytes | bytes) -> None:
        """Keep ``raw``, a string table; nothing is decoded yet."""
        self._raw = raw if isinstance(raw, bytes) else raw.data

    @cached_property
    def _bytes(self) -> bytes:
        return bytes(self._raw)

    def __getitem__(self, offset: int) -> str:
        """The string at ``offset``; empty where the offset lies beyond the table."""
        end = self._bytes.find(b"\0", offset)
        return self._bytes[offset : end if end >= 0 else None].decode("utf-8", "replace")

    @property
    def raw(self) -> bytes:
        """The whole table."""
        return self._bytes

    @cached_property
    def _nuls(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.frombuffer(self._bytes + b"\0", np.uint8) == 0)

    def ends(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the strings at many offsets end; each must lie inside the table."""
        return self._nuls[np.searchsorted(self._nuls, offsets)].astype(np.int64)

    def starts(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the strings begin that hold many offsets, by their first bytes in the table."""
        at = np.searchsorted(self._nuls, offsets)
        return np.where(at > 0, self._nuls[at - 1] + 1, 0).astype(np.int64)

    def slices(self, offsets: NDArray[np.int64]) -> list[bytes]:
        """The strings at many offsets, as bytes; each must lie inside the table."""
        raw, ends = self._bytes, self.ends(offsets)
        return [raw[a:b] for a, b in zip(offsets.tolist(), ends.tolist(), strict=True)]

    @cached_property
    def _words(self) -> NDArray[np.uint64]:
        """The eight bytes before each offset, and, eight further, those from it on."""
        raw = np.frombuffer(b"\0" * 8 + self._bytes + b"\0" * 8, np.uint8)
        return np.ndarray(len(raw) - 7, np.dtype("<u8"), raw.data, 0, (1,))

    def beginnings(
        self, offsets: NDArray[np.int64], ends: NDArray[np.int64] | None = None
    ) -> NDArray[np.uint64]:
        """The first eight bytes of each string as a number; what is behind its end counts as 0.

        Args:
            offsets: where the strings begin.
            ends: where they are taken to end, if that is not at a NUL.
        """
        first = self._words[offsets + 8]
        # The lowest byte that is 0 gets its highest bit set here, and some above it may.
        zeros = (first - np.uint64(0x0101010101010101)) & ~first & np.uint64(0x8080808080808080)
        lowest = zeros & (~zeros + np.uint64(1))
        first &= (lowest >> np.uint64(7)) - np.uint64(1)
        if ends is not None:
            length = np.minimum(ends - offsets, 8).astype(np.uint64)
            short = (np.uint64(8) - length) * np.uint64(8)
            first = first << short >> short
        return first

    def fingerprints(
        self, offsets: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        """Numbers that are equal for equal strings, and seldom for others.

        Made of a string's length, its first eight bytes and its last eight.
        """
        length = ends - offsets
        short = (8 - np.minimum(length, 8)).astype(np.uint64) * np.uint64(8)
        first = self._words[offsets + 8] << np.minimum(short, np.uint64(63))
        last = self._words[ends] >> np.minimum(short, np.uint64(63))
        prints: NDArray[np.uint64] = first * np.uint64(0x9E3779B97F4A7C15) + last
        return prints + length.astype(np.uint64)

    def places(self, text: bytes) -> NDArray[np.int64]:
        """Every offset at which ``text`` is found, ascending."""
        found, at = [], self._bytes.find(text)
        while at >= 0:
            found.append(at)
            at = self._bytes.find(text, at + 1)
        return np.array(found, np.int64)

    def offsets(self, text: str) -> list[int]:
        """Every offset at which ``text`` is found, as the end of a longer string too."""
        found: list[int] = self.places(text.encode() + b"\0").tolist()
        return found


# Up to so many offsets it is quicker to compare all names with each.
_FEW = 8


@dataclass(frozen=True, eq=False)
class Symbols:
    """A symbol table, one entry a symbol, in the table's own order.

    Attributes:
        value: the address (of a relocatable object: as laid out), uint64.
        size: bytes, uint64; 0 where the source tells none.
        type: STT_* (System V ABI, figure 4-19), uint8.
        binding: STB_*, uint8.
        section: the section's index, or NO_SECTION, int32.
        name: offset into ``strings``, int64.
        strings: the names.
        source: ``symtab``, ``kallsyms``, ``system-map`` or ``none``.
    """

    value: NDArray[np.uint64]
    size: NDArray[np.uint64]
    type: NDArray[np.uint8]
    binding: NDArray[np.uint8]
    section: NDArray[np.int32]
    name: NDArray[np.int64]
    strings: Strings
    source: str

    def __len__(self) -> int:
        """How many symbols there are."""
        return len(self.value)

    def named(self, name: str) -> NDArray[np.intp]:
        """The rows of the symbols of a name, whatever they stand for, ascending."""
        at = self.strings.offsets(name)
        # Few; as the end of a longer name it may be there without being one.
        if len(at) > _FEW:
            return np.flatnonzero(member(self.name, np.array(at, np.int64)))
        named = np.zeros(len(self), bool)
        for offset in at:
            named |= self.name == offset
        return np.flatnonzero(named)

    def defined(self, name: str) -> NDArray[np.intp]:
        """Those of them that stand for something in a section."""
        rows = self.named(name)
        return rows[self.section[rows] >= 0]

    def find(self, name: str) -> int | None:
        """The address of the defined symbol of that name, or None."""
        rows = self.named(name)
        rows = rows[self.type[rows] != STT_FILE]
        return int(self.value[rows[0]]) if len(rows) else None


def no_symbols() -> Symbols:
    """An empty table, for an image that has no symbols of any kind."""
    empty = np.zeros(0, np.uint64)
    return Symbols(
        value=empty,
        size=empty,
        type=np.zeros(0, np.uint8),
        binding=np.zeros(0, np.uint8),
        section=np.zeros(0, np.int32),
        name=np.zeros(0, np.int64),
        strings=Strings(b"\0"),
        source="none",
    )


def _symbol_dtype(elf: Elf) -> np.dtype[Any]:
    """System V ABI, figure 4-16: the fields' order differs between the classes."""
    four, half, word = elf.order + "u4", elf.order + "u2", elf.order + "u8"
    if elf.bits == 32:
        fields = [
            ("name", four), ("value", four), ("size", four),
            ("info", "u1"), ("other", "u1"), ("shndx", half),
        ]  # fmt: skip
    else:
        fields = [
            ("name", four), ("info", "u1"), ("other", "u1"), ("shndx", half),
            ("value", word), ("size", word),
        ]  # fmt: skip
    return np.dtype(fields)


def elf_symbols(elf: Elf) -> Symbols:
    """The symbols of ``.symtab``; an empty table where there is none.

    Raises:
        InputError: the table is cut off or names a string table that is not there.
    """
    tables = np.flatnonzero(elf.headers["type"] == SHT_SYMTAB)
    if not len(tables):
        return no_symbols()
    table = int(tables[0])
    link = int(elf.headers["link"][table])
    if link >= len(elf.headers):
        raise InputError(elf.where, "is broken: its symbol table has no string table")
    raw = elf.contents(table)
    kind = _symbol_dtype(elf)
    if len(raw) % kind.itemsize:
        raise InputError(elf.where, "is broken: its symbol table ends inside a symbol")
    rows = raw.view(kind) if len(raw) else np.zeros(0, kind)
    strings = elf.contents(link)
    if len(rows) and int(rows["name"].max()) >= max(len(strings), 1):
        raise InputError(elf.where, "is broken: a symbol's name lies beyond the string table")
    section = rows["shndx"].astype(np.int64)
    extended = section == SHN_XINDEX
    if extended.any():
        tables = np.flatnonzero(elf.headers["type"] == SHT_SYMTAB_SHNDX)
        wide = elf.words(int(tables[0]), "u4") if len(tables) else np.zeros(0, np.uint32)
        if len(wide) < len(rows):
            raise InputError(elf.where, "is broken: its extended section indices are missing")
        section[extended] = wide[: len(rows)][extended]
    # Reserved indices (absolute, common) and 0 (undefined) are no section.
    reserved = (section == 0) | ((section >= SHN_LORESERVE) & ~extended)
    section[reserved] = NO_SECTION
    if len(section) and int(section.max()) >= len(elf.headers):
        raise InputError(elf.where, "is broken: a symbol lies in a section that does not exist")
    value = rows["value"].astype(np.uint64)
    if elf.machine == EM_ARM:
        # A function in Thumb code has an odd address (ELF for the Arm Architecture, 4.5.3).
        value[rows["info"] & 15 == STT_FUNC] &= ~np.uint64(1)
    if elf.relocatable:
        inside = section >= 0
        value[inside] += elf.headers["addr"][section[inside]].astype(np.uint64)
    return Symbols(
        value=value,
        size=rows["size"].astype(np.uint64),
        type=(rows["info"] & 15).astype(np.uint8),
        binding=(rows["info"] >> 4).astype(np.uint8),
        section=section.astype(np.int32),
        name=rows["name"].astype(np.int64),
        strings=Strings(strings),
        source="symtab",
    )
