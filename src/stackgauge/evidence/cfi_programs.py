"""Call frame instructions, executed for all functions at once: where the CFA is, and since when.

The instructions are those of DWARF 5, section 6.4.2, with the GNU, MIPS and AArch64 extensions
that compilers emit (binutils' include/dwarf2.def). Only the rule of the CFA is followed; those
of the other registers are stepped over.

No instruction is executed one after the other. One pass over the bytes tells how long the
instruction at each byte would be; a walk in lockstep over all programs marks those that are
truly there; and as an instruction's effect depends on earlier ones only through the last that
set the same thing, the state behind each is looked up rather than computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.cfi_entries import Programs
from stackgauge.image.dwarf_bytes import Reader

# The CFA's register where it is not a register plus an offset, or not told.
NO_REGISTER = -1
# The CFA's offset where it is not told, or beyond all reason: this far up or down.
NO_OFFSET = -(1 << 30)

# The length of an instruction that is not known, or longer than 254 bytes.
_INVALID = 255
# Programs that are still being walked when it is quicker to go on with one at a time.
_FEW = 64
# Bytes of the longest program that is executed: thousands of times what any function has.
_LONGEST_PROGRAM = 1 << 20
# No architecture numbers its registers higher.
_LAST_REGISTER = 0xFFFF
# No function is as long as this, in whatever advances count in.
_FARTHEST = 1 << 32


class _Does(IntEnum):
    """What instructions do, as far as it matters to the CFA."""

    NOTHING = 0
    ADVANCE = 1
    ADVANCE_FAR = 2
    REMEMBER = 3
    RESTORE = 4
    START = 5
    REGISTER = 6
    OFFSET = 7
    OFFSET_SIGNED = 8
    BOTH = 9
    BOTH_SIGNED = 10
    EXPRESSION = 11


def _table(*entries: tuple[int | range, int], rest: int) -> bytes:
    table = np.full(256, rest, np.uint8)
    for codes, value in entries:
        table[codes] = value
    return table.tobytes()


def _look_up(table: bytes, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``table[code]`` of every code; bytes.translate does it in half of NumPy's time."""
    return np.frombuffer(bytearray(codes.tobytes().translate(table)), np.uint8)


# How long the instruction is that begins with a byte, each LEB128 number taken to be of one byte
# and an expression to be empty. DW_CFA_set_loc (1), whose operand's length the CIE tells, is not
# known: no compiler emits it.
_SHORTEST = _table(
    (0x00, 1),  # nop
    (0x02, 2),  # advance_loc1
    (0x03, 3),  # advance_loc2
    (0x04, 5),  # advance_loc4
    (0x05, 3),  # offset_extended
    (range(0x06, 0x09), 2),  # restore_extended, undefined, same_value
    (0x09, 3),  # register
    (range(0x0A, 0x0C), 1),  # remember_state, restore_state
    (0x0C, 3),  # def_cfa
    (range(0x0D, 0x10), 2),  # def_cfa_register, def_cfa_offset, def_cfa_expression
    (range(0x10, 0x13), 3),  # expression, offset_extended_sf, def_cfa_sf
    (0x13, 2),  # def_cfa_offset_sf
    (range(0x14, 0x17), 3),  # val_offset, val_offset_sf, val_expression
    (0x1D, 9),  # MIPS_advance_loc8
    (range(0x2C, 0x2E), 1),  # AARCH64_negate_ra_state_with_pc, AARCH64_negate_ra_state
    (0x2E, 2),  # GNU_args_size
    (0x2F, 3),  # GNU_negative_offset_extended
    (range(0x40, 0x80), 1),  # advance_loc
    (range(0x80, 0xC0), 2),  # offset
    (range(0xC0, 0x100), 1),  # restore
    rest=_INVALID,
)

# Whether it can be longer: it ends with one number, or two, or an expression of that length.
_ONE, _TWO, _BLOCK = 1, 2, 4
_OPERANDS = _table(
    (0x05, _TWO),
    (range(0x06, 0x09), _ONE),
    (0x09, _TWO),
    (0x0C, _TWO),
    (range(0x0D, 0x0F), _ONE),
    (0x0F, _BLOCK),
    (0x10, _TWO | _BLOCK),
    (range(0x11, 0x13), _TWO),
    (0x13, _ONE),
    (range(0x14, 0x16), _TWO),
    (0x16, _TWO | _BLOCK),
    (0x2E, _ONE),
    (0x2F, _TWO),
    (range(0x80, 0xC0), _ONE),
    rest=0,
)

