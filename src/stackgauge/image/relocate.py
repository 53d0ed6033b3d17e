"""Relocation of one section of an object file or module, as if it were linked where it is laid out.

Only what changes how code flows or what data points to is applied, for the machines in
RELOCATIONS; everything else is left as it stands in the file. What a symbol that is not defined
stands for is taken to be at address 0, where nothing is ever laid out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.elf import (
    EM_386,
    EM_AARCH64,
    EM_ARM,
    EM_MIPS,
    EM_PPC,
    EM_PPC64,
    EM_X86_64,
    SHT_RELA,
    Elf,
    Section,
)
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import Symbols


@dataclass(frozen=True)
class Relocation:
    """How one type of relocation is applied.

    Attributes:
        size: bytes of the field that it changes.
        relative: whether the place's own address is subtracted.
        drop: low bits of the value that are left out, as of a branch's distance in instructions.
        low: bit of the field where the value goes.
        bits: how many bits it has there; 0 for the whole field.
        thumb: whether it is the distance of a Thumb branch instead, of ``bits`` bits.
    """

    size: int
    relative: bool
    drop: int = 0
    low: int = 0
    bits: int = 0
    thumb: bool = False


# By machine and r_type. x86-64 psABI, table 4.9; "ELF for the Arm 64-bit Architecture", 5.7;
# "ELF for the Arm Architecture" (IHI 0044), 4.6.1;
# System V ABI, Intel386 supplement, figure 4-4, MIPS supplement, figure 4-11, and PowerPC
# supplement, figure 4-3; Power Architecture 64-Bit ELF V2 ABI, table 3.9.
_POWERPC = {
    1: Relocation(4, relative=False),  # R_PPC_ADDR32
    10: Relocation(4, relative=True, drop=2, low=2, bits=24),  # R_PPC_REL24
    11: Relocation(4, relative=True, drop=2, low=2, bits=14),  # R_PPC_REL14
    12: Relocation(4, relative=True, drop=2, low=2, bits=14),  # R_PPC_REL14_BRTAKEN
    13: Relocation(4, relative=True, drop=2, low=2, bits=14),  # R_PPC_REL14_BRNTAKEN
    26: Relocation(4, relative=True),  # R_PPC_REL32
}
_ARM_BRANCH = Relocation(4, relative=True, drop=2, low=0, bits=24)
_THUMB_BRANCH = Relocation(4, relative=True, bits=25, thumb=True)
RELOCATIONS: dict[int, dict[int, Relocation]] = {
    EM_X86_64: {
        1: Relocation(8, relative=False),  # R_X86_64_64
        2: Relocation(4, relative=True),  # R_X86_64_PC32
        4: Relocation(4, relative=True),  # R_X86_64_PLT32
        10: Relocation(4, relative=False),  # R_X86_64_32
        11: Relocation(4, relative=False),  # R_X86_64_32S
        24: Relocation(8, relative=True),  # R_X86_64_PC64
    },
    EM_AARCH64: {
        257: Relocation(8, relative=False),  # R_AARCH64_ABS64
        258: Relocation(4, relative=False),  # R_AARCH64_ABS32
        260: Relocation(8, relative=True),  # R_AARCH64_PREL64
        261: Relocation(4, relative=True),  # R_AARCH64_PREL32
        279: Relocation(4, relative=True, drop=2, low=5, bits=14),  # R_AARCH64_TSTBR14
        280: Relocation(4, relative=True, drop=2, low=5, bits=19),  # R_AARCH64_CONDBR19
        282: Relocation(4, relative=True, drop=2, low=0, bits=26),  # R_AARCH64_JUMP26
        283: Relocation(4, relative=True, drop=2, low=0, bits=26),  # R_AARCH64_CALL26
    },
    EM_ARM: {
        1: _ARM_BRANCH,  # R_ARM_PC24
        2: Relocation(4, relative=False),  # R_ARM_ABS32
        3: Relocation(4, relative=True),  # R_ARM_REL32
        10: _THUMB_BRANCH,  # R_ARM_THM_CALL
        27: _ARM_BRANCH,  # R_ARM_PLT32
        28: _ARM_BRANCH,  # R_ARM_CALL
        29: _ARM_BRANCH,  # R_ARM_JUMP24
        30: _THUMB_BRANCH,  # R_ARM_THM_JUMP24
        38: Relocation(4, relative=False),  # R_ARM_TARGET1
        42: Relocation(4, relative=True, bits=31),  # R_ARM_PREL31
        51: Relocation(4, relative=True, bits=21, thumb=True),  # R_ARM_THM_JUMP19
    },
    EM_386: {
        1: Relocation(4, relative=False),  # R_386_32
        2: Relocation(4, relative=True),  # R_386_PC32
        4: Relocation(4, relative=True),  # R_386_PLT32
    },
    EM_MIPS: {
        2: Relocation(4, relative=False),  # R_MIPS_32
        4: Relocation(4, relative=False, drop=2, low=0, bits=26),  # R_MIPS_26
        10: Relocation(4, relative=True, drop=2, low=0, bits=16),  # R_MIPS_PC16
        18: Relocation(8, relative=False),  # R_MIPS_64
        248: Relocation(4, relative=True),  # R_MIPS_PC32
    },
    EM_PPC: _POWERPC,
    EM_PPC64: _POWERPC
    | {
        38: Relocation(8, relative=False),  # R_PPC64_ADDR64
        44: Relocation(8, relative=True),  # R_PPC64_REL64
        116: Relocation(4, relative=True, drop=2, low=2, bits=24),  # R_PPC64_REL24_NOTOC
    },
}


def relocated(elf: Elf, which: str | int | Section, symbols: Symbols) -> Bytes:
    """A section's bytes with its relocations applied.

    Args:
        elf: the file. Where it is not relocatable, the bytes are those of the file.
        which: the section, by name, index or header.
        symbols: those of its symbol table (``elf_symbols(elf)``).

    Returns:
        A read-only array, shape (size,).

    Raises:
        InputError: a relocation names a place or a symbol that does not exist.
    """
    section = which if isinstance(which, Section) else elf.section(which)
    contents = elf.contents(which)
    kinds = RELOCATIONS.get(elf.machine)
    if section is None or not elf.relocatable or not kinds or not len(contents):
        return contents
    tables = elf.relocation_tables.get(section.index)
    if not tables:
        return contents
    out = contents.copy()
    # Loops over the tables, nearly always one, and over the few types of relocation in it.
    for table in tables:
        entries = _entries(elf, symbols, table)
        for number in np.unique(entries.type).tolist():
            if number in kinds:
                rows = entries.take(entries.type == number)
                _apply(out, elf, section, kinds[number], rows)
    out.flags.writeable = False
    return out


@dataclass(frozen=True, eq=False)
class _Entries:
    """Relocations, columns of one length; ``addend`` is None where it stands in the place."""

    place: NDArray[np.uint64]
    target: NDArray[np.uint64]
    type: NDArray[np.uint64]
    addend: NDArray[np.uint64] | None

    def take(self, which: NDArray[np.bool_]) -> _Entries:
        addend = None if self.addend is None else self.addend[which]
        return _Entries(self.place[which], self.target[which], self.type[which], addend)


def _entries(elf: Elf, symbols: Symbols, table: int) -> _Entries:
    """A table's relocations (System V ABI, figure 4-21, and ELF32_R_SYM and the like after it)."""
    explicit = int(elf.headers["type"][table]) == SHT_RELA
    word = f"{elf.order}u{elf.bits // 8}"
    fields = [("offset", word), ("info", word)]
    if explicit:
        fields.append(("addend", f"{elf.order}i{elf.bits // 8}"))
    dtype = np.dtype(fields)
    raw = elf.contents(table)
    rows = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)
    info = rows["info"].astype(np.uint64)
    shift, mask = (32, 0xFFFF_FFFF) if elf.bits == 64 else (8, 0xFF)
    if elf.machine == EM_MIPS and elf.bits == 64:
        # 64-Bit ELF Object File Specification (MIPS), 2.9: the symbol stands first, in the order
        # of the data; the first of up to three types stands last.
        if elf.order == "<":
            info = info << np.uint64(32) | info.byteswap() & np.uint64(0xFFFF_FFFF)
        mask = 0xFF
    symbol = info >> np.uint64(shift)
    if len(symbol) and int(symbol.max()) >= len(symbols):
        raise InputError(elf.where, "is broken: a relocation names a symbol that does not exist")
    return _Entries(
        place=rows["offset"].astype(np.uint64),
        target=symbols.value[symbol],
        type=info & np.uint64(mask),
        addend=rows["addend"].astype(np.int64).view(np.uint64) if explicit else None,
    )


