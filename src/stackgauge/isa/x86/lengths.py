"""How long every instruction is, and where instructions begin, over many functions at once.

x86 has no fixed instruction width, so a reader must find the boundaries first. The length that an
instruction would have is computed at every byte, by look-ups in the opcode maps; then the
boundaries are found by stepping from each function's start, all functions in lockstep.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes
from stackgauge.isa.x86.opcodes import (
    GROUP3B,
    GROUP3Z,
    HAS_MODRM,
    IMM_SHIFT,
    IMM_Z,
    IS_PREFIX,
    OPERAND_SIZE,
    immediate_sizes,
    modrm_table,
    pair_table,
    vector_map,
)

# No instruction is longer (volume 2, section 2.3.11), so that many bytes may be looked at past
# the last; the buffer that is read must have them.
LONGEST = 15
TAIL = LONGEST + 2

# Fewer functions than this are stepped through one by one: a step of NumPy over few lanes costs
# more than the same steps in plain Python.
FEW_LANES = 64


def _pairs(buffer: Bytes, count: int) -> NDArray[np.uint16]:
    """Each byte with the one after it, the first high, without a copy."""
    return np.ndarray(count, np.dtype(">u2"), buffer.data, 0, (1,))


def instruction_lengths(buffer: Bytes, bits: int) -> NDArray[np.uint8]:
    """The length of the instruction that would begin at each byte.

    Args:
        buffer: code, shape (n + TAIL,): the last TAIL bytes are looked at but not decoded.
        bits: 64 or 32.

    Returns:
        Lengths in bytes, shape (n,), 1 to LONGEST, uint8. Bytes that are no instruction get
        some length; the caller learns nothing from them but that they are not code.
    """
    count = len(buffer) - TAIL
    pairs = _pairs(buffer, count + TAIL - 1)
    words = pair_table(bits).take(pairs[:count])
    length = (words & 7).astype(np.uint8)
    shrinks = (words >> IMM_SHIFT & 15) == IMM_Z
    length += immediate_sizes(bits).take(words >> IMM_SHIFT & 15)
    _add_modrm(length, shrinks, words, np.flatnonzero(words & HAS_MODRM), pairs)
    _vector(length, shrinks, buffer, count, bits, pairs)
    _prefixed(length, shrinks, buffer, np.flatnonzero(words & IS_PREFIX))
    # At the end a prefix may have nothing to be a prefix of; stepping must still go on.
    return np.clip(length, 1, LONGEST, out=length)


def _add_modrm(
    length: NDArray[np.uint8],
    shrinks: NDArray[np.bool_],
    words: NDArray[np.uint16],
    at: NDArray[np.intp],
    pairs: NDArray[np.uint16],
) -> None:
    found = words[at]
    modrm = pairs[at + (found & 7)]
    length[at] += modrm_table().take(modrm)
    # Group 3 (F6, F7) has an immediate only for TEST, whose ModRM.reg is 0 or 1.
    imm = found >> IMM_SHIFT & 15
    group = np.flatnonzero(((imm == GROUP3B) | (imm == GROUP3Z)) & (modrm >> 11 & 7 < 2))
    wide = imm[group] == GROUP3Z
    length[at[group]] += np.where(wide, 4, 1).astype(np.uint8)
    shrinks[at[group[wide]]] = True


def _vector(
    length: NDArray[np.uint8],
    shrinks: NDArray[np.bool_],
    buffer: Bytes,
    count: int,
    bits: int,
    pairs: NDArray[np.uint16],
) -> None:
    """VEX (C5, C4) and EVEX (62); in 32-bit mode only where ModRM.mod of LES, LDS, BOUND is 3."""
    first = buffer[:count]
    for byte, prefix_bytes in ((0xC5, 2), (0xC4, 3), (0x62, 4)):
        at = np.flatnonzero(first == byte)
        if bits == 32:
            at = at[buffer[at + 1] >= 0xC0]
        if not len(at):
            continue
        which = np.ones(len(at), np.uint8) if byte == 0xC5 else buffer[at + 1] & 7
        which = np.where(which > 3, 1, np.maximum(which, 1))  # EVEX maps 5 and 6 are like map 1
        maps = np.stack([vector_map(one) for one in (1, 2, 3)])
        words = maps[which - 1, buffer[at + prefix_bytes]]
        modrm = modrm_table().take(pairs[at + prefix_bytes + 1])
        total = prefix_bytes + 1 + np.where(words & HAS_MODRM, modrm, 0)
        length[at] = total + immediate_sizes(bits).take(words >> IMM_SHIFT & 15)
        shrinks[at] = False


def _prefixed(
    length: NDArray[np.uint8],
    shrinks: NDArray[np.bool_],
    buffer: Bytes,
    at: NDArray[np.intp],
) -> None:
    """Add each prefix to the instruction that follows it, the innermost prefixes first."""
    count = len(length)
    at = at[at < count - 1]
    pending = np.zeros(count + 1, bool)
    pending[at] = True
    for _ in range(LONGEST):
        if not len(at):
            break
        inner = pending[at + 1]
        ready, at = at[~inner], at[inner]
        narrow = buffer[ready] == OPERAND_SIZE
        short = shrinks[ready + 1]
        length[ready] = length[ready + 1] + 1 - 2 * (narrow & short)
        shrinks[ready] = short & ~narrow
        pending[ready] = False


def instruction_starts(
    length: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Where instructions begin when stepping from ``begin`` until ``end``.

    Args:
        length: of the instruction at each byte, shape (n,).
        begin: offsets of the first instruction of each stretch, shape (m,).
        end: the offsets after their last bytes, at most n, shape (m,).

    Returns:
        The offsets of all instructions, ascending.
    """
    marked = np.zeros(len(length), bool)
    lanes = np.flatnonzero(begin < end)
    at, stop = begin[lanes], end[lanes]
    while len(at) > FEW_LANES:
        marked[at] = True
        at = at + length[at]
        live = at < stop
        if not live.all():
            at, stop = at[live], stop[live]
    if len(at):
        # A plain loop, since the few long functions that are left would be thousands of steps of
        # a few lanes each.
        steps = length.tobytes()
        found: list[int] = []
        for place, last in zip(at.tolist(), stop.tolist(), strict=True):
            here = place
            while here < last:
                found.append(here)
                here += steps[here]
        marked[found] = True
    return np.flatnonzero(marked)
