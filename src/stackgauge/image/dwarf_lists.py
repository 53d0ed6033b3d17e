"""Location lists of many variables at once: where each is, stretch by stretch of the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.dwarf_bytes import Dwarf, Positions, Reader

_OP_REG0, _OP_BREG0, _OP_FBREG, _OP_STACK_VALUE = 0x50, 0x70, 0x91, 0x9F

# The number, after those of registers, of what a function's frame base is.
FRAME_BASE = 32

# Kinds of entries (DWARF 5, section 7.7.3), and DW_LLE_view_pair of GCC.
_END, _OFFSET_PAIR, _DEFAULT, _BASE, _START_END, _START_LENGTH, _VIEWS = 0, 4, 5, 6, 7, 8, 9
_KNOWN = np.zeros(256, bool)
_KNOWN[[_OFFSET_PAIR, _DEFAULT, _BASE, _START_END, _START_LENGTH, _VIEWS]] = True

# Variables move about some dozen times; what is longer is read so far.
_MOST_ENTRIES = 512


@dataclass(frozen=True, eq=False)
class Stretches:
    """Stretches of code where a variable is, or lies at, what a register holds plus a number.

    Attributes:
        list: the index of the variable's list, int64.
        start, end: addresses, uint64.
        register: its DWARF number, or FRAME_BASE, int64.
        plus: int64.
        memory: whether the variable lies there, and is not that itself; bool.
    """

    list: Positions
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    register: Positions
    plus: Positions
    memory: NDArray[np.bool_]


def read_lists(
    dwarf: Dwarf,
    at: Positions,
    base: NDArray[np.uint64],
    low: NDArray[np.uint64],
    high: NDArray[np.uint64],
) -> Stretches:
    """Read location lists of DWARF 5; what of them is of another kind is left out.

    Args:
        dwarf: the sections.
        at: where the lists begin in ``.debug_loclists``.
        base: what each one's addresses count from, until it says otherwise.
        low, high: the code that each one speaks of: what speaks of other code ends it, for it may
            be no list at all.
    """
    section, width = dwarf.loclists, dwarf.width
    live, here, base = np.arange(len(at)), at.copy(), base.copy()
    parts: list[tuple[NDArray[Any], ...]] = []
    # One round for each entry of the longest list.
    for _ in range(_MOST_ENTRIES):
        kind = section.bytes(here)
        going = _KNOWN[kind] & (here < len(section))
        live, here, kind = live[going], here[going] + 1, kind[going]
        if not len(live):
            break
        first, second, after = _numbers(section, width, kind, here)
        rebased = kind == _BASE
        base[live[rebased]] = first[rebased]
        ranged = (kind == _OFFSET_PAIR) | (kind == _START_END) | (kind == _START_LENGTH)
        told = ranged | (kind == _DEFAULT)
        size, body = section.ulebs(after)
        size = np.minimum(size, len(section))
        register, plus, memory, simple = simple_expressions(section, body, size)
        offset = np.where(kind == _OFFSET_PAIR, base[live], np.uint64(0))
        start = first + offset
        end = second + np.where(kind == _START_LENGTH, first, offset)
        inside = (start >= low[live]) & (end <= high[live]) & (start <= end)
        kept = np.flatnonzero(ranged & simple & inside & (start < end))
        parts.append((live[kept], start[kept], end[kept], register[kept], plus[kept], memory[kept]))
        here = np.where(told, body + size, after)
        goes = inside | ~ranged
        live, here = live[goes], here[goes]
    none = (
        np.zeros(0, np.int64),
        *(np.zeros(0, np.uint64),) * 2,
        *(np.zeros(0, np.int64),) * 2,
        np.zeros(0, bool),
    )
    columns = [np.concatenate(column) for column in zip(none, *parts, strict=True)]
    return Stretches(*columns)


def _numbers(
    section: Reader, width: int, kind: NDArray[np.uint8], at: Positions
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Positions]:
    """The one or two numbers after each entry's kind, and where they end."""
    first, second = np.zeros((2, len(at)), np.uint64)
    after = at.copy()
    whole = (kind == _BASE) | (kind == _START_END) | (kind == _START_LENGTH)
    short = (kind == _OFFSET_PAIR) | (kind == _VIEWS)
    for rows, into, fixed in (
        (np.flatnonzero(whole), first, True),
        (np.flatnonzero(short), first, False),
        (np.flatnonzero(kind == _START_END), second, True),
        (np.flatnonzero(short | (kind == _START_LENGTH)), second, False),
    ):
        if fixed:
            into[rows] = section.numbers(width, after[rows])
            after[rows] += width
        else:
            value, after[rows] = section.ulebs(after[rows])
            into[rows] = value.astype(np.uint64)
    return first, second, after


def simple_expressions(
    section: Reader, at: Positions, size: Positions
) -> tuple[Positions, Positions, NDArray[np.bool_], NDArray[np.bool_]]:
    """Expressions that are a register, or one plus a number, at once.

    Args:
        section: where they stand.
        at: where each begins.
        size: its bytes.

    Returns:
        Register (or FRAME_BASE), number, whether the variable lies in memory there, and whether
        the expression is as simple as that.
    """
    code = section.bytes(at).astype(np.int64)
    direct = (size == 1) & (code >= _OP_REG0) & (code < _OP_REG0 + 32)
    frame = code == _OP_FBREG
    based = (size >= 2) & (frame | (code >= _OP_BREG0) & (code < _OP_BREG0 + 32))
    number, after = section.ulebs(at + 1)
    # Signed (section 7.6): the highest bit of the last byte is the sign.
    bits = 7 * (after - at - 1)
    number -= (number >> np.maximum(bits - 1, 0) & 1) << np.minimum(bits, 62)
    based &= bits < 63
    memory = based & (after == at + size)
    value = based & (after + 1 == at + size) & (section.bytes(after) == _OP_STACK_VALUE)
    register = np.where(direct, code - _OP_REG0, np.where(frame, FRAME_BASE, code - _OP_BREG0))
    return register, np.where(direct, 0, number), memory, direct | memory | value
