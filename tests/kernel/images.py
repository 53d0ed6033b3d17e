"""Images made of sections and symbols, for tests."""

from __future__ import annotations

import struct

import numpy as np

from stackgauge.image.elf import parse_elf
from stackgauge.image.opening import Image
from stackgauge.image.symbols import Symbols, elf_symbols
from tests.image.tiny_elf import Section, write_elf, write_symbols


def image(
    *sections: Section,
    symbols: dict[str, int] | None = None,
    machine: int = 62,
    order: str = "<",
    bits: int = 64,
) -> Image:
    """An image; each of the symbols is taken to lie in the first section."""
    tables = []
    if symbols:
        rows = [(name, place, 1, 1) for name, place in symbols.items()]
        tables = write_symbols(rows, len(sections) + 2)
    data = write_elf([*sections, *tables], machine=machine, order=order, bits=bits)
    elf = parse_elf(np.frombuffer(data, np.uint8), "image")
    return Image("image", "", "image", "image", elf, elf_symbols(elf))


def symbols_of(places: dict[str, int]) -> Symbols:
    """A symbol table."""
    return image(Section(".data", b"\0", 0x1000), symbols=places).symbols


def note(kind: int, name: bytes, description: bytes, order: str = "<") -> bytes:
    """A note (System V ABI, note sections)."""
    head = struct.pack(order + "3I", len(name), len(description), kind)
    return head + _padded(name) + _padded(description)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
