"""Which functions an image has, and which code is whose.

Aliases of one address are one function. A ``.cold`` piece is code of its parent that GCC has
moved away. Code that no symbol covers (the body of an overridden ``__weak`` function) is a
function without a name, never added to its neighbour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.evidence.padding import code_end, first_code
from stackgauge.evidence.table import Base, Rows, known, sample
from stackgauge.image.arrays import member
from stackgauge.image.elf import Elf
from stackgauge.image.symbols import (
    NO_SECTION,
    STB_GLOBAL,
    STB_LOCAL,
    STT_FILE,
    STT_FUNC,
    STT_NOTYPE,
    Symbols,
)
from stackgauge.isa.model import Isa

NO_SYMBOL = -1
NO_PARENT = -1

# Padding in front of a function, to be patched at boot, not code of its own: the kernel's
# FUNCTION_PADDING (since 6.2, include/linux/linkage.h) and kCFI's type words.
_PADDING_PREFIXES = (b"__pfx_", b"__cfi_")

_COLD = re.compile(rb"\.cold(\.\d+)?$")
_CLONE = re.compile(r"\.(?:cold|part|isra|constprop|llvm|lto_priv|localalias)\b.*$")


@dataclass(frozen=True, eq=False)
class Functions:
    """Columns of one length, sorted by address; one entry a stretch of code.

    Attributes:
        start, end: addresses, uint64; ``end`` without the padding that follows.
        section: index of the section, int32.
        symbol: row of its symbol, NO_SYMBOL for code without a name, int64.
        parent: of a cold piece the function that it belongs to, else NO_PARENT, int64.
        symbols: the image's symbols.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    section: NDArray[np.int32]
    symbol: NDArray[np.int64]
    parent: NDArray[np.int64]
    symbols: Symbols

    def __len__(self) -> int:
        """How many there are, cold pieces included."""
        return len(self.start)

    @cached_property
    def routine(self) -> NDArray[np.intp]:
        """For each stretch the index of the function that it is part of: its parent or itself."""
        return np.where(self.parent >= 0, self.parent, np.arange(len(self)))

    @cached_property
    def sized(self) -> NDArray[np.bool_]:
        """Whether the symbol says how long each is, or else it was taken to reach to the next."""
        result = self.symbol >= 0
        result[result] = self.symbols.size[self.symbol[result]] > 0
        return result

    def addresses(self, elf: Elf, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Where functions begin, as users know it: in an object, the offset in the section."""
        start = self.start[rows]
        if not elf.relocatable:
            return start
        offset: NDArray[np.uint64] = start - elf.headers["addr"][self.section[rows]].astype(
            np.uint64
        )
        return offset

    def name(self, index: int) -> str:
        """The function's name; empty where it has none."""
        symbol = int(self.symbol[index])
        return "" if symbol < 0 else self.symbols.strings[int(self.symbols.name[symbol])]

    def names(self, rows: NDArray[np.intp]) -> list[str]:
        """The names of many functions; empty where one has none."""
        symbol = self.symbol[rows]
        some = symbol >= 0
        found = iter(self.symbols.strings.slices(self.symbols.name[symbol[some]]))
        return [next(found).decode("utf-8", "replace") if one else "" for one in some.tolist()]

    def aliases(self, rows: NDArray[np.intp]) -> list[tuple[str, ...]]:
        """The other names of many functions' addresses, in the symbol table's order."""
        symbols = self.symbols
        function = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.section != NO_SECTION))
        place = np.searchsorted(self.start, symbols.value[function])
        place = np.minimum(place, max(len(self) - 1, 0))
        other = (self.start[place] == symbols.value[function]) & (self.symbol[place] != function)
        place, function = place[other], function[other]
        by_place: dict[int, dict[str, None]] = {}
        # Aliases are few: some hundreds in a kernel.
        names = symbols.strings.slices(symbols.name[function])
        for at, name in zip(place.tolist(), names, strict=True):
            by_place.setdefault(at, {})[name.decode("utf-8", "replace")] = None
        return [tuple(by_place.get(row, ())) for row in rows.tolist()]


def origin(name: str) -> str:
    """The function that a clone (``.part.0``, ``.isra.0``, ``.constprop.0``) was made from.

    Empty for a function that is no clone.
    """
    if "." not in name:
        return ""
    original = _CLONE.sub("", name)
    return original if original != name else ""


_NONE = np.zeros(0, np.uint64)


