"""Numbers read at many places of a debug section at once.

DWARF is a stream without an index, and a kernel has 170 MB of it. Everything here takes an array
of positions and does one step for all of them, so that no Python loop runs over entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes

Positions = NDArray[np.int64]
Contents = Callable[[str], Bytes]

# LEB128 numbers of more bytes than this do not fit in int64; no producer writes them.
_LONGEST_LEB = 9

# PATH_MAX; names of functions are shorter.
_LONGEST_TEXT = 4096


@dataclass(frozen=True, eq=False)
class Reader:
    """One section's bytes.

    Reading outside of it gives some number of its inside, or 0 where it is empty, never an error:
    callers compare positions with the end once, after a whole entry has been read.
    """

    data: Bytes
    order: str

    def __len__(self) -> int:
        """How many bytes the section has."""
        return len(self.data)

    def numbers(self, size: int, where: Positions) -> NDArray[np.uint64]:
        """Unsigned numbers of ``size`` bytes (1, 2, 4 or 8) at any positions, aligned or not."""
        last = len(self.data) - size
        if last < 0:
            return np.zeros(len(where), np.uint64)
        inside = np.clip(where, 0, last)
        # A view of overlapping numbers, one beginning at every byte: nothing is copied.
        view: NDArray[np.uint64] = np.ndarray(
            last + 1, f"{self.order}u{size}", self.data.data, strides=(1,)
        )
        return view[inside].astype(np.uint64)

    def bytes(self, where: Positions) -> Bytes:
        """The byte at each position."""
        if not len(self.data):
            return np.zeros(len(where), np.uint8)
        return self.data.take(where, mode="clip")

    def text(self, at: int) -> str:
        """The string that begins at ``at``; what is longer than any path is cut off."""
        raw = self.data[at : at + _LONGEST_TEXT].tobytes()
        return raw[: (raw + b"\0").index(b"\0")].decode("utf-8", "replace")

    def ulebs(self, where: Positions) -> tuple[Positions, Positions]:
        """Unsigned LEB128 numbers (DWARF 5, section 7.6).

        Returns:
            The values, and the positions after them. A number that does not end ends beyond the
            section.
        """
        byte = self.bytes(where)
        value = (byte & 0x7F).astype(np.int64)
        end = where + 1
        more = np.flatnonzero(byte & 0x80)
        for shift in range(7, 7 * _LONGEST_LEB, 7):
            if not len(more):
                return value, end
            byte = self.bytes(end[more])
            value[more] |= (byte & 0x7F).astype(np.int64) << shift
            end[more] += 1
            more = more[byte >= 0x80]
        end[more] = len(self.data) + 1
        return value, end


@dataclass(frozen=True, eq=False)
class Dwarf:
    """The debug sections of one image, each fetched when it is first read.

    Attributes:
        order: NumPy's byte-order character.
        width: bytes of an address, 4 or 8.
        contents: gives a section's bytes by name, with relocations applied and decompressed.
    """

    order: str
    width: int
    contents: Contents

    def _reader(self, name: str) -> Reader:
        return Reader(np.ascontiguousarray(self.contents(name)), self.order)

    @cached_property
    def info(self) -> Reader:
        """``.debug_info``: the entries."""
        return self._reader(".debug_info")

    @cached_property
    def abbrev(self) -> Reader:
        """``.debug_abbrev``: the entries' shapes."""
        return self._reader(".debug_abbrev")

    @cached_property
    def aranges(self) -> Reader:
        """``.debug_aranges``: which unit an address belongs to."""
        return self._reader(".debug_aranges")

    @cached_property
    def line(self) -> Reader:
        """``.debug_line``: here, for its tables of files."""
        return self._reader(".debug_line")

    @cached_property
    def ranges(self) -> Reader:
        """``.debug_ranges``: address ranges, up to DWARF 4."""
        return self._reader(".debug_ranges")

    @cached_property
    def rnglists(self) -> Reader:
        """``.debug_rnglists``: address ranges, from DWARF 5."""
        return self._reader(".debug_rnglists")

    @cached_property
    def loc(self) -> Reader:
        """``.debug_loc``: where variables are, by address, up to DWARF 4."""
        return self._reader(".debug_loc")

    @cached_property
    def loclists(self) -> Reader:
        """``.debug_loclists``: where variables are, by address, from DWARF 5."""
        return self._reader(".debug_loclists")

    @cached_property
    def addr(self) -> Reader:
        """``.debug_addr``: addresses that entries refer to by number."""
        return self._reader(".debug_addr")

    @cached_property
    def str_offsets(self) -> Reader:
        """``.debug_str_offsets``: strings that entries refer to by number."""
        return self._reader(".debug_str_offsets")

    @cached_property
    def strings(self) -> Reader:
        """``.debug_str``."""
        return self._reader(".debug_str")

    @cached_property
    def line_strings(self) -> Reader:
        """``.debug_line_str``."""
        return self._reader(".debug_line_str")


def open_dwarf(elf: Elf, contents: Contents) -> Dwarf:
    """The debug sections of ``elf``, whose bytes ``contents`` gives by name."""
    return Dwarf(elf.order, elf.bits // 8, contents)
