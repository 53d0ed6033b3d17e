"""Where the values in registers come from: the definitions that reach the places asked about.

Asked are some registers at some instructions. Each leads back to the instruction that last wrote
it, or past the block's start to all blocks from which control may come; and what such an
instruction reads is asked for in turn. All questions are followed together, one step a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.blocks import Blocks
from stackgauge.image.arrays import sorted_unique
from stackgauge.isa.operands import NO_REGISTER, Convention, Op, Operands

Indices = NDArray[np.intp]

UNKNOWN_VALUE = 0

# Registers, and after them places on the stack.
REGISTERS = 64

# Rounds: the longest way through one function's blocks and copies. Beyond it nothing is known.
_MOST_ROUNDS = 20_000


class Source(IntEnum):
    """What a value is."""

    UNKNOWN = 0
    DEFINED = 1
    """What an instruction computes, by its Op."""
    MERGED = 2
    """At a block's start, one of what comes from the blocks before it."""
    ARGUMENT = 3
    """What a function got in a register."""


@dataclass(frozen=True, eq=False)
class Values:
    """Values, one row each; row 0 is one of which nothing is known.

    Attributes:
        source: Source, uint8.
        row: of DEFINED the instruction, of ARGUMENT the block, else 0; intp.
        register: of ARGUMENT the register, else 0; intp.
        user: the value that is made of ...
        used: ... another one; (inputs,) intp both, by ascending user.
    """

    source: NDArray[np.uint8]
    row: Indices
    register: Indices
    user: Indices
    used: Indices

    def __len__(self) -> int:
        """How many there are."""
        return len(self.source)

    @cached_property
    def first(self) -> Indices:
        """For each value, the row of its first input, with one entry more at the end."""
        return _firsts(self.user, len(self))

    @cached_property
    def _by_used(self) -> tuple[Indices, Indices]:
        order = np.argsort(self.used, kind="stable")
        return self.user[order], _firsts(self.used[order], len(self))

    def inputs(self, values: Indices) -> tuple[Indices, Indices]:
        """What some values are made of: pairs of an index into ``values`` and an input."""
        lane, at = _spread(self.first, values)
        return lane, self.used[at]

    def users(self, values: Indices) -> Indices:
        """The values that are made of any of some, ascending."""
        user, first = self._by_used
        return sorted_unique(user[_spread(first, values)[1]])


def _firsts(ordered: Indices, count: int) -> Indices:
    counts = np.bincount(ordered, minlength=count)
    return np.concatenate([np.zeros(1, np.intp), np.cumsum(counts)])


def _spread(first: Indices, rows: Indices) -> tuple[Indices, Indices]:
    """Every entry of some rows of a table: the index of the row, and where the entry is."""
    many = first[rows + 1] - first[rows]
    lane = np.repeat(np.arange(len(rows)), many)
    return lane, np.arange(len(lane)) - np.repeat(np.cumsum(many) - many - first[rows], many)