def _apply(
    out: NDArray[np.uint8],
    elf: Elf,
    section: Section,
    kind: Relocation,
    rows: _Entries,
) -> None:
    """Apply relocations of one type to ``out``; arithmetic is modulo 2**64, as two's complement."""
    if len(out) < kind.size or int(rows.place.max()) > len(out) - kind.size:
        raise InputError(elf.where, f"is broken: a relocation lies outside {section.name}")
    # Instructions are little-endian on arm64 even where data is not.
    order = "<" if kind.bits and elf.machine == EM_AARCH64 else elf.order
    dtype = np.dtype(f"{order}u{kind.size}")
    # The field at every byte of the section: one that begins at each, overlapping the next.
    fields = np.ndarray(len(out) - kind.size + 1, dtype, out.data, strides=(1,))
    field = fields[rows.place].astype(np.uint64)
    value = rows.target + (_addend(field, kind, elf.order) if rows.addend is None else rows.addend)
    if kind.relative:
        value = value - (rows.place + np.uint64(section.address))
    if kind.thumb:
        value = _with_thumb_distance(field, value, kind, elf.order)
    elif kind.bits:
        mask = np.uint64((1 << kind.bits) - 1)
        value = (value >> np.uint64(kind.drop)) & mask
        value = (field & ~(mask << np.uint64(kind.low))) | (value << np.uint64(kind.low))
    fields[rows.place] = value.astype(dtype)


