"""Relocation of one section of an object file or module, as if it were linked where it is laid out.

Only what changes how code flows or what data points to is applied, for the machines in
RELOCATIONS; everything else is left as it stands in the file. What a symbol that is not defined
stands for is taken to be at address 0, where nothing is ever laid out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.elf import (
    EM_386,
    EM_AARCH64,
    EM_ARM,
    EM_LOONGARCH,
    EM_MIPS,
    EM_PPC,
    EM_PPC64,
    EM_RISCV,
    EM_S390,
    EM_X86_64,
    SHT_RELA,
    Elf,
    Section,
)
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import Symbols


class Part(NamedTuple):
    """A part of a value, and of a field.

    Attributes:
        drop: lowest bit of the value.
        bits: how many.
        low: bit of the field where they go.
        rounded: whether the value is rounded to what is not dropped, since the rest is signed.
    """

    drop: int
    bits: int
    low: int
    rounded: bool = False


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
        parts: where the value goes that stands in several places of the field, instead.
        sign: whether the value is added to what stands there (1), subtracted (-1), or put (0).
    """

    size: int
    relative: bool
    drop: int = 0
    low: int = 0
    bits: int = 0
    thumb: bool = False
    parts: tuple[Part, ...] = ()
    sign: int = 0


# By machine and r_type. x86-64 psABI, table 4.9; "ELF for the Arm 64-bit Architecture", 5.7;
# "ELF for the Arm Architecture" (IHI 0044), 4.6.1;
# System V ABI, Intel386 supplement, figure 4-4, MIPS supplement, figure 4-11, and PowerPC
# supplement, figure 4-3; Power Architecture 64-Bit ELF V2 ABI, table 3.9; "ELF ABI s390x
# Supplement" 1.6, table 3-2; "RISC-V ABIs Specification", "Relocations"; "ELF for the LoongArch
# Architecture", "Relocations".
_POWERPC = {
    1: Relocation(4, relative=False),  # R_PPC_ADDR32
    10: Relocation(4, relative=True, drop=2, low=2, bits=24),  # R_PPC_REL24
    11: Relocation(4, relative=True, drop=2, low=2, bits=14),  # R_PPC_REL14
    12: Relocation(4, relative=True, drop=2, low=2, bits=14),  # R_PPC_REL14_BRTAKEN
    13: Relocation(4, relative=True, drop=2, low=2, bits=14),  # R_PPC_REL14_BRNTAKEN
    26: Relocation(4, relative=True),  # R_PPC_REL32
}
# The distances of RISC-V branches and jumps, compressed ones last.
_RISCV_B = (Part(12, 1, 31), Part(5, 6, 25), Part(1, 4, 8), Part(11, 1, 7))
_RISCV_J = (Part(20, 1, 31), Part(1, 10, 21), Part(11, 1, 20), Part(12, 8, 12))
_RISCV_CB = (Part(8, 1, 12), Part(3, 2, 10), Part(6, 2, 5), Part(1, 2, 3), Part(5, 1, 2))
_RISCV_CJ = (
    Part(11, 1, 12), Part(4, 1, 11), Part(8, 2, 9), Part(10, 1, 8), Part(6, 1, 7), Part(7, 1, 6),
    Part(1, 3, 3), Part(5, 1, 2),
)  # fmt: skip
_RISCV_CALL = Relocation(8, relative=True, parts=(Part(12, 20, 12, rounded=True), Part(0, 12, 52)))
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
        60: Relocation(4, relative=True, drop=2, low=0, bits=21),  # R_MIPS_PC21_S2
        61: Relocation(4, relative=True, drop=2, low=0, bits=26),  # R_MIPS_PC26_S2
        248: Relocation(4, relative=True),  # R_MIPS_PC32
    },
    EM_PPC: _POWERPC,
    EM_PPC64: _POWERPC
    | {
        38: Relocation(8, relative=False),  # R_PPC64_ADDR64
        44: Relocation(8, relative=True),  # R_PPC64_REL64
        116: Relocation(4, relative=True, drop=2, low=2, bits=24),  # R_PPC64_REL24_NOTOC
    },
    EM_S390: {
        4: Relocation(4, relative=False),  # R_390_32
        5: Relocation(4, relative=True),  # R_390_PC32
        16: Relocation(2, relative=True, drop=1, bits=16),  # R_390_PC16DBL
        17: Relocation(2, relative=True, drop=1, bits=16),  # R_390_PLT16DBL
        19: Relocation(4, relative=True, drop=1, bits=32),  # R_390_PC32DBL
        20: Relocation(4, relative=True, drop=1, bits=32),  # R_390_PLT32DBL
        22: Relocation(8, relative=False),  # R_390_64
        23: Relocation(8, relative=True),  # R_390_PC64
    },
    EM_RISCV: {
        1: Relocation(4, relative=False),  # R_RISCV_32
        2: Relocation(8, relative=False),  # R_RISCV_64
        16: Relocation(4, relative=True, parts=_RISCV_B),  # R_RISCV_BRANCH
        17: Relocation(4, relative=True, parts=_RISCV_J),  # R_RISCV_JAL
        18: _RISCV_CALL,  # R_RISCV_CALL
        19: _RISCV_CALL,  # R_RISCV_CALL_PLT
        33: Relocation(1, relative=False, sign=1),  # R_RISCV_ADD8
        34: Relocation(2, relative=False, sign=1),  # R_RISCV_ADD16
        35: Relocation(4, relative=False, sign=1),  # R_RISCV_ADD32
        36: Relocation(8, relative=False, sign=1),  # R_RISCV_ADD64
        37: Relocation(1, relative=False, sign=-1),  # R_RISCV_SUB8
        38: Relocation(2, relative=False, sign=-1),  # R_RISCV_SUB16
        39: Relocation(4, relative=False, sign=-1),  # R_RISCV_SUB32
        40: Relocation(8, relative=False, sign=-1),  # R_RISCV_SUB64
        44: Relocation(2, relative=True, parts=_RISCV_CB),  # R_RISCV_RVC_BRANCH
        45: Relocation(2, relative=True, parts=_RISCV_CJ),  # R_RISCV_RVC_JUMP
        52: Relocation(1, relative=False, bits=6, sign=-1),  # R_RISCV_SUB6
        53: Relocation(1, relative=False, bits=6),  # R_RISCV_SET6
        54: Relocation(1, relative=False),  # R_RISCV_SET8
        55: Relocation(2, relative=False),  # R_RISCV_SET16
        56: Relocation(4, relative=False),  # R_RISCV_SET32
        57: Relocation(4, relative=True),  # R_RISCV_32_PCREL
    },
    EM_LOONGARCH: {
        1: Relocation(4, relative=False),  # R_LARCH_32
        2: Relocation(8, relative=False),  # R_LARCH_64
        47: Relocation(1, relative=False, sign=1),  # R_LARCH_ADD8
        48: Relocation(2, relative=False, sign=1),  # R_LARCH_ADD16
        50: Relocation(4, relative=False, sign=1),  # R_LARCH_ADD32
        51: Relocation(8, relative=False, sign=1),  # R_LARCH_ADD64
        52: Relocation(1, relative=False, sign=-1),  # R_LARCH_SUB8
        53: Relocation(2, relative=False, sign=-1),  # R_LARCH_SUB16
        55: Relocation(4, relative=False, sign=-1),  # R_LARCH_SUB32
        56: Relocation(8, relative=False, sign=-1),  # R_LARCH_SUB64
        64: Relocation(4, relative=True, drop=2, low=10, bits=16),  # R_LARCH_B16
        65: Relocation(4, relative=True, parts=(Part(2, 16, 10), Part(18, 5, 0))),  # R_LARCH_B21
        66: Relocation(4, relative=True, parts=(Part(2, 16, 10), Part(18, 10, 0))),  # R_LARCH_B26
        99: Relocation(4, relative=True),  # R_LARCH_32_PCREL
        105: Relocation(1, relative=False, bits=6, sign=1),  # R_LARCH_ADD6
        106: Relocation(1, relative=False, bits=6, sign=-1),  # R_LARCH_SUB6
        109: Relocation(8, relative=True),  # R_LARCH_64_PCREL
        110: Relocation(  # R_LARCH_CALL36
            8, relative=True, parts=(Part(18, 20, 5, rounded=True), Part(2, 16, 42))
        ),
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
        found = entries(elf, symbols, table)
        numbers = [number for number in np.unique(found.type).tolist() if number in kinds]
        # What adds to a field comes after what puts something there.
        for number in sorted(numbers, key=lambda number: abs(kinds[number].sign)):
            rows = found.take(found.type == number)
            _apply(out, elf, section, kinds[number], rows)
    out.flags.writeable = False
    return out


@dataclass(frozen=True, eq=False)
class Entries:
    """Relocations, columns of one length.

    Attributes:
        place: offset in the section, uint64.
        symbol: row of the symbol, uint64.
        target: the symbol's value, uint64.
        type: the machine's number of the relocation, uint64.
        addend: uint64; None where it stands in the place.
    """

    place: NDArray[np.uint64]
    symbol: NDArray[np.uint64]
    target: NDArray[np.uint64]
    type: NDArray[np.uint64]
    addend: NDArray[np.uint64] | None

    def take(self, which: NDArray[np.bool_]) -> Entries:
        """Those of a mask."""
        addend = None if self.addend is None else self.addend[which]
        return Entries(
            self.place[which], self.symbol[which], self.target[which], self.type[which], addend
        )


def entries(elf: Elf, symbols: Symbols, table: int) -> Entries:
    """A table's relocations (System V ABI, figure 4-21, and ELF32_R_SYM and the like after it).

    Args:
        elf: the file.
        symbols: those of its symbol table.
        table: index of a section of relocations.

    Raises:
        InputError: a relocation names a symbol that does not exist.
    """
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
    return Entries(
        place=rows["offset"].astype(np.uint64),
        symbol=symbol,
        target=symbols.value[symbol],
        type=info & np.uint64(mask),
        addend=rows["addend"].astype(np.int64).view(np.uint64) if explicit else None,
    )


def _apply(
    out: NDArray[np.uint8],
    elf: Elf,
    section: Section,
    kind: Relocation,
    rows: Entries,
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
    if kind.sign:
        value = field + value if kind.sign > 0 else field - value
    if kind.thumb:
        value = _with_thumb_distance(field, value, kind, elf.order)
    elif kind.parts or kind.bits:
        value = _put(field, value, kind.parts or (Part(kind.drop, kind.bits, kind.low),))
    fields[rows.place] = value.astype(dtype)


def _put(
    field: NDArray[np.uint64], value: NDArray[np.uint64], parts: tuple[Part, ...]
) -> NDArray[np.uint64]:
    """Fields with parts of their values put where they go."""
    for part in parts:
        mask = np.uint64((1 << part.bits) - 1)
        half = np.uint64(1 << part.drop >> 1 if part.rounded else 0)
        bits = (value + half >> np.uint64(part.drop)) & mask
        field = (field & ~(mask << np.uint64(part.low))) | (bits << np.uint64(part.low))
    return field


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
