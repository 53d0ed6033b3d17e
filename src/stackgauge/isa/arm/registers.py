"""Moves of the stack pointer by what stands in registers, and the copies of it there."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.amounts import result, shifted
from stackgauge.isa.arm.branches import Branches
from stackgauge.isa.arm.data import is_literal
from stackgauge.isa.arm.encoding import SP, Words
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.arm.moves import Moves, alignments, joined, pushes_of_ip, sums
from stackgauge.isa.arm.out import Out
from stackgauge.isa.followed import Copies, Registers, follow_copies, near_words
from stackgauge.isa.model import Effect
from stackgauge.isa.straight import Line, Operand, taken
from stackgauge.isa.words import Indices

# AAPCS32, 6.2.1.1: SP is a multiple of 4 at all times, of 8 at a public interface.
STACK_ALIGNMENT = 4

# At most so many instructions of a section are followed one by one, which bounds the time that a
# made-up file can take. A kernel has some dozens of them.
MOST_FOLLOWED = 20_000


def copies_of(listing: Listing, at: Indices, words: Words) -> Copies:
    """The copies that some instructions make in registers, or, of IP, on the stack."""
    found = joined(sums(at, words, listing.numbers(at)), pushes_of_ip(at, words))
    return found.take(found.into != SP)


def add_followed(
    listing: Listing,
    branches: Branches,
    moves: Moves,
    far: Copies,
    skipped: NDArray[np.bool_],
    out: Out,
) -> None:
    """Add what depends on what registers hold.

    Args:
        listing: the code.
        branches: what leads elsewhere in it.
        moves: what moves the stack pointer.
        far: copies; those in the frame pointer are of use to other pieces of a function.
        skipped: instructions that do nothing on any path that goes on.
        out: what to add to.
    """
    text = listing.text
    frame = e.FP if listing.thumb is None else e.FP_THUMB
    far = far.take((far.into == frame) & (far.source == SP))
    sites, restores = moves.sites[:MOST_FOLLOWED], moves.restores
    out.add(moves.sites[MOST_FOLLOWED:], effect=Effect.LOST)
    near = near_words(text, np.concatenate([restores.at, sites]))
    written = np.zeros(len(text.words), np.uint32)
    written[near] = np.where(skipped[near], np.uint32(0), listing.written(near))
    # What is computed for the stack pointer, mostly not in the frame pointer.
    made = np.flatnonzero((restores.value == 0) & (restores.source < SP))
    made = made[restores.source[made] != frame][:MOST_FOLLOWED]
    copied = np.ones(len(restores.at), bool)
    begins = branches.begins() if len(sites) + len(made) else np.zeros(0, bool)
    line = _line(listing, written, begins)
    # Loops over a few instructions, at most MOST_FOLLOWED of each.
    for at in sites.tolist():
        out.effects(at, _by_register(int(text.words[at]), partial(line.amount, at)))
    for row in made.tolist():
        at = int(restores.at[row])
        effects = _made(listing, line, at, int(restores.source[row]))
        copied[row] = not effects
        out.effects(at, effects)
    restores = restores.take(copied)
    near = near_words(text, restores.at)
    registers = Registers(SP, {frame: 0}, lambda at, words: copies_of(listing, at, words))
    out.rows(follow_copies(text, restores, far, near, written[near], registers))


def _made(listing: Listing, line: Line, at: int, register: int) -> list[tuple[Effect, int]]:
    """What MOV SP, Rm does if the register was computed from the stack pointer just before.

    GCC subtracts an amount in another register; LLVM rounds down in one, since Thumb has no
    instruction that rounds SP itself: ``mov r4, sp; bfc r4, #0, #4; mov sp, r4``.

    Returns:
        The effects and their values; none where the register is a copy, or not known.
    """
    writer, moved = line.writer(at, register), line.writer(at, SP)
    if writer is None or (moved is not None and moved > writer):
        return []
    one = np.array([writer])
    words, numbers = listing.text.words[one], listing.numbers(one)
    alignment = int(alignments(words, numbers, register)[0])
    if alignment:
        above = line.above_sp(writer, register)
        if above is None:
            return []
        # Of less than the stack's own alignment, the sum is rounded too.
        rounded = above // STACK_ALIGNMENT * STACK_ALIGNMENT
        return [(Effect.ADD, rounded), (Effect.ALIGN, alignment)]
    word = int(words[0])
    if word & 0xFFE00010 != 0xE0400000:  # SUB of a register
        return []
    base = word >> 16 & 15
    above = 0 if base == SP else line.above_sp(writer, base)
    if above is None:
        return []
    amount = shifted(word, partial(line.amount, writer))
    return [(Effect.ADD, above), *taken(amount, STACK_ALIGNMENT)]


def _line(listing: Listing, written: NDArray[np.uint32], begins: NDArray[np.bool_]) -> Line:
    """What looks back from an instruction; its words are the instructions' indices."""

    def amount(at: int, operand: Operand) -> Amount:
        one = np.array([at])
        words = listing.text.words[one]
        if not is_literal(words)[0]:
            return result(int(words[0]), int(listing.numbers(one)[0]), operand)
        offset = int(listing.literal(one)[0])
        if not 0 <= offset <= len(listing.raw) - 4:
            return ANY
        return known(int(np.frombuffer(listing.raw, f"{listing.order}u4", 1, offset)[0]))

    def step(at: int, _: Operand) -> tuple[int, int] | None:
        one = np.array([at])
        copies = sums(one, listing.text.words[one], listing.numbers(one))
        return (int(copies.source[0]), int(copies.value[0])) if len(copies.at) else None

    indices = np.arange(len(listing.text.words), dtype=np.uint32)
    return Line(indices, written, begins, SP, amount, step)


def _by_register(word: int, amount: Operand) -> list[tuple[Effect, int]]:
    """What ADD or SUB of a register does to the stack pointer."""
    first = word >> 16 & 15
    number = shifted(word, amount) if first == SP else amount(first)
    exact = number.exact
    if exact is not None:
        exact -= (exact >> 31 & 1) << 32
    if word & 0x01E00000 == 0x00400000:
        # Of the register less SP nothing is known.
        rows = taken(number if exact is None else known(exact), STACK_ALIGNMENT)
        return rows if first == SP else [(Effect.LOST, 0)]
    return [(Effect.LOST, 0)] if exact is None else taken(known(-exact), STACK_ALIGNMENT)
