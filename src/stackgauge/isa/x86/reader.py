"""The stack steps of x86 code: which instructions move the stack pointer or redirect the flow.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (each instruction's
page). Every byte of a section is looked at as if an instruction began there; the few of them that
matter and do begin one are then read, each class for all its instructions at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import SAVED, Code, Effect, Ranges, Steps
from stackgauge.isa.x86.amounts import settle_amounts
from stackgauge.isa.x86.classes import DISTANCES, EFFECTS, FLOWS, RSP, WORDS, Class, class_table
from stackgauge.isa.x86.copies import without_changed
from stackgauge.isa.x86.lengths import LONGEST, TAIL, blocks, instruction_lengths, words
from stackgauge.isa.x86.starts import instruction_starts

RBP = 5
UNTRACKED = 255
# What moves the stack pointer farther goes to another address space, as 32-bit code does by adding
# PAGE_OFFSET when it turns paging on.
_FARTHEST = 1 << 28
# REX.W: an operand of 64 bits.
_WIDE = 8
# Registers in which compilers keep a copy of the stack pointer, and the slot of each: the frame
# pointer, GCC's pointers to the arguments of a realigned frame (r10, or r13 in a nested function;
# in 32-bit code ecx, or edi where ecx holds an argument), and callee-saved registers that keep it
# around a variable-length array.
SLOT_OF_REGISTER = {
    64: {RBP: 0, 10: 1, 13: 2, 3: 3, 12: 4},
    32: {RBP: 0, 1: 1, 7: 2, 3: 3, 6: 4},
}


class _Buffer:
    """The ranges' bytes one after the other (or the whole section), and their addresses."""

    def __init__(self, code: Code, ranges: Ranges) -> None:
        size = (ranges.end - ranges.start).astype(np.int64)
        offset = (ranges.start - np.uint64(code.address)).astype(np.int64)
        total = int(size.sum())
        tail = np.zeros(TAIL, np.uint8)
        if total * 2 > len(code.data):
            self.data = np.concatenate([code.data, tail])
            self.begin = offset
            self._shift = np.zeros(len(ranges), np.int64)
        else:
            # Copied range by range: slices are one memcpy each, an index array eight times the
            # bytes.
            pieces = zip(offset.tolist(), (offset + size).tolist(), strict=True)
            self.data = np.concatenate([*(code.data[a:b] for a, b in pieces), tail])
            self.begin = np.cumsum(size) - size
            self._shift = offset - self.begin
        self.end = self.begin + size
        self._address = code.address

    def addresses(self, offset: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Addresses of offsets into the buffer that lie in a range or just after it."""
        if not self._shift.any():
            moved = offset
        else:
            lane = np.searchsorted(self.begin, offset, side="right") - 1
            moved = offset + self._shift[np.maximum(lane, 0)]
        return moved.astype(np.uint64) + np.uint64(self._address)

    def outside(self) -> NDArray[np.intp]:
        """The offsets of the bytes that lie in no range."""
        after = np.append(0, self.end)
        size = np.maximum(np.append(self.begin, len(self.data) - TAIL) - after, 0)
        index = np.repeat(after - (np.cumsum(size) - size), size)
        index += np.arange(len(index))
        return index


def read_x86(code: Code, ranges: Ranges, bits: int) -> Steps:
    """The stack steps of x86 code.

    Args:
        code: one section.
        ranges: the stretches of it to read; each begins with an instruction.
        bits: 64 or 32.
    """
    buffer = _Buffer(code, ranges)
    lengths = instruction_lengths(buffer.data, bits)
    starts = instruction_starts(lengths, buffer.begin, buffer.end)
    starts[buffer.outside()] = False
    return _Reader(buffer, lengths, starts, bits).steps()


@dataclass(frozen=True)
class _Found:
    """Instructions of one class: columns of one length, offsets into the buffer."""

    row: NDArray[np.intp]
    """Which of the instructions that matter each is."""
    end: NDArray[np.intp]
    opcode: NDArray[np.intp]
    """Where the opcode byte is, after prefixes and REX."""
    rex: NDArray[np.uint8]
    """The REX prefix; in 32-bit code only its bit _WIDE is set, where no prefix is in front."""

    def where(self, mask: NDArray[np.bool_]) -> _Found:
        return _Found(self.row[mask], self.end[mask], self.opcode[mask], self.rex[mask])


class _Reader:
    def __init__(
        self,
        buffer: _Buffer,
        lengths: NDArray[np.uint8],
        starts: NDArray[np.bool_],
        bits: int,
    ) -> None:
        self._buffer = buffer
        self._data = buffer.data
        self._lengths = lengths
        self._starts = starts
        self._bits = bits
        self._word = bits // 8
        self._slots = np.full(16, UNTRACKED, np.uint8)
        for register, slot in SLOT_OF_REGISTER[bits].items():
            self._slots[register] = slot

    def steps(self) -> Steps:
        at, opcode, kinds = self._instructions()
        length = self._lengths[at]
        self._end = at + length
        self._opcode = opcode
        self._effect = _by_class(EFFECTS, kinds).view(np.uint8)
        self._value = _by_class(WORDS, kinds) * np.int32(self._word)
        self._slot = np.zeros(len(at), np.uint8)
        # Loops over the classes: each is read for all its instructions at once.
        for kind in Class:
            read = getattr(self, "_" + kind.name.lower(), None)
            if read is not None and len(rows := np.flatnonzero(kinds == kind)):
                read(self._found(rows, at))
        flow = _by_class(FLOWS, kinds).view(np.uint8)
        kept = np.flatnonzero(self._effect | flow)
        at, kinds, length, flow = at[kept], kinds[kept], length[kept], flow[kept]
        start = self._buffer.addresses(at)
        end = start + length
        target = np.zeros(len(at), np.uint64)
        for kind, size in DISTANCES.items():
            rows = np.flatnonzero(kinds == kind)
            place = at[rows] + length[rows] - size
            distance = self._int32(place) if size == 4 else self._int8(place)
            target[rows] = self._target(end[rows], distance)
        steps = Steps(
            start, end, self._effect[kept], self._slot[kept], self._value[kept], flow, target
        )
        steps = without_changed(
            steps, at, self._data, self._starts, self._bits, SLOT_OF_REGISTER[self._bits]
        )
        return settle_amounts(steps, at, self._data, self._starts, self._bits)

    def _instructions(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8]]:
        """The instructions that matter: where they and their opcodes begin, and their classes."""
        table, pairs = class_table(self._bits), words(self._data)
        # Some more, which the last bytes may be prefixes of.
        kinds = np.empty(len(self._starts) + LONGEST, np.uint8)
        for block in blocks(len(kinds)):
            table.take(pairs[block], out=kinds[block], mode="clip")
        matters = np.empty(len(self._starts), bool)
        for block in blocks(len(matters)):
            if self._bits == 64:
                # REX belongs to the opcode after it.
                after = kinds[block.start + 1 : block.stop + 1]
                after = after * (after != Class.PREFIX)
                kinds[block] |= after * (self._data[block] & 0xF0 == 0x40)
            np.not_equal(kinds[block], Class.BORING, out=matters[block])
            matters[block] &= self._starts[block]
        at = np.flatnonzero(matters)
        found, opcode = kinds[at], at.copy()
        prefixed = np.flatnonzero(found == Class.PREFIX)
        last = at[prefixed] + self._lengths[at[prefixed]] - 1
        while len(prefixed):
            opcode[prefixed] += 1
            found[prefixed] = kinds[opcode[prefixed]]
            # A prefix that is the whole instruction is none.
            more = (found[prefixed] == Class.PREFIX) & (opcode[prefixed] < last)
            found[prefixed[(found[prefixed] == Class.PREFIX) & ~more]] = Class.BORING
            prefixed, last = prefixed[more], last[more]
        matters = found != Class.BORING
        at, opcode, found = at[matters], opcode[matters], found[matters]
        if self._bits == 64:
            opcode += self._data[opcode] & 0xF0 == 0x40
        return at, opcode, found

    def _found(self, rows: NDArray[np.intp], at: NDArray[np.intp]) -> _Found:
        begin, opcode = at[rows], self._opcode[rows]
        if self._bits == 64:
            rex = self._data[np.maximum(opcode - 1, begin)]
            rex = np.where((opcode > begin) & (rex & 0xF0 == 0x40), rex, 0)
        else:
            rex = np.where(opcode == begin, _WIDE, 0)
        return _Found(rows, self._end[rows], opcode, rex.astype(np.uint8))

    # What the fields of the instructions say.

    def _modrm(self, found: _Found) -> tuple[NDArray[np.uint8], ...]:
        """Mod, reg and rm, the latter two with their REX bits."""
        byte = self._data[found.opcode + 1]
        mod: NDArray[np.uint8] = (byte >> 6).astype(np.uint8)
        reg: NDArray[np.uint8] = (byte >> 3 & 7) + ((found.rex & 4) << 1)
        rm: NDArray[np.uint8] = (byte & 7) + ((found.rex & 1) << 3)
        return mod, reg, rm

    def _int8(self, at: NDArray[np.intp]) -> NDArray[np.int32]:
        return self._data[at].view(np.int8).astype(np.int32)

    def _int32(self, at: NDArray[np.intp]) -> NDArray[np.int32]:
        numbers = np.ndarray(len(self._data) - 3, np.dtype("<i4"), self._data.data, 0, (1,))
        return numbers[at].astype(np.int32)

    def _full_width(self, found: _Found) -> NDArray[np.bool_]:
        """Whether the operand is as wide as the stack pointer."""
        wide: NDArray[np.bool_] = found.rex & _WIDE != 0
        return wide

    def _target(self, end: NDArray[np.uint64], distance: NDArray[np.int32]) -> NDArray[np.uint64]:
        target = end + distance.astype(np.int64).view(np.uint64)
        return target if self._bits == 64 else target & np.uint64(0xFFFF_FFFF)

    # What the classes do that depends on their operands.

    def _set(
        self,
        found: _Found,
        effect: Effect,
        value: int | NDArray[np.int32] = 0,
        slot: int | NDArray[np.uint8] = 0,
    ) -> None:
        self._effect[found.row] = effect
        self._value[found.row] = value
        self._slot[found.row] = slot

    def _pop_register(self, found: _Found) -> None:
        to_rsp = (self._data[found.opcode] == 0x58 + RSP) & (found.rex & 1 == 0)
        # The kernel leaves an interrupt's stack so (arch/x86/include/asm/irq_stack.h): the old
        # stack pointer was stored at the top of the new stack.
        self._set(found.where(to_rsp), Effect.RESTORE, 0, SAVED)

    def _overwrite(self, found: _Found) -> None:
        """MOV of a number and XCHG: of the stack pointer, or with REX.B of another register."""
        other = (found.rex & 1 != 0) & (self._data[found.opcode] != 0xC8)
        self._set(found.where(other), Effect.NONE)

    def _arithmetic(self, found: _Found, amount: NDArray[np.int32]) -> None:
        """Group 1 with an immediate: only ADD, AND and SUB are used on the stack pointer."""
        _, reg, rm = self._modrm(found)
        mine = rm == RSP
        found, amount, reg = found.where(mine), amount[mine], reg[mine] & 7
        wide = self._full_width(found) & _near(amount)
        mask_of_ones = (reg == 4) & (amount < 0) & (amount & -amount == -amount) & wide
        self._set(found, Effect.LOST)
        for mask, effect, value in (
            ((reg == 0) & wide, Effect.ADD, amount),
            ((reg == 5) & wide, Effect.ADD, -amount),
            (mask_of_ones, Effect.ALIGN, -amount),
        ):
            self._set(found.where(mask), effect, value[mask])

    def _arithmetic_imm8(self, found: _Found) -> None:
        self._arithmetic(found, self._int8(found.opcode + 2))

    def _arithmetic_imm32(self, found: _Found) -> None:
        self._arithmetic(found, self._int32(found.end - 4))

    def _arithmetic_registers(self, found: _Found, changes_sp: NDArray[np.bool_]) -> None:
        """ADD, OR, ADC, SBB, AND, SUB, XOR between registers or with memory."""
        found = found.where(changes_sp)
        operation = self._data[found.opcode] & 0x38
        # An addition of a register may be one of a negative constant: its amount is looked for.
        by_register = (operation == 0x28) | (operation == 0x00)
        self._set(found.where(by_register), Effect.DYNAMIC)
        self._set(found.where(~by_register), Effect.LOST)

    def _arithmetic_to_rm(self, found: _Found) -> None:
        _, _, rm = self._modrm(found)
        self._arithmetic_registers(found, rm == RSP)

    def _arithmetic_to_register(self, found: _Found) -> None:
        _, reg, _ = self._modrm(found)
        self._arithmetic_registers(found, reg == RSP)

    def _mov(self, found: _Found, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        to_sp = (target == RSP) & (source != RSP)
        self._restore(found.where(to_sp), source[to_sp], np.zeros(int(to_sp.sum()), np.int32))
        slot = self._slots[target]
        copies = (source == RSP) & (slot != UNTRACKED) & self._full_width(found)
        self._set(found.where(copies), Effect.COPY, 0, slot[copies])

    def _restore(
        self, found: _Found, register: NDArray[np.uint8], amount: NDArray[np.int32]
    ) -> None:
        slot = self._slots[register]
        known = (slot != UNTRACKED) & self._full_width(found)
        self._set(found.where(known), Effect.RESTORE, amount[known], slot[known])
        self._set(found.where(~known), Effect.LOST)

    def _mov_to_rm(self, found: _Found) -> None:
        _, reg, rm = self._modrm(found)
        self._mov(found, reg, rm)

    def _mov_to_register(self, found: _Found) -> None:
        mod, reg, rm = self._modrm(found)
        between = mod == 3
        self._mov(found.where(between), rm[between], reg[between])
        self._set(found.where(~between & (reg == RSP)), Effect.LOST)

    def _xchg_rm(self, found: _Found) -> None:
        mod, reg, rm = self._modrm(found)
        self._set(found.where((reg == RSP) | (mod == 3) & (rm == RSP)), Effect.LOST)

    def _lea(self, found: _Found) -> None:
        """LEA from a base and a displacement; with an index it says nothing that is followed."""
        mod, reg, rm = self._modrm(found)
        has_sib = rm & 7 == RSP
        sib = np.where(has_sib, self._data[found.opcode + 2], 0)
        no_index = ~has_sib | (sib >> 3 & 7 == RSP) & (found.rex & 2 == 0)
        base = np.where(has_sib, (sib & 7) + ((found.rex & 1) << 3), rm).astype(np.uint8)
        amount = np.zeros(len(found.row), np.int32)
        short, long = mod == 1, mod == 2
        amount[short] = self._int8(found.end[short] - 1)
        amount[long] = self._int32(found.end[long] - 4)
        based = no_index & ~((mod == 0) & (base & 7 == 5)) & self._full_width(found)
        based &= _near(amount)
        to_sp = reg == RSP
        adds = to_sp & based & (base == RSP)
        self._set(found.where(adds), Effect.ADD, amount[adds])
        restores = to_sp & based & (base != RSP)
        self._restore(found.where(restores), base[restores], amount[restores])
        self._set(found.where(to_sp & ~based), Effect.LOST)
        slot = self._slots[reg]
        copies = (slot != UNTRACKED) & based & (base == RSP)
        self._set(found.where(copies), Effect.COPY, amount[copies], slot[copies])

    def _leave(self, found: _Found) -> None:
        self._set(found, Effect.RESTORE, self._word, int(self._slots[RBP]))

    def _iret(self, found: _Found) -> None:
        """IRET pops five words (in 32-bit mode from the kernel to itself three).

        The kernel also uses it to serialize, with a frame that it pushes itself and that leads
        to the next instruction (iret_to_self in arch/x86/include/asm/sync_core.h), so it may go
        on there.
        """
        self._set(found, Effect.ADD, (5 if self._bits == 64 else 3) * self._word)


def _near(amount: NDArray[np.int32]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = (amount >= -_FARTHEST) & (amount <= _FARTHEST)
    return near


def _by_class(said: Mapping[Class, int], kinds: NDArray[np.uint8]) -> NDArray[np.int8]:
    """What is said of some classes, for each instruction; 0 of the other classes."""
    table = np.zeros(len(Class), np.int8)
    table[list(said)] = list(said.values())
    return table.take(kinds)
