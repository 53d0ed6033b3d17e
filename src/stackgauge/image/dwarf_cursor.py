"""Numbers of debug information read one after the other, where there are few of them."""

from __future__ import annotations

from typing import Literal

# LEB128 numbers of more bits than this do not fit in 64; no producer writes them.
_MOST_BITS = 70


class BrokenError(Exception):
    """What is read cannot be what a compiler wrote."""


class Cursor:
    """Reads a stretch of bytes from front to end; to run over its end is a BrokenError."""

    def __init__(self, raw: memoryview | bytes, at: int, end: int, order: str) -> None:
        """Begin at ``at``; nothing from ``end`` on is read; ``order`` is NumPy's ``<`` or ``>``."""
        if not 0 <= at <= end <= len(raw):
            raise BrokenError
        self.raw, self.at, self.end, self.order = raw, at, end, order

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self.at < self.end

    def skip(self, count: int) -> int:
        """Go on by so many bytes; returns where the cursor was."""
        at = self.at
        if not 0 <= count <= self.end - at:
            raise BrokenError
        self.at = at + count
        return at

    def byte(self) -> int:
        """One byte, unsigned."""
        return self.raw[self.skip(1)]

    def number(self, size: int, *, signed: bool = False) -> int:
        """A number of ``size`` bytes."""
        at = self.skip(size)
        order: Literal["big", "little"] = "big" if self.order == ">" else "little"
        return int.from_bytes(self.raw[at : self.at], order, signed=signed)

    def leb(self, *, signed: bool = False) -> int:
        """A LEB128 number (DWARF 5, section 7.6)."""
        byte = self.byte()
        if byte < 0x40:
            return byte
        value, shift = byte & 0x7F, 7
        while byte & 0x80:
            if shift >= _MOST_BITS:
                raise BrokenError
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
        return value - (1 << shift) if signed and byte & 0x40 else value

    def block(self) -> bytes:
        """A LEB128 length, and so many bytes."""
        at = self.skip(self.leb())
        return bytes(self.raw[at : self.at])