_DOES = _table(
    (range(0x02, 0x05), _Does.ADVANCE_FAR),
    (0x0A, _Does.REMEMBER),
    (0x0B, _Does.RESTORE),
    (0x0C, _Does.BOTH),
    (0x0D, _Does.REGISTER),
    (0x0E, _Does.OFFSET),
    (0x0F, _Does.EXPRESSION),
    (0x12, _Does.BOTH_SIGNED),
    (0x13, _Does.OFFSET_SIGNED),
    (0x1D, _Does.ADVANCE_FAR),
    (range(0x40, 0x80), _Does.ADVANCE),
    rest=_Does.NOTHING,
)


@dataclass(frozen=True, eq=False)
class Rules:
    """The CFA's rule behind each instruction that may have changed it, in the programs' order.

    The first of each program is the rule that it begins with, so there is one at least. Several
    can stand at one address; the last counts.

    Attributes:
        program: index of the program, intp.
        advance: bytes from the function's beginning to where the rule begins, int64.
        register: DWARF number of the CFA's register, or NO_REGISTER, int64.
        offset: the CFA less that register, or NO_OFFSET, int64.
        broken: mask over the programs of those that can't be executed: an instruction is unknown
            or cut off, a state is restored that was not remembered, or the program is as long as
            none can be. Their rules mean nothing.
    """

    program: NDArray[np.intp]
    advance: NDArray[np.int64]
    register: NDArray[np.int64]
    offset: NDArray[np.int64]
    broken: NDArray[np.bool_]


def execute(
    programs: Programs,
    register: NDArray[np.int64] | int,
    offset: NDArray[np.int64] | int,
) -> Rules:
    """Execute programs.

    Args:
        programs: the programs; no two share bytes.
        register: the register that each begins with, shape (programs,) or one for all.
        offset: the same for the offset.
    """
    lengths = _lengths(programs.bytes)
    marks, broken = _walk(lengths, programs)
    every = _look_up(_DOES, programs.bytes.data)
    every *= marks
    # The byte before a program belongs to its entry's header: here it stands for the START.
    every[programs.start - 1] = _Does.START
    at = np.flatnonzero(every != _Does.NOTHING)
    does = every[at]
    advanced = np.cumsum(_advances(programs.bytes, at, does))

    kept = does > _Does.ADVANCE_FAR
    at, does, advanced = at[kept], does[kept], advanced[kept]
    first = np.flatnonzero(does == _Does.START)
    count = np.diff(first, append=len(at))
    program = np.repeat(np.arange(len(first)), count)
    advance = np.minimum(advanced - np.repeat(advanced[first], count), _FARTHEST)
    advance *= programs.code_factor[program]

    registers, offsets = _operands(programs, program, at, does)
    registers[first], offsets[first] = register, offset
    restores, remembered = _pairs(does, program, broken)
    restored = does == _Does.RESTORE
    sets = restored | (does == _Does.START) | (does >= _Does.BOTH)
    registers = registers[_last(sets | (does == _Does.REGISTER), restores, remembered)]
    sets |= (does == _Does.OFFSET) | (does == _Does.OFFSET_SIGNED)
    offsets = offsets[_last(sets, restores, remembered)]
    kept = does != _Does.REMEMBER
    return Rules(program[kept], advance[kept], registers[kept], offsets[kept], broken)


def _lengths(code: Reader) -> NDArray[np.uint8]:
    """How long the instruction at each byte is, if one begins there; _INVALID if none can."""
    lengths = _look_up(_SHORTEST, code.data)
    operands = _look_up(_OPERANDS, code.data)
    # One number alone is longer only if the next byte says that it goes on.
    operands[:-1] &= code.data[1:] >> 7 | (_TWO | _BLOCK)
    at = np.flatnonzero(operands != 0)
    operands = operands[at]
    last, end = code.ulebs(at + 1)
    two = np.flatnonzero(operands & _TWO)
    last[two], end[two] = code.ulebs(end[two])
    block = np.flatnonzero(operands & _BLOCK)
    end[block] += np.minimum(last[block], _INVALID)
    lengths[at] = np.minimum(end - at, _INVALID)
    return lengths


