"""A section's code as words of one width, and which of them are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Code, Ranges

Indices = NDArray[np.intp]
# Of 32 bits, or of another width where an architecture's reader says so.
Words = NDArray[Any]

WORD = 4


@dataclass(frozen=True, eq=False)
class Text:
    """Code as words: instructions, or what instructions of several lengths are made of.

    Attributes:
        words: all whole words of the section, (n,), in the machine's own byte order, whatever
            they are there.
        address: of the first word.
        begin, end: the stretches to read, as indices of words, (m,).
        size: bytes of a word.
    """

    words: Words
    address: int
    begin: Indices
    end: Indices
    size: int = WORD

    def addresses(self, at: NDArray[Any]) -> NDArray[np.uint64]:
        """Addresses of words, outside of the section too; they wrap as the machine's do."""
        return (at.astype(np.int64) * self.size).view(np.uint64) + np.uint64(self.address)

    def stretch(self, at: Indices) -> Indices:
        """Which stretch each word lies in, of words that lie in one."""
        return np.searchsorted(self.begin, at, side="right") - 1

    def inside(self) -> NDArray[np.bool_]:
        """Which words lie in a stretch, (n,)."""
        return self._spread(np.ones(len(self.begin), bool))

    def words_of(self, stretches: Indices) -> Indices:
        """Indices of the words in these stretches, ascending."""
        flags = np.zeros(len(self.begin), bool)
        flags[stretches] = True
        return np.flatnonzero(self._spread(flags))

    def _spread(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        edges = np.empty(2 * len(self.begin) + 1, np.intp)
        edges[0:-1:2], edges[1:-1:2] = self.begin, self.end
        edges[-1] = len(self.words)
        values = np.zeros(len(edges), bool)
        values[1:-1:2] = flags
        return np.repeat(values, np.diff(edges, prepend=0))


def text_of(code: Code, ranges: Ranges, order: str = "<", size: int = WORD) -> Text:
    """The words of a section; what is not aligned or not in the section is left out.

    Args:
        code: the section.
        ranges: the stretches to read.
        order: NumPy's character of the byte order of its instructions.
        size: bytes of a word.
    """
    skipped = -code.address % size
    count = max(len(code.data) - skipped, 0) // size
    kind = np.dtype(f"{order}u{size}")
    words = np.ndarray(count, kind, code.data.data, skipped) if count else np.zeros(0, kind)
    words = words.astype(f"<u{size}", copy=False)
    first, last = code.address + skipped, code.address + skipped + count * size
    limits = np.uint64(first), np.uint64(min(last, (1 << 64) - 1))
    offset = np.clip(ranges.start, *limits) - np.uint64(first)
    begin = (offset.astype(np.intp) + size - 1) // size
    end = (np.clip(ranges.end, *limits) - np.uint64(first)).astype(np.intp) // size
    return Text(words, first, begin, np.maximum(begin, end), size)
