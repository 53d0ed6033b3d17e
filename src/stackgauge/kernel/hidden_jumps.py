"""The table of static branches where nothing says where it is: it is found by what is in it.

Flat and stripped images have neither its section nor its symbols (``__start___jump_table``; they
are of data, which kallsyms leaves out without CONFIG_KALLSYMS_ALL). An entry names two places of
code and a key in data (struct jump_entry, include/linux/jump_label.h), and a kernel has thousands
of them in a row, which nothing else has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, Elf

Addresses = NDArray[np.uint64]
Mask = NDArray[np.bool_]

# So many entries in a row are no accident.
_LEAST = 64
# Parts of a run that are no shorter, nor farther apart, make one.
_SHORT, _GAP = 8, 64
_LARGEST_BSS = np.uint64(1 << 25)


def hidden_jumps(elf: Elf) -> Addresses:
    """The source and target of each static branch, (n, 2); none where no such table is found.

    Args:
        elf: a linked image.
    """
    headers = elf.headers
    inside = (headers["flags"] & SHF_ALLOC != 0) & (headers["type"] != SHT_NOBITS)
    data = inside & (headers["flags"] & SHF_EXECINSTR == 0)
    code = _Ranges(elf, np.flatnonzero(inside & ~data))
    low, high = _bounds(elf)
    # A loop over the few sections of data and two layouts: relative to themselves, or addresses.
    for index in np.flatnonzero(data).tolist():
        contents, base = elf.contents(index), int(headers["addr"][index])
        for columns, words in (_relative(elf, contents, base), _absolute(elf, contents)):
            source, target, key = columns
            sound = code.hold(source)
            some = np.flatnonzero(sound)
            sound[some] = code.hold(target[some]) & ~code.hold(key[some])
            sound[some] &= (key[some] >= low) & (key[some] < high)
            rows = _runs(sound, words)
            if len(rows):
                return np.column_stack([source[rows], target[rows]])
    return np.zeros((0, 2), np.uint64)


def _bounds(elf: Elf) -> tuple[np.uint64, np.uint64]:
    """Between which addresses keys may be; many are in .bss, which an image may lack."""
    # Data of a processor of its own lies at 0.
    inside = np.flatnonzero((elf.headers["flags"] & SHF_ALLOC != 0) & (elf.headers["addr"] > 0))
    start = elf.headers["addr"][inside].astype(np.uint64)
    end = start + elf.headers["size"][inside].astype(np.uint64)
    lacks = not (elf.headers["type"][inside] == SHT_NOBITS).any()
    return start.min(), end.max() + (_LARGEST_BSS if lacks else np.uint64(0))


class _Ranges:
    """The addresses of some sections."""

    def __init__(self, elf: Elf, sections: NDArray[np.intp]) -> None:
        start = elf.headers["addr"][sections].astype(np.uint64)
        order = np.argsort(start)
        self._start = start[order]
        self._size = elf.headers["size"][sections].astype(np.uint64)[order]

    def hold(self, address: Addresses) -> Mask:
        """Which addresses lie in one of them."""
        if not len(self._start):
            return np.zeros(len(address), bool)
        at = np.searchsorted(self._start, address, side="right") - 1
        held: Mask = (at >= 0) & (address - self._start[at] < self._size[at])
        return held


def _relative(
    elf: Elf, contents: NDArray[np.uint8], base: int
) -> tuple[tuple[Addresses, Addresses, Addresses], int]:
    """What entries at all words would say, each field relative to where it stands; and the stride.

    Two fields have 32 bits, the key has a word.
    """
    word = elf.bits // 8
    count = max(len(contents) // word - (8 + word) // word + 1, 0)
    place = np.arange(count, dtype=np.int64) * word + np.array(base, np.uint64).view(np.int64)

    def field(offset: int, size: int) -> Addresses:
        values = (
            np.ndarray(count, f"{elf.order}i{size}", contents.data, offset, (word,))
            if count
            else np.zeros(0, np.int64)
        )
        with np.errstate(over="ignore"):
            found: Addresses = (values.astype(np.int64) + place + offset).view(np.uint64)
        return found

    return (field(0, 4), field(4, 4), field(8, word)), (8 + word) // word


def _absolute(
    elf: Elf, contents: NDArray[np.uint8]
) -> tuple[tuple[Addresses, Addresses, Addresses], int]:
    """The same where each field is an address of one word."""
    word = elf.bits // 8
    words = contents[: len(contents) // word * word].view(f"{elf.order}u{word}").astype(np.uint64)
    count = max(len(words) - 2, 0)
    return (words[:count], words[1 : count + 1], words[2 : count + 2]), 3


def _runs(sound: Mask, stride: int) -> NDArray[np.intp]:
    """The entries of the longest run of sound ones, one ``stride`` after the other.

    What goes on soon after a run belongs to it: in between stand branches of code that the image
    does not tell of.
    """
    best = np.zeros(0, np.intp)
    for phase in range(stride):
        marks = np.concatenate([[False], sound[phase::stride], [False]])
        edges = np.flatnonzero(marks[1:] != marks[:-1])
        first, after = edges[::2], edges[1::2]
        long = after - first >= _SHORT
        first, after = first[long], after[long]
        if not len(first):
            continue
        group = np.cumsum(np.append(0, first[1:] - after[:-1] > _GAP))
        total = np.bincount(group, (after - first).astype(np.float64))
        chosen = group == total.argmax()
        if total.max() >= max(_LEAST, len(best) + 1):
            rows = np.arange(first[chosen][0], after[chosen][-1])
            best = phase + stride * rows[sound[phase::stride][rows]]
    return best
