"""Symbols from the tables that a kernel carries for its own messages (CONFIG_KALLSYMS).

scripts/kallsyms.c of the kernel writes them into ``.rodata``; nothing names their places, so they
are found by their structure. In every version there are, one after the other:

    num_syms       u32
    names          for each symbol its length and that many token numbers; since 6.1 a length of
                   128 or more takes two bytes, the first with its top bit set (73bbb94466fd)
    markers        u32 for every 256th symbol: where it begins in names
    token_table    256 strings, NUL-terminated
    token_index    u16 for each token: where it begins in token_table

The first character of a symbol's text is nm's letter, the rest its name. Since 6.2, and the stable
kernels that took it over, ``seqs_of_names`` (3 bytes a symbol) lies after markers (60443c88f3a8);
since 6.4 it has moved to the end (404bad70fcf7). The addresses are ahead of num_syms, or, since
6.4, behind token_index. They are one of:

    addresses      a pointer a symbol; where pointers have 32 bits also once more since 7.0
    offsets        u32 a symbol, from relative_base, a pointer that follows them
    offsets        i32 a symbol, of x86-64 before 6.15: negative ones count down from
                   relative_base - 1, the others are per-CPU symbols' absolute values
    offsets        i32 a symbol, from the offset's own place, since 7.0 where pointers have 64
                   bits (a081b5789255)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.letters import lettered_symbols
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import Strings, Symbols

_TOKENS = 256
_BLOCK = 256  # symbols from one marker to the next

# KSYM_NAME_LEN: no token and no name is longer.
_NAME_LIMIT = 512

# A token has about 3 characters, the NUL included.
_TOKEN_MEAN = 16

# Names are packed by about 2; a table that claims to unpack to more times its size is none.
_RATIO_LIMIT = 4

# An allyesconfig kernel has under a million symbols.
_MARKER_LIMIT = 1 << 14

# How far before the tokens the markers may begin: seqs_of_names of 2.7 million symbols.
_REACH = 8 << 20


@dataclass(frozen=True, eq=False)
class _Tables:
    """Places found so far, as offsets into ``data``."""

    tokens: int
    index: int
    token_at: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Names:
    """The names' bytes and where each symbol's begins in them; ``start`` is num_syms' place."""

    start: int
    raw: Bytes
    at: NDArray[np.int64]


def kallsyms_symbols(
    data: Bytes, bits: int, order: str, address: int | None, relocations: Bytes
) -> Symbols | None:
    """Recover the symbols from bytes that hold the tables somewhere.

    Args:
        data: the section, or a whole flat image, shape (size,).
        bits: size of a pointer.
        order: byte order, ``<`` or ``>``.
        address: that of ``data``'s first byte; None for a flat image, where it is not known.
        relocations: bytes that hold the RELA entries (not sorted, other bytes may be between
            them) of a position-independent kernel, in which relative_base may be 0 still.

    Returns:
        The symbols, in the order of their addresses and in no section, or None where no tables
        are found. Where they stand relative to their own place in a flat image, their values count
        from the image's first byte.
    """
    # A few at most: by chance, something else may look like tokens.
    for tables in _find_tokens(data, order)[:4]:
        names = _find_names(data, tables, order)
        if names is None:
            continue
        addresses = _Addresses(data, bits, order, address, relocations)
        values = addresses.read(len(names.at), names.start, tables.index + 2 * _TOKENS)
        if values is not None:
            return _symbols(data, tables, names, values)
    return None


def _words(data: Bytes, at: int, count: int, kind: str) -> NDArray[Any] | None:
    """``count`` numbers of dtype ``kind`` at an offset, or None where they do not fit."""
    dtype = np.dtype(kind)
    if at < 0 or count < 0 or at + count * dtype.itemsize > len(data):
        return None
    return np.frombuffer(data, dtype, count, at)


