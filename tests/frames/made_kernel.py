"""Small x86-64 kernels put together from functions, for tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from stackgauge.image.elf import parse_elf
from stackgauge.image.opening import Image
from stackgauge.image.symbols import elf_symbols
from tests.image.tiny_elf import ALLOC, EXEC, STRTAB, SYMTAB, Section, write_elf

BASE = 0xFFFF_FFFF_8100_0000
FUNC, NOTYPE = 2, 0
LOCAL, GLOBAL, WEAK = 0, 1, 2


@dataclass
class MadeKernel:
    """Code and symbols in the order of adding; ``add`` returns where the code lies."""

    text: bytes = b""
    symbols: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    orc: list[tuple[int, int, int]] = field(default_factory=list)

    def add(
        self,
        name: str | None,
        code: str,
        *,
        size: int | None = None,
        kind: int = FUNC,
        binding: int = GLOBAL,
        align: int = 16,
        filler: int = 0xCC,
    ) -> int:
        """Put a function's code (in hex) at the next aligned address."""
        raw = bytes.fromhex(code)
        self.text += bytes([filler]) * (-len(self.text) % align)
        place = BASE + len(self.text)
        self.text += raw
        if name is not None:
            self.alias(name, place, len(raw) if size is None else size, kind, binding)
        return place

    def alias(
        self, name: str, place: int, size: int, kind: int = FUNC, binding: int = GLOBAL
    ) -> None:
        """Another symbol."""
        self.symbols.append((name, place, size, kind, binding))

    def file(self, name: str) -> None:
        """An STT_FILE symbol: the local symbols after it are that file's."""
        self.symbols.append((name, 0, 0, 4, LOCAL))

    def hint(self, place: int, sp_offset: int, register: int = 5, kind: int = 2) -> None:
        """An ORC entry in the layout of 6.4 (the types' numbers are that release's)."""
        self.orc.append((place, sp_offset, register | kind << 8))

    def file_bytes(self) -> bytes:
        """The ELF file."""
        sections = [
            Section("", b"", type=0, flags=0),
            Section(".text", self.text, BASE, flags=ALLOC | EXEC),
            *self.sections,
        ][1:]
        if self.orc:
            at = BASE + 0x100_0000
            entries = sorted(self.orc)
            places = b"".join(
                struct.pack("<i", place - (at + 4 * row))
                for row, (place, _, _) in enumerate(entries)
            )
            facts = b"".join(struct.pack("<hhH", offset, 0, flags) for _, offset, flags in entries)
            sections += [
                Section(".orc_unwind_ip", places, at),
                Section(".orc_unwind", facts, at + 0x10_0000),
            ]
        names, table = b"\0", bytes(24)
        for name, place, size, kind, binding in self.symbols:
            section = 0xFFF1 if kind == 4 else 1
            info = binding << 4 | kind
            table += struct.pack("<IBBHQQ", len(names), info, 0, section, place, size)
            names += name.encode() + b"\0"
        strings = len(sections) + 2
        sections += [
            Section(".symtab", table, type=SYMTAB, flags=0, link=strings, info=1, entry_size=24),
            Section(".strtab", names, type=STRTAB, flags=0),
        ]
        return write_elf(sections)

    def image(self) -> Image:
        """The same, opened."""
        elf = parse_elf(np.frombuffer(self.file_bytes(), np.uint8), "made")
        return Image("made", "", "made", "vmlinux", elf, elf_symbols(elf))
