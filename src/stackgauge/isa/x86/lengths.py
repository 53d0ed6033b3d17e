"""How long every instruction is: the length that one would have at each byte of a section.

x86 has no fixed instruction width, so a reader must find the boundaries first. Nearly all lengths
are said by an instruction's first two bytes and come out of one table; what that leaves open (two-
and three-byte opcodes, prefixes, some addresses) is looked at further, each kind at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes
from stackgauge.isa.x86.opcodes import (
    ESCAPE,
    LEGACY_PREFIXES,
    MAP_38,
    OPERAND_SIZE,
    PREFIX,
    REX,
    REX_IMM64,
    SIB,
    VECTOR,
    length_table,
    modrm_table,
    shrink_table,
    two_byte_table,
    vector_maps,
)

# No instruction is longer (volume 2, section 2.3.11).
LONGEST = 15
# The buffer that is read must have so many bytes after the last of its code: an instruction's
# prefixes, and what is looked at behind them.
TAIL = 2 * LONGEST

# How many bytes are looked up at once; what a step makes of them stays in the cache.
_BLOCK = 1 << 16

_IS_PREFIX = np.zeros(256, bool)
_IS_PREFIX[list(LEGACY_PREFIXES)] = True


def words(buffer: Bytes) -> NDArray[np.uint16]:
    """Each byte with the one after it, as a little-endian word; no copy."""
    return np.ndarray(len(buffer) - 1, np.dtype("<u2"), buffer.data, 0, (1,))


def blocks(count: int) -> Iterator[slice]:
    """0 to ``count`` in stretches that fit into the cache."""
    return (slice(at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK))


def instruction_lengths(buffer: Bytes, bits: int) -> NDArray[np.uint8]:
    """The length of the instruction that would begin at each byte.

    Args:
        buffer: code, shape (n + TAIL,): the last TAIL bytes are looked at but not decoded.
        bits: 64 or 32.

    Returns:
        Lengths in bytes, shape (n,), 1 to LONGEST, uint8. Bytes that are no instruction get
        some length; the caller learns nothing from them but that they are not code.
    """
    pairs, table = words(buffer), length_table(bits)
    length = np.empty(len(buffer) - TAIL + LONGEST, np.uint8)
    for block in blocks(len(length)):
        table.take(pairs[block], out=length[block], mode="clip")
    at = np.flatnonzero(length >= SIB) if bits == 32 else _all_but_rex(length)
    kind = length[at]
    prefixed = at[kind == PREFIX]
    _vector(length, at[kind == VECTOR], buffer, pairs)
    _two_byte(length, at[kind == ESCAPE], buffer, pairs, bits)
    simple = at[(kind >= SIB) & (kind < REX)]
    _with_base(length, simple, buffer[simple + 2])
    if bits == 64:
        _rex(length, buffer)
    _prefixes(length, prefixed, buffer, pairs, bits)
    count = len(buffer) - TAIL
    # At the end a prefix may have nothing to be a prefix of; stepping must still go on.
    return np.clip(length[:count], 1, LONGEST, out=length[:count])


def _all_but_rex(length: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.flatnonzero((length >= SIB) & (length & 0xF0 != REX))


def _with_base(length: NDArray[np.uint8], at: NDArray[np.intp], sib: Bytes) -> None:
    length[at] += np.where(sib & 7 == 5, 4 - SIB, -SIB).astype(np.uint8)


def _two_byte(
    length: NDArray[np.uint8],
    at: NDArray[np.intp],
    buffer: Bytes,
    pairs: NDArray[np.uint16],
    bits: int,
) -> None:
    found = two_byte_table(bits).take(pairs[at + 1])
    length[at] = found
    three = found >= MAP_38
    length[at[three]] = (
        3 + modrm_table().take(pairs[at[three] + 3]) + (found[three] - np.uint8(MAP_38))
    )
    based = at[(found >= SIB) & ~three]
    _with_base(length, based, buffer[based + 3])


def _vector(
    length: NDArray[np.uint8], at: NDArray[np.intp], buffer: Bytes, pairs: NDArray[np.uint16]
) -> None:
    """VEX (C5, C4) and EVEX (62)."""
    first = buffer[at]
    prefix_bytes = np.where(first == 0xC5, 2, np.where(first == 0xC4, 3, 4))
    which = np.where(first == 0xC5, 1, buffer[at + 1] & 7)
    which = np.where(which > 3, 1, np.maximum(which, 1))  # EVEX maps 5 and 6 are like map 1
    has_modrm, has_immediate = vector_maps()[:, which - 1, buffer[at + prefix_bytes]]
    address = modrm_table().take(pairs[at + prefix_bytes + 1])
    length[at] = prefix_bytes + 1 + np.where(has_modrm, address, 0) + has_immediate


def _rex(length: NDArray[np.uint8], buffer: Bytes) -> None:
    """A REX prefix before an opcode adds a byte; an operand of 64 bits may add four more."""
    longer = np.flatnonzero(length == REX_IMM64)
    length[longer] = 10
    for block in blocks(len(length) - 1):
        here = length[block]
        is_rex = (here == REX).view(np.uint8)
        here += (length[block.start + 1 : block.stop + 1] - np.uint8(REX - 1)) * is_rex


def _prefixes(
    length: NDArray[np.uint8],
    at: NDArray[np.intp],
    buffer: Bytes,
    pairs: NDArray[np.uint16],
    bits: int,
) -> None:
    """Legacy prefixes: all before an instruction, and what the operand size does to it."""
    opcode, narrow = at + 1, buffer[at] == OPERAND_SIZE
    open_ended = np.arange(len(at))
    for _ in range(LONGEST):
        byte = buffer[opcode[open_ended]]
        more = _IS_PREFIX[byte]
        if bits == 64:
            # A REX prefix that no opcode follows is without effect.
            following = buffer[opcode[open_ended] + 1]
            more |= (byte & 0xF0 == 0x40) & (_IS_PREFIX[following] | (following & 0xF0 == 0x40))
        open_ended = open_ended[more]
        if not len(open_ended):
            break
        narrow[open_ended] |= byte[more] == OPERAND_SIZE
        opcode[open_ended] += 1
    opcode = np.minimum(opcode, len(length) - 1)
    total = opcode - at + length[opcode]
    if bits == 64:
        rex = buffer[opcode]
        has_rex = rex & 0xF0 == 0x40
        narrow &= ~(has_rex & (rex & 8 != 0))
        opcode = opcode + has_rex
    total -= 2 * (narrow & shrink_table(bits)[pairs[opcode]])
    length[at] = np.minimum(total, LONGEST)
