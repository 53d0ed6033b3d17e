"""ARM EHABI: how the unwinder takes down each function's frame, which tells its size.

Source: "Exception Handling ABI for the Arm Architecture" (IHI 0038): 5 for the index, 6.3 for the
compact models, 10.3 for the instructions. The kernel keeps its tables in ``.ARM.unwind_idx`` and
``.ARM.unwind_tab`` (arch/arm/kernel/vmlinux.lds.S).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import UNKNOWN, Base, Evidence, Rows, make_rows, no_rows
from stackgauge.image.elf import EM_ARM, SHF_ALLOC, SHT_NOBITS, Elf
from stackgauge.image.source import Bytes

Addresses = NDArray[np.uint64]
Offsets = NDArray[np.int64]
Mask = NDArray[np.bool_]

# ELF for the Arm Architecture (IHI 0044), 4.4: the type of a section that holds an index.
_SHT_ARM_EXIDX = 0x7000_0001

_CANTUNWIND = 1
_INLINE = 1 << 31

# So many words beyond the first are read; compilers need a few. And so many entries at once, which
# bounds the memory that a made-up file can take.
_MOST_WORDS = 15
_BATCH = 1 << 16

# What an instruction does, by its first byte: adds what the table says; pops what the next byte
# (or it and the four bits before it) lists; takes the stack pointer from a register; ends; adds a
# number of any length; pops as many as the next byte says; can't be followed.
_ADD, _MASK, _REGISTER, _FINISH, _LONG, _RANGE, _BROKEN = range(7)


def ehabi_rows(elf: Elf, contents: Callable[[int], Bytes]) -> Rows:
    """What the index says of each function, or of each range that one entry speaks for.

    Args:
        elf: the file.
        contents: section index to bytes, relocated where the file is an object.

    Returns:
        Rows with evidence EHABI, ascending: from an entry to the next, since the linker drops one
        that says the same as that before it. The depth is that of the function's body, with all
        that its prologue takes, and stands for the prologue and epilogue too. UNKNOWN where an
        entry says that nothing can be unwound, or what this can't read; where the frame is counted
        from another register the base is OTHER.
    """
    if elf.machine != EM_ARM:
        return no_rows()
    parts = [
        _index(elf, contents, section)
        for section in np.flatnonzero(elf.headers["type"] == _SHT_ARM_EXIDX).tolist()
    ]
    if not parts:
        return no_rows()
    start, word, place = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(start, kind="stable")
    start, word, place = start[order], word[order], place[order]
    depth, base = _depths(_Memory(elf), word, place)
    end = np.minimum(np.append(start[1:], np.uint64(1 << 32)), _code_ends(elf, start))
    rows = make_rows(start, end, depth, Evidence.EHABI, base=base)
    return rows.take(end > start)


def _index(
    elf: Elf, contents: Callable[[int], Bytes], section: int
) -> tuple[Addresses, Addresses, Addresses]:
    """The entries of one index: the function's address, the second word, and what it points to."""
    raw = contents(section)
    words = raw[: len(raw) // 8 * 8].view(f"{elf.order}u4").reshape(-1, 2).astype(np.uint64)
    place = (
        np.uint64(int(elf.headers["addr"][section])) + np.arange(len(words), dtype=np.uint64) * 8
    )
    return _relative(words[:, 0], place), words[:, 1], _relative(words[:, 1], place + np.uint64(4))


def _relative(words: Addresses, place: Addresses) -> Addresses:
    """An address that is given by its distance (R_ARM_PREL31), of 32 bits."""
    low = words & np.uint64(0x7FFF_FFFF)
    distance = low | (low & np.uint64(0x4000_0000)) << np.uint64(1)
    return place + distance & np.uint64(0xFFFF_FFFF)


def _code_ends(elf: Elf, address: Addresses) -> Addresses:
    """The end of the section of code that each address lies in; where there is none, itself."""
    headers = elf.headers[elf.executable]
    begin = headers["addr"].astype(np.uint64)
    end = begin + headers["size"].astype(np.uint64)
    at = np.searchsorted(begin, address, side="right") - 1
    return np.where(at >= 0, np.maximum(end[at], address), address)


class _Memory:
    """The words of a file by their addresses."""

    def __init__(self, elf: Elf) -> None:
        headers = elf.headers
        held = (headers["flags"] & SHF_ALLOC != 0) & (headers["type"] != SHT_NOBITS)
        self._elf = elf
        self._sections = np.flatnonzero(held & (headers["size"] > 0))

    def words(self, address: Addresses) -> tuple[NDArray[np.uint32], Mask]:
        """The words at some addresses, and which of them are in the file."""
        found, known = np.zeros(len(address), np.uint32), np.zeros(len(address), bool)
        # A loop over the sections that data lies in, nearly always one.
        for section in self._sections.tolist():
            header = self._elf.headers[section]
            start, size = int(header["addr"]), int(header["size"])
            inside = (address >= np.uint64(start)) & (address + np.uint64(4) <= start + size)
            if inside.any():
                offset = (address[inside] - np.uint64(start)).astype(np.int64)
                raw = self._elf.contents(section)
                words = np.ndarray(len(raw) - 3, f"{self._elf.order}u4", raw.data, strides=(1,))
                found[inside], known[inside] = words[offset], True
        return found, known


class _Programs(NamedTuple):
    """Instructions of some entries: bytes one after the other, and where each begins and ends."""

    raw: Bytes
    begin: Offsets
    end: Offsets


def _depths(
    memory: _Memory, word: Addresses, place: Addresses
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The depth and base that each entry tells."""
    parts = [
        _depths_of(memory, word[at : at + _BATCH], place[at : at + _BATCH])
        for at in range(0, len(word), _BATCH)
    ]
    empty = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    depth, base = (np.concatenate(column) for column in zip(*[empty, *parts], strict=True))
    return depth, base


def _depths_of(
    memory: _Memory, word: Addresses, place: Addresses
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    programs, readable = _programs(memory, word, place)
    total, from_sp, sound = _run(programs)
    known = readable & sound & (total >= 0) & (total < 1 << 30)
    depth = np.where(known, total, UNKNOWN).astype(np.int32)
    return depth, np.where(known & ~from_sp, Base.OTHER, Base.SP).astype(np.uint8)


def _programs(memory: _Memory, word: Addresses, place: Addresses) -> tuple[_Programs, Mask]:
    """The instructions that entries name, and which entries have some that are understood.

    The compact models alone: one that names a personality routine of its own (6.2) says in a
    format of its own how to unwind.
    """
    inline = word & np.uint64(_INLINE) != 0
    elsewhere = ~inline & (word != _CANTUNWIND)
    first, known = memory.words(place)
    first = np.where(inline, word.astype(np.uint32), first)
    readable = inline | elsewhere & known & (first >> np.uint32(31) == 1)
    model = first >> np.uint32(24) & np.uint32(0x7F)
    readable &= np.where(inline, model == 0, model <= 2)
    long = readable & (model > 0)
    more = np.where(long, first >> np.uint32(16) & np.uint32(0xFF), 0).astype(np.int64)
    readable &= more <= _MOST_WORDS
    # All words: the first of each entry, and those that follow the longer ones.
    count = np.where(readable, 1 + more, 0)
    before = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(word)), count)
    turn = np.arange(len(owner)) - before[owner]
    words, present = memory.words(place[owner] + (turn * 4).astype(np.uint64))
    words = np.where(turn == 0, first[owner], words)
    missing = np.bincount(owner[~present & (turn > 0)], minlength=len(word)) > 0
    readable &= ~missing
    # The most significant byte comes first; the first one or two are not instructions.
    raw = words.astype(">u4").view(np.uint8)
    begin = before * 4 + np.where(long, 2, 1)
    end = np.where(readable, (before + count) * 4, begin)
    return _Programs(raw, begin, end), readable


def _run(programs: _Programs) -> tuple[Offsets, Mask, Mask]:
    """What the instructions add to the stack pointer.

    Returns:
        The sum, from the last register that the stack pointer was taken from on; whether that was
        never another; and whether all instructions are sound.
    """
    does, adds = _table()
    raw = np.append(programs.raw, np.zeros(16, np.uint8))
    at, end = programs.begin.copy(), programs.end
    total = np.zeros(len(at), np.int64)
    from_sp, sound = np.ones(len(at), bool), np.ones(len(at), bool)
    live = np.flatnonzero(at < end)
    # Each turn is one instruction of every program that still has one.
    while len(live):
        byte, operand = raw[at[live]], raw[at[live] + 1].astype(np.int64)
        what = does[byte]
        amount, length = adds[byte].astype(np.int64), np.ones(len(live), np.int64)
        takes = np.isin(what, (_MASK, _RANGE))
        length[takes] = 2
        masks = what == _MASK
        listed = np.where(byte >> 4 == 8, (byte & 0xF).astype(np.int64) << 8, 0) | operand
        amount[masks] = 4 * _ones(listed[masks])
        # Nothing listed means that it refuses to unwind, or is spare; so is a list of more than
        # four of the registers below r4. The stack pointer may be among the others, and is lost.
        refused = masks & ((listed == 0) | (byte & 0xF0 != 0x80) & (listed > 0xF))
        refused |= masks & (byte & 0xF0 == 0x80) & (listed & 0x200 != 0)
        ranges = what == _RANGE
        amount[ranges] += 8 * ((operand[ranges] & 0xF) + 1)
        long = np.flatnonzero(what == _LONG)
        number, size = _uleb(raw, at[live[long]] + 1)
        amount[long], length[long] = 0x204 + (number << 2), 1 + size
        sets = what == _REGISTER
        total[live] = np.where(sets, 0, total[live] + amount)
        from_sp[live[sets]] = False
        # An operand beyond the end, too.
        refused |= (what == _BROKEN) | (at[live] + length > end[live])
        sound[live[refused]] = False
        at[live] += length
        live = live[~refused & (what != _FINISH)]
        live = live[at[live] < end[live]]
    return total, from_sp, sound


def _uleb(raw: Bytes, at: Offsets) -> tuple[Offsets, Offsets]:
    """Numbers of up to five groups of seven bits, and their lengths; a longer one is cut off."""
    number, size = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    goes = np.ones(len(at), bool)
    for turn in range(5):
        byte = raw[np.minimum(at + turn, len(raw) - 1)].astype(np.int64)
        number |= np.where(goes, (byte & 0x7F) << 7 * turn, 0)
        size += goes
        goes &= byte >= 0x80
    return number, size


def _ones(values: Offsets) -> Offsets:
    """How many bits of up to 12 are set."""
    counts = np.zeros(len(values), np.int64)
    for place in range(12):
        counts += values >> place & 1
    return counts


def _table() -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """What each first byte does, and what it adds (10.3, table 4)."""
    byte = np.arange(256)
    does = np.full(256, _BROKEN, np.uint8)
    adds = np.zeros(256, np.int16)
    low = byte & 7
    for first, last, what, amount in (
        (0x00, 0x3F, _ADD, (byte & 0x3F) * 4 + 4),
        (0x40, 0x7F, _ADD, -(byte & 0x3F) * 4 - 4),
        (0x80, 0x8F, _MASK, 0 * byte),
        (0x90, 0x9C, _REGISTER, 0 * byte),
        (0x9E, 0x9E, _REGISTER, 0 * byte),
        (0xA0, 0xA7, _ADD, 4 * low + 4),  # R4 and so many more
        (0xA8, 0xAF, _ADD, 4 * low + 8),  # and R14
        (0xB0, 0xB0, _FINISH, 0 * byte),
        (0xB1, 0xB1, _MASK, 0 * byte),  # R0 to R3
        (0xB2, 0xB2, _LONG, 0 * byte),
        (0xB3, 0xB3, _RANGE, 0 * byte + 4),  # stored by FSTMFDX, with a word more
        (0xB4, 0xB4, _ADD, 0 * byte + 4),  # the authentication code of the return address
        (0xB5, 0xB5, _ADD, 0 * byte),
        (0xB8, 0xBF, _ADD, 8 * low + 12),
        (0xC0, 0xC5, _ADD, 8 * low + 8),  # WMMX registers
        (0xC6, 0xC6, _RANGE, 0 * byte),
        (0xC7, 0xC7, _MASK, 0 * byte),
        (0xC8, 0xC9, _RANGE, 0 * byte),
        (0xD0, 0xD7, _ADD, 8 * low + 8),
    ):
        which = (byte >= first) & (byte <= last)
        does[which], adds[which] = what, amount[which]
    return does, adds
