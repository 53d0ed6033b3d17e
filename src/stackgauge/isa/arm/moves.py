"""Instructions that move the stack pointer, and those that copy it or take it from a copy.

Source: Arm Architecture Reference Manual (DDI 0406C), A8.8, and B9.3.16 for SRS.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.encoding import SP, Words, bit, field, matches
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.followed import MEMORY, Copies
from stackgauge.isa.straight import LARGEST
from stackgauge.isa.words import Indices

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

# Registers of 8 bytes that VLD1 to VLD4 and VST1 to VST4 of several elements name, by their type
# (A7.7.1); 0 for one that is not allocated.
_VECTORS = np.array([4, 4, 4, 4, 3, 3, 3, 1, 2, 2, 2, *[0] * 5])

# The mode of which SRS stores on the stack: the kernel's own (B1.3.1).
_SUPERVISOR = 0x13


class Moves(NamedTuple):
    """What some instructions do to the stack pointer; columns of indices of instructions.

    Attributes:
        added: those that add an amount to it.
        value: the amounts.
        aligned: those that round it down.
        alignment: to multiples of these powers of two.
        restores: those that take it from a copy; the copy MEMORY is the IP that was pushed.
        sites: those that add a register to it, or take one from it.
        lost: those that make something else of it.
    """

    added: Indices
    value: Numbers
    aligned: Indices
    alignment: Numbers
    restores: Copies
    sites: Indices
    lost: Indices


def read_moves(listing: Listing, at: Indices, words: Words) -> Moves:
    """What the instructions at some indices do, given with their words."""
    near = (e.rd(words) == SP) | (e.rn(words) == SP) | e.is_multiple(words)
    at, words = at[near], words[near]
    writes = listing.written(at) & np.uint32(1 << SP) != 0
    numbers = _signed(listing.numbers(at))
    value, adds = _amounts(words, numbers)
    adds |= _is_sum(words) & (e.rn(words) == SP) & (e.rd(words) == SP)
    alignment = alignments(words, numbers, SP)
    copies = sums(at, words, numbers)
    from_list = e.is_multiple(words) & bit(words, SP)
    copies = joined(
        copies, Copies(at, *_fill(at, SP, MEMORY)).take(from_list & writes & _plain(words))
    )
    restores = copies.take((copies.into == SP) & (copies.source != SP))
    value = np.where(_is_sum(words), _sum(words, numbers), value)
    sites = matches(words, 0x0E000010, 0) & _is_add(words) & (e.rd(words) == SP)
    sites &= ((e.rn(words) == SP) ^ (e.rm(words) == SP)) & _plain(words)
    adds &= writes | matches(words, 0xFE5F0000, 0xF84D0000)
    adds &= ~from_list & (np.abs(value) <= LARGEST)
    known = adds | (alignment > 0) | sites | np.isin(at, restores.at)
    return Moves(
        at[adds], value[adds], at[alignment > 0], alignment[alignment > 0], restores, at[sites],
        at[writes & ~known],
    )  # fmt: skip


def _fill(like: Indices, into: int, source: int) -> tuple[Indices, Indices, Numbers]:
    """The columns of a copy after the first, all alike."""
    return np.full(len(like), into), np.full(len(like), source), np.zeros(len(like), np.int64)


def joined(*parts: Copies) -> Copies:
    """Copies put together."""
    return Copies(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def pushes_of_ip(at: Indices, words: Words) -> Copies:
    """Pushes of IP, from which LDM takes the stack pointer in the frames of the old APCS."""
    pushes = matches(words, 0xFFFF0000 | 1 << e.IP, 0xE92D0000 | 1 << e.IP)
    return Copies(at, *_fill(at, MEMORY, e.IP)).take(pushes)


def sums(at: Indices, words: Words, numbers: Numbers) -> Copies:
    """The instructions that always set a register to another one and a number."""
    moves = matches(words, 0xFFEF0FF0, 0xE1A00000)
    adds = _is_sum(words) & _plain(words)
    source = np.where(moves, e.rm(words), e.rn(words)).astype(np.intp)
    value = np.where(moves, 0, _sum(words, numbers))
    into = e.rd(words).astype(np.intp)
    kept = (moves | adds) & (into != e.PC) & (source != e.PC) & (np.abs(value) <= LARGEST)
    return Copies(at, into, source, value).take(kept)


def _signed(numbers: Numbers) -> Numbers:
    """Numbers of 32 bits as signed ones."""
    return np.where(numbers >> 31 == 1, numbers - (1 << 32), numbers)


def _plain(words: Words) -> Mask:
    """Which instructions are always executed."""
    found: Mask = e.condition(words) == e.ALWAYS
    return found


def _is_sum(words: Words) -> Mask:
    """ADD and SUB of an immediate."""
    return bit(words, 25) & _is_add(words)


def _is_add(words: Words) -> Mask:
    """ADD and SUB."""
    found = matches(words, 0x0DE00000, 0x00800000) | matches(words, 0x0DE00000, 0x00400000)
    found &= e.is_arithmetic(words)
    return found


def _sum(words: Words, numbers: Numbers) -> Numbers:
    """What ADD or SUB of an immediate adds."""
    return np.where(bit(words, 23), numbers, -numbers)


def _amounts(words: Words, numbers: Numbers) -> tuple[Numbers, Mask]:
    """How far loads and stores move their base, which must be SP, and which of them do."""
    value = numbers.copy()
    on_sp = e.rn(words) == SP
    multiple = e.is_multiple(words) & bit(words, 21)
    size = e.registers_in_list(words) * 4
    value[multiple] = np.where(bit(words, 23), size, -size)[multiple]
    # By an immediate; a register moves it by who knows what.
    single = e.is_single(words) & e.writes_back(words) & ~bit(words, 25)
    extra = e.is_extra(words) & e.writes_back(words) & bit(words, 22)
    coprocessor = matches(words, 0x0E200000, 0x0C200000) & (e.condition(words) != e.NONE)
    vector = matches(words, 0xFF900000, 0xF4000000) & (e.rm(words) == SP)
    value[vector] = 8 * _VECTORS[field(words[vector], 8, 4)]
    vector &= value > 0
    stored = matches(words, 0xFE7F001F, 0xF86D0000 | _SUPERVISOR)
    value[stored] = np.where(bit(words[stored], 23), 8, -8)
    return value, (multiple | single | extra | coprocessor | vector) & on_sp | stored


def alignments(words: Words, numbers: Numbers, register: int | Indices) -> Numbers:
    """The power of two that a register is rounded down to by BIC, AND or BFC; 0 for the rest.

    Args:
        words: the instructions.
        numbers: those in them.
        register: the register, or one for each instruction.
    """
    itself = (e.rd(words) == register) & _plain(words)
    keeps, clears = matches(words, 0x0FE00000, 0x02000000), matches(words, 0x0FE00000, 0x03C00000)
    mask = np.where(keeps, ~numbers & 0xFFFFFFFF, numbers)
    mask[~(itself & (keeps | clears) & (e.rn(words) == register))] = 0
    fields = itself & matches(words, 0x0FE00FFF, 0x07C0001F)  # BFC from bit 0
    mask[fields] = (np.int64(2) << field(words[fields], 16, 5).astype(np.int64)) - 1
    power = (mask > 0) & (mask & mask + 1 == 0) & (mask < LARGEST)
    return np.where(power, mask + 1, 0)