def find_functions(
    elf: Elf, symbols: Symbols, isa: Isa, table: Rows, begins: NDArray[np.uint64] = _NONE
) -> Functions:
    """The functions of an image, its cold pieces and its code without a name.

    Args:
        elf: the image.
        symbols: its symbols.
        isa: its architecture.
        table: rows of some evidence. Where it begins to speak of code tells apart the functions
            of a stretch that no symbol covers.
        begins: addresses at which evidence says that a function begins, for the same purpose.
    """
    chosen = _choose(elf, symbols)
    start = symbols.value[chosen]
    section = symbols.section[chosen]
    limit = _limits(elf, start, section)
    size = symbols.size[chosen]
    # A symbol without a size reaches up to the next, less the padding in between.
    end = np.minimum(start + size, limit)
    open_ended = np.flatnonzero(size == 0)
    end[open_ended] = code_end(elf, isa, start[open_ended], limit[open_ended])
    # One with nothing but padding up to the next is a mark between functions (__sched_text_end).
    keep = end > start
    keep[open_ended] &= first_code(elf, isa, start[open_ended], end[open_ended]) < end[open_ended]
    start, end, section, chosen = start[keep], end[keep], section[keep], chosen[keep]
    gaps = _unnamed(elf, symbols, isa, table, begins, start, end)
    start = np.concatenate([start, gaps[0]])
    end = np.concatenate([end, gaps[1]])
    section = np.concatenate([section, gaps[2]])
    chosen = np.concatenate([chosen, gaps[3]])
    order = np.argsort(start, kind="stable")
    start, end, section, chosen = start[order], end[order], section[order], chosen[order]
    parent = _parents(symbols, chosen)
    return Functions(start, end, section, chosen.astype(np.int64), parent, symbols)


def _code_sections(elf: Elf) -> NDArray[np.intp]:
    """Sections of functions: not those of x86 alternatives.

    ``.altinstr_replacement`` is a pool of code that runs elsewhere, and what ``_static_cpu_has``
    puts into ``.altinstr_aux`` (arch/x86/include/asm/cpufeature.h) tests a bit and jumps back.
    """
    code = elf.executable
    names = [elf.names[int(index)] for index in code]
    return code[[name not in (".altinstr_replacement", ".altinstr_aux") for name in names]]


def _starts_with(symbols: Symbols, rows: NDArray[np.intp], prefix: bytes) -> NDArray[np.bool_]:
    """Which of these symbols' names begin with ``prefix``."""
    raw = np.frombuffer(symbols.strings.raw + b"\0" * len(prefix), np.uint8)
    at = symbols.name[rows]
    matches = np.ones(len(rows), bool)
    for position, byte in enumerate(prefix):
        matches[matches] = raw[at[matches] + position] == byte
    return matches


def _choose(elf: Elf, symbols: Symbols) -> NDArray[np.intp]:
    """One symbol for each address where a function begins, by ascending address.

    Raises:
        InputError: functions of two sections lie at the same addresses.
    """
    function = symbols.type == STT_FUNC
    if len(elf.overlaid) and np.isin(symbols.section[function], elf.overlaid).any():
        raise InputError(elf.where, "has functions that share their addresses with others")
    in_code = np.zeros(len(elf.headers) + 1, bool)
    in_code[_code_sections(elf)] = True
    rows = np.flatnonzero(function & in_code[symbols.section])
    for prefix in _PADDING_PREFIXES:
        rows = rows[~_starts_with(symbols, rows, prefix)]
    # Of the aliases of one address the global one names it, then the weak, then the first; one
    # that has a size before one that has none.
    rank = np.where(symbols.binding[rows] == STB_GLOBAL, 0, 1)
    rank += np.where(symbols.binding[rows] == STB_LOCAL, 1, 0)
    rank += np.where(symbols.size[rows] == 0, 4, 0)
    rows = rows[np.lexsort((rows, rank, symbols.value[rows]))]
    first = np.ones(len(rows), bool)
    first[1:] = symbols.value[rows[1:]] != symbols.value[rows[:-1]]
    return rows[first]


def _limits(elf: Elf, start: NDArray[np.uint64], section: NDArray[np.int32]) -> NDArray[np.uint64]:
    """How far each function can reach: to the next one or to the end of its section."""
    headers = elf.headers
    stop = (headers["addr"] + headers["size"]).astype(np.uint64)[section]
    following = np.append(start[1:], np.uint64(0xFFFF_FFFF_FFFF_FFFF))
    nearest: NDArray[np.uint64] = np.minimum(stop, following)
    return nearest


