"""An ELF file as arrays: header, section headers and section contents, each a NumPy view.

Layouts are those of the System V ABI, chapter 4 ("Object Files"), for both classes and both byte
orders. Every offset and count is checked against the file before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.source import Bytes

ET_REL = 1

EM_386 = 3
EM_MIPS = 8
EM_PPC = 20
EM_PPC64 = 21
EM_S390 = 22
EM_ARM = 40
EM_X86_64 = 62
EM_AARCH64 = 183
EM_RISCV = 243
EM_LOONGARCH = 258

SHT_NULL = 0
SHT_SYMTAB = 2
SHT_RELA = 4
SHT_NOTE = 7
SHT_NOBITS = 8
SHT_REL = 9
SHT_SYMTAB_SHNDX = 18

SHF_WRITE = 1
SHF_ALLOC = 0x2
SHF_EXECINSTR = 0x4
SHF_COMPRESSED = 0x800

SHN_LORESERVE = 0xFF00
SHN_XINDEX = 0xFFFF

# Where the sections of a relocatable object are laid out; away from 0, where an undefined
# symbol resolves to, so that a call to one never seems to land inside the object, nor where only
# the low bits of its distance or of its address are kept.
LAYOUT_BASE = 0x1000_1000


@dataclass(frozen=True)
class Section:
    """One section header. Addresses and sizes in bytes; ``address`` is where it is laid out."""

    index: int
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    entry_size: int


@dataclass(frozen=True, eq=False)
class Elf:
    """A parsed ELF file.

    Attributes:
        where: what to call the file in messages.
        data: all its bytes, shape (size,).
        bits: 32 or 64.
        order: NumPy's byte-order character, ``<`` or ``>``.
        machine: ``e_machine``.
        type: ``e_type``.
        flags: ``e_flags``, whose meaning is the machine's; 0 where there is no such header.
        headers: the section headers, one row a section, fields as in the ABI without ``sh_``.
            Of a relocatable object, allocated sections have been given addresses one after the
            other from LAYOUT_BASE, so that code everywhere else can speak of addresses alone.
    """

    where: str
    data: Bytes
    bits: int
    order: str
    machine: int
    type: int
    headers: NDArray[Any]
    _string_index: int = field(repr=False)
    flags: int = 0
    _unpacked: dict[int, Bytes] = field(default_factory=dict, repr=False)

    @property
    def relocatable(self) -> bool:
        """Whether this is an object file or a module, whose relocations are still to be applied."""
        return self.type == ET_REL

    @cached_property
    def names(self) -> list[str]:
        """The sections' names, in order."""
        if self._string_index >= len(self.headers):
            return [""] * len(self.headers)
        strings = self.contents(self._string_index).tobytes()
        names = []
        for offset in self.headers["name"].tolist():
            if offset >= len(strings) and offset:
                raise InputError(self.where, f"section name at {offset} lies beyond its table")
            end = strings.find(b"\0", offset)
            names.append(strings[offset : end if end >= 0 else None].decode("utf-8", "replace"))
        return names

    @cached_property
    def _by_name(self) -> dict[str, int]:
        by_name: dict[str, int] = {}
        for index, name in enumerate(self.names):
            by_name.setdefault(name, index)
        return by_name

    def section(self, which: str | int) -> Section | None:
        """The first section of that name or the one of that index; None where there is none."""
        index = self._by_name.get(which) if isinstance(which, str) else which
        if index is None or not 0 <= index < len(self.headers):
            return None
        header = self.headers[index]
        return Section(
            index=index,
            name=self.names[index],
            **{
                ours: int(header[theirs])
                for ours, theirs in (
                    ("type", "type"),
                    ("flags", "flags"),
                    ("address", "addr"),
                    ("offset", "offset"),
                    ("size", "size"),
                    ("link", "link"),
                    ("info", "info"),
                    ("entry_size", "entsize"),
                )
            },
        )

    def contents(self, which: str | int | Section) -> Bytes:
        """A section's bytes, unpacked where they are compressed; empty if absent or NOBITS."""
        index = self._by_name.get(which) if isinstance(which, str) else which
        if isinstance(index, Section):
            index = index.index
        if index is None or not 0 <= index < len(self.headers):
            return self.data[:0]
        header = self.headers[index]
        if header["type"] in (SHT_NOBITS, SHT_NULL):
            return self.data[:0]
        offset = int(header["offset"])
        raw = self.data[offset : offset + int(header["size"])]
        if not int(header["flags"]) & SHF_COMPRESSED:
            return raw
        if index not in self._unpacked:
            from stackgauge.image.packed_sections import unpacked

            # The table of names is asked for while there are no names yet.
            name = "section names" if index == self._string_index else self.names[index]
            self._unpacked[index] = unpacked(self, raw, name)
        return self._unpacked[index]

    def words(self, which: str | int | Section, dtype: str) -> NDArray[Any]:
        """A section as an array of ``dtype`` (without byte order), a ragged end left off."""
        raw = self.contents(which)
        kind = np.dtype(self.order + dtype)
        return np.ndarray(len(raw) // kind.itemsize, kind, raw.data if len(raw) else b"")

    def at_addresses(self, start: int, end: int) -> Bytes:
        """The bytes at addresses ``start`` to ``end``; empty where no one section holds them."""
        headers = self.headers
        held = np.flatnonzero(
            (headers["flags"] & SHF_ALLOC != 0)
            & (headers["type"] != SHT_NOBITS)
            & (headers["addr"] <= start)
            & (headers["addr"] + headers["size"] >= end)
            & (headers["size"] > 0)
        )
        if not len(held) or end < start:
            return self.data[:0]
        header = headers[held[0]]
        offset = int(header["offset"]) + start - int(header["addr"])
        return self.data[offset : offset + end - start]

    @cached_property
    def relocation_tables(self) -> dict[int, list[int]]:
        """By the index of a section: those of the sections that hold its relocations."""
        kind = self.headers["type"]
        tables: dict[int, list[int]] = {}
        for table in np.flatnonzero((kind == SHT_RELA) | (kind == SHT_REL)).tolist():
            tables.setdefault(int(self.headers["info"][table]), []).append(table)
        return tables

    @cached_property
    def executable(self) -> NDArray[np.intp]:
        """Indices of the sections that hold code, by ascending address, none over another.

        Data is none, even where it may be executed: x86 kernels have had such a ``.data`` since
        6.16, in which a trampoline lies.
        """
        return self._code[0]

    @cached_property
    def overlaid(self) -> NDArray[np.intp]:
        """Indices of the sections that hold code at addresses where another one does.

        An ARM kernel has its table of vectors three times at one address, and takes one when it
        boots (arch/arm/include/asm/vmlinux.lds.h).
        """
        return self._code[1]

    @cached_property
    def _code(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        flags = self.headers["flags"]
        code = (
            (flags & SHF_EXECINSTR != 0)
            & (flags & SHF_ALLOC != 0)
            & (self.headers["type"] != SHT_NOBITS)
            & (self.headers["type"] != SHT_NULL)
            & (self.headers["size"] > 0)
        )
        data = [name == ".data" or name.startswith(".data.") for name in self.names]
        found = np.flatnonzero(code & ~np.array(data, bool))
        found = found[np.argsort(self.headers["addr"][found], kind="stable")]
        first = np.ones(len(found), bool)
        end = 0
        # A loop over sections, since which one counts depends on which ones before it do.
        for place, index in enumerate(found.tolist()):
            start = int(self.headers["addr"][index])
            first[place] = start >= end
            if first[place]:
                end = start + int(self.headers["size"][index])
        return found[first], found[~first]


def header_dtypes(bits: int, order: str) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The file header after e_ident, and a section header (System V ABI, figures 4-3 and 4-8)."""
    word = order + ("u8" if bits == 64 else "u4")
    half, four = order + "u2", order + "u4"
    file_header = np.dtype(
        [
            ("type", half),
            ("machine", half),
            ("version", four),
            ("entry", word),
            ("phoff", word),
            ("shoff", word),
            ("flags", four),
            ("ehsize", half),
            ("phentsize", half),
            ("phnum", half),
            ("shentsize", half),
            ("shnum", half),
            ("shstrndx", half),
        ]
    )
    section_header = np.dtype(
        [
            ("name", four),
            ("type", four),
            ("flags", word),
            ("addr", word),
            ("offset", word),
            ("size", word),
            ("link", four),
            ("info", four),
            ("addralign", word),
            ("entsize", word),
        ]
    )
    return file_header, section_header


def is_elf(data: Bytes) -> bool:
    """Whether the bytes begin as an ELF file does."""
    return data[:4].tobytes() == b"\x7fELF"


def parse_elf(data: Bytes, where: object) -> Elf:
    """Read the headers of an ELF file.

    Args:
        data: the file's bytes.
        where: what to call it in messages.

    Raises:
        InputError: it is not ELF, or its headers point outside of it or at each other's bytes.
    """
    if not is_elf(data):
        raise InputError(where, "is not an ELF file")
    if len(data) < 16 or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise InputError(where, "has an ELF class or byte order that does not exist")
    bits = 32 if data[4] == 1 else 64
    order = "<" if data[5] == 1 else ">"
    file_type, section_type = header_dtypes(bits, order)
    if len(data) < 16 + file_type.itemsize:
        raise InputError(where, f"is cut off: {len(data)} bytes, shorter than its ELF header")
    header = np.frombuffer(data, file_type, 1, 16)[0]
    headers, string_index = _section_headers(data, header, section_type, where)
    elf = Elf(
        where=str(where),
        data=data,
        bits=bits,
        order=order,
        machine=int(header["machine"]),
        type=int(header["type"]),
        headers=_laid_out(headers, where) if int(header["type"]) == ET_REL else headers,
        _string_index=string_index,
        flags=int(header["flags"]),
    )
    _check(elf)
    return elf


def _section_headers(
    data: Bytes, header: Any, section_type: np.dtype[Any], where: object
) -> tuple[NDArray[Any], int]:
    offset, count = int(header["shoff"]), int(header["shnum"])
    string_index = int(header["shstrndx"])
    if offset == 0:
        return np.zeros(0, section_type), 0
    if int(header["shentsize"]) != section_type.itemsize:
        raise InputError(where, f"has section headers of {int(header['shentsize'])} bytes")
    if offset + section_type.itemsize > len(data):
        raise InputError(where, f"is cut off: its section headers begin at {offset:#x}")
    first = np.frombuffer(data, section_type, 1, offset)[0]
    # "If the number of sections is SHN_LORESERVE or more" it stands in the first header.
    if count == 0:
        count = int(first["size"])
    if string_index == SHN_XINDEX:
        string_index = int(first["link"])
    if count > (len(data) - offset) // section_type.itemsize:
        raise InputError(where, f"is cut off: {count} section headers do not fit in it")
    return np.frombuffer(data, section_type, count, offset), string_index


def _laid_out(headers: NDArray[Any], where: object) -> NDArray[Any]:
    """Give the allocated sections of a relocatable object addresses of their own."""
    headers = headers.copy()
    allocated = np.flatnonzero(headers["flags"] & SHF_ALLOC)
    sizes = headers["size"][allocated]
    align = np.maximum(headers["addralign"][allocated], 1)
    if len(allocated) and (int(sizes.max()) >= 1 << 40 or int(align.max()) > 1 << 24):
        raise InputError(where, "has a section whose size or alignment cannot be")
    # A page between neighbours: a branch past the end of one never lands in the next.
    steps = (
        sizes.astype(np.uint64) + align.astype(np.uint64) * 2 + np.uint64(0x1000)
    ) & ~np.uint64(0xFFF)
    starts = np.uint64(LAYOUT_BASE) + np.cumsum(steps) - steps
    aligned = align.astype(np.uint64)
    starts = (starts + aligned - np.uint64(1)) // aligned * aligned
    if headers["addr"].dtype.itemsize == 4 and len(starts) and int(starts[-1]) >= 1 << 31:
        raise InputError(where, "is too large for a 32-bit object")
    headers["addr"][allocated] = starts
    return headers


def _check(elf: Elf) -> None:
    """Refuse sections that lie outside the file or the address space, or share bytes."""
    headers = elf.headers
    allocated = headers["flags"] & SHF_ALLOC != 0
    # "SHF_COMPRESSED ... cannot be used in conjunction with SHF_ALLOC" (gABI 4.3).
    packed = allocated & (headers["flags"] & SHF_COMPRESSED != 0)
    if packed.any():
        raise InputError(elf.where, f"is broken: section {int(np.argmax(packed))} is compressed")
    room = np.iinfo(headers["addr"].dtype).max - headers["addr"]
    beyond = allocated & (headers["size"] > room)
    if beyond.any():
        first = int(np.argmax(beyond))
        raise InputError(elf.where, f"is broken: section {first} reaches beyond all addresses")
    held = np.flatnonzero(
        (headers["type"] != SHT_NOBITS) & (headers["type"] != SHT_NULL) & (headers["size"] > 0)
    )
    offset = headers["offset"][held].astype(np.uint64)
    size = headers["size"][held].astype(np.uint64)
    total = np.uint64(len(elf.data))
    outside = (offset > total) | (size > total - np.minimum(offset, total))
    if outside.any():
        first = int(held[np.argmax(outside)])
        raise InputError(elf.where, f"is cut off: section {first} reaches beyond its end")
    order = np.argsort(offset, kind="stable")
    ends = (offset + size)[order]
    overlap = offset[order][1:] < ends[:-1]
    if overlap.any():
        at = int(np.argmax(overlap))
        one, two = sorted((int(held[order[at]]), int(held[order[at + 1]])))
        raise InputError(elf.where, f"is broken: sections {one} and {two} overlap")
