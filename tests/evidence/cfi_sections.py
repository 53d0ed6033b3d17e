"""Sections of call frame information made by hand, and an ELF file to put them in."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np

from stackgauge.evidence.cfi import Cfi, cfi_rows
from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.source import Bytes
from stackgauge.isa.model import Isa
from stackgauge.isa.x86 import X86_64

SP = 7


def isa(sp_register: int = SP, cfa_bias: int = 0) -> Isa:
    """An architecture that differs from x86-64 in what matters to call frame information."""
    return replace(X86_64, sp_register=sp_register, cfa_bias=cfa_bias)


def uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        if not value:
            return bytes(out + bytes([low]))
        out.append(low | 0x80)


def sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        if value == (-1 if low & 0x40 else 0):
            return bytes(out + bytes([low]))
        out.append(low | 0x80)


def def_cfa(register: int, offset: int) -> bytes:
    return b"\x0c" + uleb(register) + uleb(offset)


def def_cfa_offset(offset: int) -> bytes:
    return b"\x0e" + uleb(offset)


def def_cfa_register(register: int) -> bytes:
    return b"\x0d" + uleb(register)


def advance(delta: int) -> bytes:
    assert delta < 0x40
    return bytes([0x40 | delta])


@dataclass
class Frames:
    """A section that grows entry by entry.

    ``wide`` is the 64-bit format; ``eh`` is .eh_frame, whose section lies at ``address``.
    """

    order: str = "<"
    bits: int = 64
    eh: bool = False
    wide: bool = False
    address: int = 0
    raw: bytearray = field(default_factory=bytearray)

    @property
    def name(self) -> str:
        return ".eh_frame" if self.eh else ".debug_frame"

    def pack(self, code: str, value: int) -> bytes:
        return struct.pack(self.order + code, value)

    @property
    def word(self) -> str:
        return "Q" if self.bits == 64 else "I"

    def _entry(self, pointer: int, body: bytes) -> int:
        at = len(self.raw)
        code = "Q" if self.wide and not self.eh else "I"
        mask = (1 << (64 if code == "Q" else 32)) - 1
        text = self.pack(code, pointer & mask) + body
        head = self.pack("I", 0xFFFFFFFF) + self.pack("Q", 0) if self.wide else self.pack("I", 0)
        text += b"\0" * (-(len(head) + len(text)) % (self.bits // 8))
        size = self.pack("Q" if self.wide else "I", len(text))
        self.raw += head[: len(head) - len(size)] + size + text
        return at

    def cie(
        self,
        program: bytes = def_cfa(SP, 8),
        *,
        version: int = 1,
        augmentation: bytes = b"",
        data: bytes = b"",
        code_factor: int = 1,
        data_factor: int = -8,
        address_width: int | None = None,
        segment_width: int = 0,
    ) -> int:
        body = bytes([version]) + augmentation + b"\0"
        if version >= 4:
            body += bytes([address_width or self.bits // 8, segment_width])
        if augmentation == b"eh":
            body += self.pack(self.word, 0x1234)
        body += uleb(code_factor) + sleb(data_factor) + b"\x10"
        if augmentation.startswith(b"z"):
            body += uleb(len(data)) + data
        return self._entry(0 if self.eh else -1, body + program)

    def fde(self, cie: int, start: bytes | int, size: bytes | int, program: bytes = b"") -> int:
        """``program`` has the augmentation data before it, where there is any."""
        if isinstance(start, int):
            start = self.pack(self.word, start)
        if isinstance(size, int):
            size = self.pack(self.word, size)
        head = 12 if self.wide else 4
        pointer = len(self.raw) + head - cie if self.eh else cie
        return self._entry(pointer, start + size + program)


def elf_file(*parts: Frames, bits: int = 64, order: str = "<") -> Elf:
    """An executable with these sections, as they are."""
    names = [b"", *(part.name.encode() for part in parts), b".shstrtab"]
    strings = b"\0".join([*names, b""])
    word = "Q" if bits == 64 else "I"
    content = [bytes(part.raw) for part in parts] + [strings]
    head = 64 if bits == 64 else 52
    header_size = 64 if bits == 64 else 40
    table = struct.pack(order + "II" + word * 4 + "II" + word * 2, *[0] * 10)
    body = b""
    for index, text in enumerate(content):
        address = parts[index].address if index < len(parts) else 0
        at = strings.index(b"\0" + names[index + 1] + b"\0") + 1
        values = (at, 1, 0, address, head + len(body), len(text), 0, 0, 1, 0)
        table += struct.pack(order + "II" + word * 4 + "II" + word * 2, *values)
        body += text
    ident = b"\x7fELF" + bytes([1 + (bits == 64), 1 + (order == ">"), 1]) + bytes(9)
    header = struct.pack(
        order + "HHI" + word * 3 + "IHHHHHH",
        *(2, 62, 1, 0, 0, head + len(body), 0, head, 0, 0, header_size, len(names), len(names) - 1),
    )
    return parse_elf(np.frombuffer(ident + header + body + table, np.uint8), "made by hand")


def read(*parts: Frames, like: Isa | None = None) -> Cfi:
    """What is read from an executable with these sections."""
    elf = elf_file(*parts, bits=parts[0].bits, order=parts[0].order)

    def contents(name: str) -> Bytes:
        return elf.contents(name)

    return cfi_rows(elf, like or isa(), contents)


def listed(cfi: Cfi) -> list[tuple[int, int, int]]:
    """Each row's start, end and depth."""
    columns = (cfi.rows.start, cfi.rows.end, cfi.rows.depth)
    return list(zip(*(column.tolist() for column in columns), strict=True))