def _walk(
    lengths: NDArray[np.uint8], programs: Programs
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the bytes at which an instruction begins, and the programs that can't be walked."""
    marks = np.zeros(len(lengths), np.bool_)
    over = [programs.end[:0]]
    long = programs.end - programs.start > _LONGEST_PROGRAM
    going = (programs.start < programs.end) & ~long
    at, end = programs.start[going], programs.end[going]
    # As many turns as the longest program has instructions; but as a few are much longer than
    # all others, only until few are left.
    while len(at) > _FEW:
        marks[at] = True
        at = at + lengths[at]
        going = at < end
        if not going.all():
            over.append(end[at > end])
            at, end = at[going], end[going]
    # Then one after the other: a turn for a handful costs as much as a hundred single steps.
    mark, length = marks.data, lengths.data
    for start, last in zip(at.tolist(), end.tolist(), strict=True):
        position = start
        while position < last:
            mark[position] = True
            position += length[position]
        if position > last:
            over.append(np.array([last]))
    invalid = np.flatnonzero(marks & (lengths == _INVALID))
    broken = long
    broken[np.searchsorted(programs.end, np.concatenate(over))] = True
    broken[np.searchsorted(programs.end, invalid, side="right")] = True
    return marks, broken


def _advances(code: Reader, at: NDArray[np.intp], does: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What each instruction adds to the address, before the code's factor; at most _FARTHEST."""
    steps = np.where(does == _Does.ADVANCE, code.data[at] & 0x3F, 0).astype(np.int64)
    far = np.flatnonzero(does == _Does.ADVANCE_FAR)
    opcodes = code.data[at[far]]
    for opcode, width in ((0x02, 1), (0x03, 2), (0x04, 4), (0x1D, 8)):
        these = far[opcodes == opcode]
        operand = code.numbers(width, at[these] + 1)
        steps[these] = np.minimum(operand, np.uint64(_FARTHEST))
    return steps


def _operands(
    programs: Programs,
    program: NDArray[np.intp],
    at: NDArray[np.intp],
    does: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The register and the offset that each instruction names; NO_REGISTER, NO_OFFSET if none.

    The instruction at ``at`` belongs to the ``program`` of that index.
    """
    code = programs.bytes
    register = np.full(len(at), NO_REGISTER, np.int64)
    offset = np.full(len(at), NO_OFFSET, np.int64)

    def of(*kinds: _Does) -> NDArray[np.intp]:
        return np.flatnonzero(np.logical_or.reduce([does == kind for kind in kinds]))

    behind = at + 1
    named = of(_Does.REGISTER, _Does.BOTH, _Does.BOTH_SIGNED)
    register[named], behind[named] = code.ulebs(behind[named])
    plain = of(_Does.OFFSET, _Does.BOTH)
    offset[plain], _ = code.ulebs(behind[plain])
    signed = of(_Does.OFFSET_SIGNED, _Does.BOTH_SIGNED)
    value, end = code.ulebs(behind[signed])
    # The highest of the bits that are there is the sign (DWARF 5, section 7.6).
    bits = np.minimum(7 * (end - behind[signed]), 63)
    value -= (value >> (bits - 1) & 1) << bits
    offset[signed] = np.clip(value, NO_OFFSET, -NO_OFFSET) * programs.data_factor[program[signed]]
    register[register > _LAST_REGISTER] = NO_REGISTER
    offset[np.abs(offset) >= -NO_OFFSET] = NO_OFFSET
    return register, offset


def _pairs(
    does: NDArray[np.uint8], program: NDArray[np.intp], broken: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each restore_state and the remember_state that it goes back to, as indices of both.

    Programs that restore more than they remembered become broken.
    """
    stack = np.flatnonzero((does == _Does.REMEMBER) | (does == _Does.RESTORE))
    change = np.where(does[stack] == _Does.REMEMBER, 1, -1)
    owner = program[stack]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    level = np.cumsum(change)
    level -= np.repeat((level - change)[first], np.diff(first, append=len(stack)))
    broken[owner[level < 0]] = True
    sound = ~broken[owner]
    stack, change, owner, level = stack[sound], change[sound], owner[sound], level[sound]
    # Those of one program at one level of nesting come in turns: remember, restore, remember ...
    order = np.lexsort((level + (change < 0), owner))
    restores = np.flatnonzero(change[order] < 0)
    return stack[order[restores]], stack[order[restores - 1]]


def _last(
    sets: NDArray[np.bool_], restores: NDArray[np.intp], remembered: NDArray[np.intp]
) -> NDArray[np.intp]:
    """For each instruction the index of the one that last set something, itself included.

    Args:
        sets: mask of the instructions that set it, those that restore it among them.
        restores: indices of those.
        remembered: index of the instruction whose state each restores.
    """
    every = np.arange(len(sets))
    last = np.maximum.accumulate(np.where(sets, every, 0))
    # What was remembered may have been restored itself, and so on back: go twice as far each
    # time, so that the turns are the logarithm of the longest such chain.
    source = every
    source[restores] = last[remembered]
    while len(restores):
        farther = source[source[restores]]
        if np.array_equal(farther, source[restores]):
            break
        source[restores] = farther
    return source[last]