def _addend(field: NDArray[np.uint64], kind: Relocation, order: str) -> NDArray[np.uint64]:
    """The addend that stands in the place itself."""
    if kind.thumb:
        from stackgauge.image.thumb_branch import distances

        return distances(_halves_swapped(field, order), near=kind.bits == 21).view(np.uint64)
    if not kind.bits:
        return _signed(field, 8 * kind.size)
    value = field >> np.uint64(kind.low) & np.uint64((1 << kind.bits) - 1)
    return _signed(value, kind.bits) << np.uint64(kind.drop)


def _halves_swapped(field: NDArray[np.uint64], order: str) -> NDArray[np.uint32]:
    """Words that begin with the lower halfword, in little-endian files, with it as the upper."""
    words = field.astype(np.uint32)
    return words << np.uint32(16) | words >> np.uint32(16) if order == "<" else words


def _with_thumb_distance(
    field: NDArray[np.uint64], value: NDArray[np.uint64], kind: Relocation, order: str
) -> NDArray[np.uint64]:
    """Thumb branches that lead as far as ``value`` says."""
    from stackgauge.image.thumb_branch import with_distances

    words = _halves_swapped(field, order)
    made = with_distances(words, value.view(np.int64), near=kind.bits == 21)
    return _halves_swapped(made.astype(np.uint64), order).astype(np.uint64)


def _signed(field: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Numbers of ``bits`` bits with their sign carried to 64."""
    sign = np.uint64(1 << (bits - 1))
    return (field ^ sign) - sign