class Tracer:
    """Follows registers back through code."""

    def __init__(self, code: Operands, blocks: Blocks, convention: Convention) -> None:
        """Take code; nothing is followed yet."""
        self._code, self._blocks, self._convention = code, blocks, convention
        self._definitions = _definitions(code.writes, len(convention.names))
        used = int(np.bitwise_or.reduce(code.writes)) if len(code) else 0
        self._count = count = len(code)
        # No more than are used: the table has a row for each block.
        self._registers = registers = max(used.bit_length(), len(convention.names))
        self._entries = np.cumsum(blocks.entry) - 1
        self._entered = np.flatnonzero(blocks.entry)
        # Keys: of each instruction's result, of each register at each block's start, and of each
        # at each function's; and the value of each key.
        self._merged_end = count + len(blocks) * registers
        self._number = np.zeros(self._merged_end + len(self._entered) * registers, np.int32)
        self._key: list[Indices] = [np.zeros(1, np.intp)]
        self._inputs: list[tuple[Indices, Indices]] = []
        self._made = self._followed = 1

    def reaching(self, row: Indices, register: Indices) -> Indices:
        """The value of a register before each instruction; to be followed by ``follow``."""
        return self._values(self._reaching(row, register))

    def defined(self, row: Indices, register: Indices) -> Indices:
        """The instruction of the same block that a register's value is of; -1 where none is."""
        key = self._reaching(row, register)
        return np.where(key < self._count, key, -1)

    def loaded(self, row: Indices) -> Indices:
        """The value that each of some instructions loads and calls."""
        return self._values(row)

    def follow(self) -> Values:
        """Follow all values that were asked for, back to where they come from."""
        for _ in range(_MOST_ROUNDS):
            if self._followed == self._made:
                break
            keys = np.concatenate(self._key)[self._followed :]
            fresh = np.arange(self._followed, self._made)
            self._followed = self._made
            self._key = [np.concatenate(self._key)]
            self._follow(fresh, keys)
        return self._result(self._followed)

    def _reaching(self, row: Indices, register: Indices) -> Indices:
        """The key of what a register holds before an instruction."""
        blocks, count, registers = self._blocks, self._count, self._registers
        at = np.searchsorted(self._definitions, register * count + row) - 1
        found = self._definitions[np.maximum(at, 0)] - register * count
        block = blocks.of[row]
        inside = (at >= 0) & (found >= blocks.first[block])
        merged = count + block * registers + register
        return np.where(inside, self._defined(found, register), merged)

    def _defined(self, row: Indices, register: Indices) -> Indices:
        """An instruction's key as the definition of a register; -1 where it says nothing of it."""
        code = self._code
        row = np.maximum(row, 0)
        returns = (code.op[row] == Op.GO) & (register == self._convention.result)
        return np.where((code.target[row] == register) | returns, row, -1)

    def _values(self, keys: Indices) -> Indices:
        """The values of keys, made where there are none yet."""
        known = np.where(keys >= 0, self._number[np.maximum(keys, 0)], UNKNOWN_VALUE)
        missing = sorted_unique(keys[(known == UNKNOWN_VALUE) & (keys >= 0)])
        if len(missing):
            self._number[missing] = np.arange(self._made, self._made + len(missing))
            self._key.append(missing)
            self._made += len(missing)
            known = np.where(keys >= 0, self._number[np.maximum(keys, 0)], UNKNOWN_VALUE)
        return known.astype(np.intp)

    def _follow(self, values: Indices, keys: Indices) -> None:
        """Ask for what some values are made of."""
        code, blocks, count = self._code, self._blocks, self._count
        defined = np.flatnonzero(keys < count)
        rows = keys[defined]
        op = code.op[rows]
        by_base = (code.base[rows] != NO_REGISTER) & np.isin(
            op, (Op.COPY, Op.LOAD, Op.ADDRESS, Op.SELECT, Op.GO, Op.GO_LOADED)
        )
        by_source = op == Op.SELECT
        starts = np.flatnonzero((keys >= count) & (keys < self._merged_end))
        block, register = np.divmod(keys[starts] - count, self._registers)
        ways = blocks.first_way[block + 1] - blocks.first_way[block]
        lane = np.repeat(np.arange(len(starts)), ways)
        way = np.arange(len(lane)) - np.repeat(
            np.cumsum(ways) - ways - blocks.first_way[block], ways
        )
        before = blocks.first[blocks.way[way] + 1]
        entered = np.flatnonzero(blocks.entry[block])
        lost = np.flatnonzero(blocks.hidden[block])
        user = np.concatenate([
            values[defined[by_base]], values[defined[by_source]], values[starts[lane]],
            values[starts[entered]], values[starts[lost]],
        ])  # fmt: skip
        used = self._values(np.concatenate([
            self._reaching(rows[by_base], code.base[rows[by_base]].astype(np.intp)),
            self._reaching(rows[by_source], code.source[rows[by_source]].astype(np.intp)),
            self._at_end(before, register[lane]),
            self._merged_end + self._entries[block[entered]] * self._registers + register[entered],
            np.full(len(lost), -1),
        ]))  # fmt: skip
        self._inputs.append((user, used))

    def _at_end(self, after: Indices, register: Indices) -> Indices:
        """The key of what a register holds at the end of the block before the row ``after``."""
        blocks, count = self._blocks, self._count
        at = np.searchsorted(self._definitions, register * count + after) - 1
        found = self._definitions[np.maximum(at, 0)] - register * count
        block = blocks.of[after - 1]
        inside = (at >= 0) & (found >= blocks.first[block])
        merged = count + block * self._registers + register
        return np.where(inside, self._defined(found, register), merged)

    def _result(self, followed: int) -> Values:
        keys = np.concatenate(self._key)
        count, registers = self._count, self._registers
        first_argument = self._merged_end
        source = np.where(keys < count, Source.DEFINED, Source.MERGED).astype(np.uint8)
        source[keys >= first_argument] = Source.ARGUMENT
        source[0] = Source.UNKNOWN
        # What was not followed to its end is not known.
        source[followed:] = Source.UNKNOWN
        argument = source == Source.ARGUMENT
        entry, register = np.divmod(np.where(argument, keys - first_argument, 0), registers)
        block = self._entered[entry] if len(self._entered) else entry
        row = np.where(source == Source.DEFINED, keys, np.where(argument, block, 0))
        none = np.zeros(0, np.intp)
        user = np.concatenate([none, *(pair[0] for pair in self._inputs)])
        used = np.concatenate([none, *(pair[1] for pair in self._inputs)])
        order = np.argsort(user, kind="stable")
        return Values(source, row, np.where(argument, register, 0), user[order], used[order])


def _definitions(writes: NDArray[np.uint64], registers: int) -> Indices:
    """Where each register is written: by register, then by place, as one ascending number."""
    count = len(writes)
    low = writes.astype(np.uint32)
    # Few instructions write to the stack.
    there = np.flatnonzero(writes >> np.uint64(registers))
    result = []
    for register in range(REGISTERS):
        if register < registers:
            rows = np.flatnonzero(low & np.uint32(1 << register))
        else:
            rows = there[writes[there] & np.uint64(1 << register) != 0]
        result.append(register * count + rows)
    return np.concatenate(result)