def _find_tokens(data: Bytes, order: str) -> list[_Tables]:
    """Every place that looks like token_index with token_table right before it."""
    half = np.frombuffer(data, order + "u2", len(data) // 2)
    # The index rises from 0 by a token's length and its NUL. Every 64th number of it is above the
    # one before by 64 to 64 times the mean length allowed; looking at those alone rules out nearly
    # everything, looking at the numbers in between nearly all the rest.
    step, most = 64, 64 * _TOKEN_MEAN
    coarse = half[::step].astype(np.int32)
    rise = np.diff(coarse)
    risen = (rise >= step) & (rise <= most)
    runs = np.flatnonzero(risen[:-2] & risen[1:-1] & risen[2:] & (coarse[:-3] <= most))
    runs = runs[: 1 << 16]
    between = half[runs[:, None] * step + np.arange(step)]
    runs = runs[(between[:, 1:] > between[:, :-1]).all(axis=1)]
    found: list[_Tables] = []
    # A loop over the few places that are left, if nobody filled the file with such numbers.
    for run in runs[:1000].tolist():
        first = max(run * step - step + 1, 0)
        window = half[first : first + step + _TOKENS].astype(np.int64)
        for start in np.flatnonzero(window[: len(window) - _TOKENS + 1] == 0).tolist():
            token_at = window[start : start + _TOKENS]
            index = 2 * (first + start)
            if index % 4 or not (np.diff(token_at) > 0).all():
                continue
            tokens = _token_table(data, index, token_at)
            if tokens is not None and (not found or found[-1].index != index):
                found.append(_Tables(tokens, index, token_at))
    return found


def _token_table(data: Bytes, index: int, token_at: NDArray[np.int64]) -> int | None:
    """Where the 256 strings that end before ``index`` begin, if they are there."""
    span = int(token_at[-1])
    # The last string's length is not known, nor how much padding follows it: at most 200 tries.
    for tokens in range((index - span - 1) & ~3, max(index - span - _NAME_LIMIT, 0), -4):
        text = data[tokens:index]
        if (text[token_at[1:] - 1] == 0).all() and np.count_nonzero(text[:span] == 0) == (
            _TOKENS - 1
        ):
            end = np.flatnonzero(text[span:] == 0)
            # Padding to 8 at most, and zeros only.
            if len(end) and not text[span + int(end[0]) :].any() and len(end) <= 8:
                return tokens
    return None


def _find_names(data: Bytes, tables: _Tables, order: str) -> _Names | None:
    """Find markers before the tokens, and before them the names that they mark."""
    floor = max(tables.tokens - _REACH, 0) & ~3
    word = np.frombuffer(data, order + "u4", (tables.tokens - floor) // 4, floor)
    if len(word) < 2:
        return None
    # A step is 256 symbols of 2 to 514 bytes; a difference below 0 wraps and is out of range.
    rise = np.diff(word) - np.uint32(2 * _BLOCK)
    risen = rise <= np.uint32(_NAME_LIMIT * _BLOCK)
    starts = np.flatnonzero(risen & (word[:-1] == 0))
    breaks = np.append(np.flatnonzero(~risen), len(risen))
    counts = breaks[np.searchsorted(breaks, starts)] - starts + 1
    starts, counts = starts[counts <= _MARKER_LIMIT], counts[counts <= _MARKER_LIMIT]
    # The longest first, by far the most likely to be it, and the nearest of as long ones; a few,
    # for chance makes short ones. (A kernel of 256 symbols or fewer would have a single marker;
    # there is none so small.)
    for best in np.lexsort((-starts, -counts))[:4].tolist():
        start, count = int(starts[best]), int(counts[best])
        markers = word[start : start + count].astype(np.int64)
        # What follows may look like one more marker: seqs_of_names, where it is big-endian.
        for more in (0, 1):
            names = _match_names(data, floor + 4 * start, markers[: count - more], order)
            if names is not None:
                return names
    return None


def _match_names(data: Bytes, end: int, markers: NDArray[np.int64], order: str) -> _Names | None:
    """The names that end, but for padding, at ``end`` and agree with num_syms and the markers."""
    last = end - int(markers[-1])  # where names would begin if the last block were empty
    floor = max(last - _BLOCK * (_NAME_LIMIT + 2) - 8, 0) & ~3
    if last < 8 or len(markers) < 2:
        return None
    word = np.frombuffer(data, order + "u4", (last - floor) // 4, floor).astype(np.int64)
    fitting = np.flatnonzero((word + _BLOCK - 1) // _BLOCK == len(markers))
    # A loop over the few numbers in the window that have the size of num_syms, nearest first.
    for place in fitting[:-9:-1].tolist():
        for gap in (4, 8):
            at = floor + 4 * place
            begin = at + gap
            bounds = _walk(data[begin:end], markers, int(word[place]))
            if bounds is not None:
                return _Names(at, data[begin : begin + int(bounds[-1])], bounds[:-1])
    return None


def _walk(raw: Bytes, markers: NDArray[np.int64], count: int) -> NDArray[np.int64] | None:
    """Where each of ``count`` symbols begins in ``raw``, and the last ends; None if any disagrees.

    Goes through all blocks at once, one symbol of each at a time: 256 steps, whatever the count.
    """
    if int(markers[-1]) >= len(raw):
        return None
    bounds = np.zeros((_BLOCK + 1, len(markers)), np.int64)
    bounds[0] = markers
    rest = count - _BLOCK * (len(markers) - 1)  # symbols in the last block, 1 to 256
    for step in range(_BLOCK):
        # Past the last block's symbols, only the others go on.
        at = bounds[step] if step < rest else bounds[step, :-1]
        length = raw.take(at, mode="clip").astype(np.int32)
        if not length.all():
            return None
        # A big symbol's length is 7 bits of this byte and the next one's, one byte further on.
        more = raw.take(at + 1, mode="clip").astype(np.int32) << 7
        at = at + 1 + length + (length >= 128) * (more - 127)
        if int(at.max()) > len(raw):
            return None
        bounds[step + 1, : len(at)] = at
    if (bounds[-1, :-1] != markers[1:]).any() or len(raw) - bounds[rest, -1] >= 8:
        return None
    return np.append(bounds[:-1].T.reshape(-1)[:count], bounds[rest, -1])


@dataclass(frozen=True, eq=False)
class _Addresses:
    """Reads the addresses, of whichever kind they are."""

    data: Bytes
    bits: int
    order: str
    address: int | None
    relocations: Bytes

    def read(self, count: int, before: int, after: int) -> NDArray[np.uint64] | None:
        """Those of ``count`` symbols that end at ``before`` or begin at ``after``.

        The kinds that other bytes are least likely to be taken for come first.
        """
        pointer = self.bits // 8
        width = (4 * count + pointer - 1) // pointer * pointer  # of offsets, padded
        base = (after + 4 * count + pointer - 1) // pointer * pointer
        values = self._offsets(after, base, count)
        if values is None:
            values = self._offsets(before - pointer - width, before - pointer, count)
        if values is None and self.bits == 64:
            values = self._in_place(after, count)
        if values is None:
            values = self._absolute(after, count)
        if values is None:
            values = self._absolute(before - pointer * count, count)
        return values

    def _offsets(self, at: int, base_at: int, count: int) -> NDArray[np.uint64] | None:
        """Offsets from relative_base, whose first relative symbol is at offset 0 by definition."""
        offsets = _words(self.data, at, count, self.order + "i4")
        pointer = _words(self.data, base_at, 1, f"{self.order}u{self.bits // 8}")
        if offsets is None or pointer is None:
            return None
        percpu = offsets >= 0
        below = int(np.argmin(percpu))
        if offsets[0] == 0 and _rising(offsets.view(self.order + "u4")):
            base = self._relocated(int(pointer[0]), base_at)
            values = offsets.view(self.order + "u4").astype(np.uint64) + np.uint64(base)
        elif (
            not percpu[below]
            and offsets[below] == -1
            and _rising(offsets[:below])
            and _rising(offsets[below:][::-1])
        ):
            base = self._relocated(int(pointer[0]), base_at)
            values = offsets.astype(np.uint64)
            values[below:] = np.uint64(base) - (offsets[below:] + np.int64(1)).astype(np.uint64)
        else:
            return None
        return values if _plausible(values) and int(values[-1]) >> self.bits == 0 else None

    def _in_place(self, at: int, count: int) -> NDArray[np.uint64] | None:
        """Offsets from their own place, which is 4 bytes further on for each: any same numbers."""
        offsets = _words(self.data, at, count, self.order + "i4")
        if offsets is None:
            return None
        values = offsets + np.arange(at, at + 4 * count, 4, dtype=np.int64)
        if not _plausible(values) or int(values[-1] - values[0]) < 8 * count:
            return None
        return values.astype(np.uint64) + np.uint64(self.address or 0)

    def _absolute(self, at: int, count: int) -> NDArray[np.uint64] | None:
        values = _words(self.data, at, count, f"{self.order}u{self.bits // 8}")
        if values is None or not _plausible(values):
            return None
        return values.astype(np.uint64)

    def _relocated(self, stored: int, at: int) -> int:
        """The pointer at offset ``at``: as stored, or as the RELA entry for its place says."""
        if stored or self.bits != 64:
            return stored
        word = np.frombuffer(self.relocations, self.order + "u8", len(self.relocations) // 8)
        place, addend = word[:-2], word[2:]
        if self.address is None:
            # The entry's place less ``at`` is where the image is loaded, which is _text.
            # relative_base is _text itself or, without CONFIG_KALLSYMS_ALL, _stext, which is the
            # next multiple of 64 KiB, or less, on arm64 (arch/arm64/kernel/vmlinux.lds.S).
            load = place - np.uint64(at)
            before = (addend - np.uint64(1)) & ~np.uint64(0xFFFF)
            found = np.flatnonzero(((load == addend) | (load == before)) & (addend != 0))
        else:
            found = np.flatnonzero(place == np.uint64(self.address + at))
        return int(addend[found[0]]) if len(found) else 0


def _rising(values: NDArray[Any]) -> bool:
    return bool((values[1:] >= values[:-1]).all())


def _plausible(addresses: NDArray[Any]) -> bool:
    """Whether these may be all symbols' addresses: in order, and most of them with few names."""
    steps = np.count_nonzero(addresses[1:] > addresses[:-1])
    return _rising(addresses) and 4 * int(steps) >= len(addresses)


def _symbols(
    data: Bytes, tables: _Tables, names: _Names, values: NDArray[np.uint64]
) -> Symbols | None:
    """Unpack the names: all tokens of all names in one gather.

    A length's byte stands for a NUL, so that what comes out is a string table: NUL, letter, name,
    NUL, and so on to a last NUL. The second byte of a big symbol's length stands for nothing.
    """
    text = data[tables.tokens : tables.index]
    last = int(tables.token_at[-1])
    end = last + int(np.argmin(text[last:]))  # the last token's NUL
    begin = np.append(tables.token_at, [end, 0]).astype(np.int32)
    length = np.append(np.diff(tables.token_at, append=end + 1) - 1, [1, 0])
    codes = np.append(names.raw.astype(np.int16), np.int16(_TOKENS))
    codes[names.at] = _TOKENS
    codes[names.at[names.raw[names.at] >= 128] + 1] = _TOKENS + 1
    sizes = length[codes]
    if int(length.max()) > _NAME_LIMIT or int(sizes.sum()) > _RATIO_LIMIT * len(codes):
        return None
    ends = np.cumsum(sizes, dtype=np.int32)
    # What to add to a character's place in the result to have its place in the token table.
    shift = begin[codes] - (ends - sizes.astype(np.int32))
    source = np.repeat(shift, sizes)
    source += np.arange(len(source), dtype=np.int32)
    strings = text.take(source, mode="clip")
    at = ends[names.at].astype(np.int64)
    return lettered_symbols(values, strings[at], at + 1, Strings(strings), "kallsyms")