def _unnamed(
    elf: Elf,
    symbols: Symbols,
    isa: Isa,
    table: Rows,
    begins: NDArray[np.uint64],
    start: NDArray[np.uint64],
    end: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32], NDArray[np.intp]]:
    """Stretches between functions that are not padding, cut at labels and where code begins."""
    code = _code_sections(elf)
    base = elf.headers["addr"][code].astype(np.uint64)
    stop = base + elf.headers["size"][code].astype(np.uint64)
    low = np.sort(np.concatenate([base, end]))
    high = np.sort(np.concatenate([start, stop]))
    # What the table has found to be padding need not be looked at again.
    row = sample(table, low)
    told = row >= 0
    told[told] = (table.base[row[told]] == Base.PADDING) & (table.end[row[told]] >= high[told])
    low, high = low[~told & (low < high)], high[~told & (low < high)]
    first = first_code(elf, isa, low, high)
    labels = _labels(symbols, code)
    cuts = np.concatenate([symbols.value[labels], _begins(table), begins])
    holder = np.searchsorted(high, cuts, side="right")
    inside = holder < len(high)
    inside[inside] = cuts[inside] > first[holder[inside]]
    cuts, holder = cuts[inside], holder[inside]
    gaps = np.flatnonzero(first < high)
    kept = member(holder, gaps)
    begin = np.concatenate([first[gaps], cuts[kept]])
    limit = np.concatenate([high[gaps], high[holder[kept]]])
    begin, chosen = np.unique(begin, return_index=True)
    limit = np.minimum(limit[chosen], np.append(begin[1:], np.uint64(0xFFFF_FFFF_FFFF_FFFF)))
    # Cutting may have left padding on its own.
    real = first_code(elf, isa, begin, limit) < limit
    begin, limit = begin[real], limit[real]
    limit = code_end(elf, isa, begin, limit)
    where = code[np.searchsorted(base, begin, side="right") - 1]
    places = symbols.value[labels]
    at = np.minimum(np.searchsorted(places, begin), max(len(places) - 1, 0))
    symbol = np.full(len(begin), NO_SYMBOL, np.intp)
    if len(places):
        symbol = np.where(places[at] == begin, labels[at], NO_SYMBOL)
    return begin, limit, where.astype(np.int32), symbol


def _begins(table: Rows) -> NDArray[np.uint64]:
    """Where a table begins to speak of code: after padding, or after a gap."""
    begins = np.ones(len(table), bool)
    begins[1:] = (table.base[:-1] == Base.PADDING) | (table.end[:-1] < table.start[1:])
    return table.start[begins & known(table)]


def _labels(symbols: Symbols, code: NDArray[np.intp]) -> NDArray[np.intp]:
    """Symbols without a type in sections of code, by address; mapping symbols are none."""
    rows = np.flatnonzero((symbols.type == STT_NOTYPE) & np.isin(symbols.section, code))
    rows = rows[~_starts_with(symbols, rows, b"$")]
    return rows[np.argsort(symbols.value[rows], kind="stable")]


def _parents(symbols: Symbols, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
    """The parent of each cold piece: the function of that name in the same source file."""
    parent = np.full(len(chosen), NO_PARENT, np.int64)
    strings, named = symbols.strings, np.flatnonzero(chosen >= 0)
    marks = strings.places(b".cold")
    if not len(marks):
        return parent
    begin = symbols.name[chosen[named]]
    at = np.searchsorted(marks, begin)
    cold = np.append(strings.starts(marks), np.int64(1 << 62))[at] <= begin
    mark = marks[at[cold]]
    # Names are compared as strings only where that is likely to be worth it: a kernel has some
    # 50,000, of which some thousand are pieces or parents of one.
    alike = np.flatnonzero(
        member(strings.beginnings(begin), strings.beginnings(begin[cold], mark)) & ~cold
    )
    prints = strings.fingerprints(begin[alike], strings.ends(begin[alike]))
    likely = named[alike[member(prints, strings.fingerprints(begin[cold], mark))]]
    by_name: dict[bytes, list[int]] = {}
    names = strings.slices(symbols.name[chosen[likely]])
    for index, name in zip(likely.tolist(), names, strict=True):
        by_name.setdefault(name, []).append(index)
    # The symbols of one object file follow its STT_FILE symbol.
    file = np.cumsum(symbols.type == STT_FILE)
    pieces = named[cold]
    for index, name in zip(pieces.tolist(), strings.slices(begin[cold]), strict=True):
        options = by_name.get(_COLD.sub(b"", name), [])
        if len(options) > 1:
            options = [one for one in options if file[chosen[one]] == file[chosen[index]]]
        if len(options) == 1:
            parent[index] = options[0]
    return parent
