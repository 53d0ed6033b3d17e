"""The stack steps of x86 code: which instructions move the stack pointer or redirect the flow.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (each instruction's
page). Instructions are sorted into classes by their first two bytes, and each class is read for
all its instructions at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import SAVED, Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.steps import Collector
from stackgauge.isa.x86.amounts import settle_amounts
from stackgauge.isa.x86.lengths import TAIL, instruction_lengths, instruction_starts
from stackgauge.isa.x86.opcodes import LEGACY_PREFIXES

RSP = 4

# Registers in which compilers keep a copy of the stack pointer, and the slot of each: the frame
# pointer, GCC's pointers to the arguments of a realigned frame (r10, or r13 in a nested function),
# and callee-saved registers that keep it around a variable-length array.
SLOT_OF_REGISTER = {5: 0, 10: 1, 13: 2, 3: 3, 12: 4}
UNTRACKED = 255

_SLOTS = np.full(16, UNTRACKED, np.uint8)
for _register, _slot in SLOT_OF_REGISTER.items():
    _SLOTS[_register] = _slot


class Class(IntEnum):
    """Instructions that are read alike."""

    BORING = 0
    PREFIX = auto()
    PUSH = auto()
    POP_REGISTER = auto()
    POP = auto()
    PUSH_ALL = auto()
    POP_ALL = auto()
    ARITHMETIC_IMM8 = auto()
    ARITHMETIC_IMM32 = auto()
    ARITHMETIC_TO_RM = auto()
    ARITHMETIC_TO_REGISTER = auto()
    MOV_TO_RM = auto()
    MOV_TO_REGISTER = auto()
    MOV_IMM = auto()
    MOV_IMM_RM = auto()
    XCHG = auto()
    XCHG_RM = auto()
    LEA = auto()
    POP_RM = auto()
    GROUP5 = auto()
    LEAVE = auto()
    ENTER = auto()
    RETURN = auto()
    IRET = auto()
    TRAP = auto()
    CALL = auto()
    JUMP = auto()
    JUMP_SHORT = auto()
    BRANCH = auto()
    BRANCH_SHORT = auto()


def _classes(bits: int) -> dict[int, Class]:
    """Opcode to class, for one-byte opcodes."""
    table: dict[int, Class] = {}
    for opcodes, kind in (
        (range(0x50, 0x58), Class.PUSH),
        ((0x68, 0x6A, 0x9C), Class.PUSH),
        (range(0x58, 0x60), Class.POP_REGISTER),
        ((0x9D,), Class.POP),
        ((0x83,), Class.ARITHMETIC_IMM8),
        ((0x81,), Class.ARITHMETIC_IMM32),
        (range(0x01, 0x39, 8), Class.ARITHMETIC_TO_RM),
        (range(0x03, 0x3B, 8), Class.ARITHMETIC_TO_REGISTER),
        ((0x89,), Class.MOV_TO_RM),
        ((0x8B,), Class.MOV_TO_REGISTER),
        ((0xBC,), Class.MOV_IMM),
        ((0xC7,), Class.MOV_IMM_RM),
        ((0x94,), Class.XCHG),
        ((0x87,), Class.XCHG_RM),
        ((0x8D,), Class.LEA),
        ((0x8F,), Class.POP_RM),
        ((0xFF,), Class.GROUP5),
        ((0xC9,), Class.LEAVE),
        ((0xC8,), Class.ENTER),
        ((0xC2, 0xC3, 0xCA, 0xCB), Class.RETURN),
        ((0xCF,), Class.IRET),
        ((0xCC,), Class.TRAP),
        ((0xE8,), Class.CALL),
        ((0xE9,), Class.JUMP),
        ((0xEB,), Class.JUMP_SHORT),
        ((*range(0x70, 0x80), *range(0xE0, 0xE4)), Class.BRANCH_SHORT),
    ):
        table.update(dict.fromkeys(opcodes, kind))
    if bits == 32:
        table.update(dict.fromkeys((0x06, 0x0E, 0x16, 0x1E), Class.PUSH))
        table.update(dict.fromkeys((0x07, 0x17, 0x1F), Class.POP))
        table[0x60], table[0x61] = Class.PUSH_ALL, Class.POP_ALL
    return table


# After 0F. SYSRET and SYSEXIT leave the kernel; UD2, UD1 and UD0 trap.
_TWO_BYTE = {
    **dict.fromkeys(range(0x80, 0x90), Class.BRANCH),
    **dict.fromkeys((0xA0, 0xA8), Class.PUSH),
    **dict.fromkeys((0xA1, 0xA9), Class.POP),
    **dict.fromkeys((0x07, 0x35), Class.RETURN),
    **dict.fromkeys((0x0B, 0xB9, 0xFF), Class.TRAP),
}


@cache
def _class_table(bits: int) -> NDArray[np.uint8]:
    """Class by an instruction's first two bytes, the first high."""
    table = np.zeros((256, 256), np.uint8)
    for opcode, kind in _classes(bits).items():
        table[opcode] = kind
    for opcode, kind in _TWO_BYTE.items():
        table[0x0F, opcode] = kind
    if bits == 64:
        table[0x40:0x50] = table[:, 0]
        table[0x40:0x50, 0x0F] = Class.PREFIX
        table[0x41:0x50:2, 0x94] = Class.BORING  # REX.B: another register than rsp
        table[0x41:0x50:2, 0xBC] = Class.BORING
    table[list(LEGACY_PREFIXES)] = Class.PREFIX
    return table.reshape(-1)


@dataclass(frozen=True)
class _Found:
    """The instructions of one class: columns of one length, offsets into the buffer."""

    start: NDArray[np.intp]
    end: NDArray[np.intp]
    opcode: NDArray[np.intp]
    """Where the opcode byte is, after prefixes and REX."""
    rex: NDArray[np.uint8]

    def where(self, mask: NDArray[np.bool_]) -> _Found:
        return _Found(self.start[mask], self.end[mask], self.opcode[mask], self.rex[mask])


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
    return _Reader(buffer, lengths, starts, bits).steps()


class _Reader:
    def __init__(
        self,
        buffer: _Buffer,
        lengths: NDArray[np.uint8],
        starts: NDArray[np.intp],
        bits: int,
    ) -> None:
        self._buffer = buffer
        self._data = buffer.data
        self._lengths = lengths
        self._starts = starts
        self._bits = bits
        self._word = bits // 8
        self._out = Collector()

    def steps(self) -> Steps:
        kinds, opcode = self._classify()
        interesting = np.flatnonzero(kinds)
        kinds, opcode = kinds[interesting], opcode[interesting]
        start = self._starts[interesting]
        end = start + self._lengths[start]
        rex = self._data[np.maximum(opcode - 1, start)]
        has_rex = (self._bits == 64) & (opcode > start) & (rex & 0xF0 == 0x40)
        rex = np.where(has_rex, rex, 0).astype(np.uint8)
        order = np.argsort(kinds, kind="stable")
        bounds = np.searchsorted(kinds[order], np.arange(len(Class) + 1))
        for kind in list(Class)[2:]:
            chosen = order[bounds[kind] : bounds[kind + 1]]
            if len(chosen):
                found = _Found(start[chosen], end[chosen], opcode[chosen], rex[chosen])
                getattr(self, "_" + kind.name.lower())(found)
        steps, offsets = self._out.steps(self._buffer.addresses)
        return settle_amounts(steps, offsets, self._data, self._starts, self._bits)

    def _classify(self) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Each instruction's class, and where its opcode byte is."""
        table = _class_table(self._bits)
        at = self._starts.copy()
        pairs = np.ndarray(len(self._data) - 1, np.dtype(">u2"), self._data.data, 0, (1,))
        kinds = table.take(pairs[at])
        prefixed = np.flatnonzero(kinds == Class.PREFIX)
        last = self._starts + self._lengths[self._starts] - 1
        while len(prefixed):
            at[prefixed] += 1
            kinds[prefixed] = table.take(pairs[at[prefixed]])
            # A prefix that is the whole instruction is none.
            done = at[prefixed] >= last[prefixed]
            ended = prefixed[done]
            kinds[ended[kinds[ended] == Class.PREFIX]] = Class.BORING
            prefixed = prefixed[~done & (kinds[prefixed] == Class.PREFIX)]
        if self._bits == 64:
            at += (self._data[at] & 0xF0 == 0x40) & (at < last)
        return kinds, at

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
        words = np.ndarray(len(self._data) - 3, np.dtype("<i4"), self._data.data, 0, (1,))
        return words[at].astype(np.int32)

    def _full_width(self, found: _Found) -> NDArray[np.bool_]:
        """Whether the operand is as wide as the stack pointer."""
        wide: NDArray[np.bool_] = found.rex & 8 != 0
        return wide if self._bits == 64 else np.ones(len(found.start), bool)

    # Stack effects.

    def _add(
        self,
        found: _Found,
        effect: Effect,
        value: int | NDArray[np.int32] = 0,
        slot: int | NDArray[np.uint8] = 0,
    ) -> None:
        self._out.add(found.start, found.end, effect=effect, value=value, slot=slot)

    def _push(self, found: _Found) -> None:
        self._add(found, Effect.ADD, -self._word)

    def _pop(self, found: _Found) -> None:
        self._add(found, Effect.ADD, self._word)

    def _push_all(self, found: _Found) -> None:
        self._add(found, Effect.ADD, -8 * self._word)

    def _pop_all(self, found: _Found) -> None:
        self._add(found, Effect.ADD, 8 * self._word)

    def _pop_register(self, found: _Found) -> None:
        to_rsp = (self._data[found.opcode] == 0x58 + RSP) & (found.rex & 1 == 0)
        self._add(found.where(~to_rsp), Effect.ADD, self._word)
        # The kernel leaves an interrupt's stack so (arch/x86/include/asm/irq_stack.h): the old
        # stack pointer was stored at the top of the new stack.
        self._add(found.where(to_rsp), Effect.RESTORE, 0, SAVED)

    def _pop_rm(self, found: _Found) -> None:
        _, reg, _ = self._modrm(found)
        self._add(found.where(reg & 7 == 0), Effect.ADD, self._word)

    def _arithmetic(self, found: _Found, amount: NDArray[np.int32]) -> None:
        """Group 1 with an immediate: only ADD, AND and SUB are used on the stack pointer."""
        mod, reg, rm = self._modrm(found)
        # CMP (7) only looks.
        mine = (mod == 3) & (rm == RSP) & (reg & 7 != 7)
        found, amount, reg = found.where(mine), amount[mine], reg[mine] & 7
        wide = self._full_width(found)
        mask_of_ones = (reg == 4) & (amount < 0) & (amount & -amount == -amount) & wide
        for mask, effect, value in (
            ((reg == 0) & wide, Effect.ADD, amount),
            ((reg == 5) & wide, Effect.ADD, -amount),
            (mask_of_ones, Effect.ALIGN, -amount),
        ):
            self._add(found.where(mask), effect, value[mask])
        known = ((reg == 0) | (reg == 5)) & wide | mask_of_ones
        self._add(found.where(~known), Effect.LOST)

    def _arithmetic_imm8(self, found: _Found) -> None:
        self._arithmetic(found, self._int8(found.opcode + 2))

    def _arithmetic_imm32(self, found: _Found) -> None:
        self._arithmetic(found, self._int32(found.end - 4))

    def _arithmetic_registers(self, found: _Found, changes_sp: NDArray[np.bool_]) -> None:
        """ADD, OR, ADC, SBB, AND, SUB, XOR between registers or with memory."""
        found = found.where(changes_sp)
        subtracts = self._data[found.opcode] & 0x38 == 0x28
        # An addition of a register may be one of a negative constant: its amount is looked for.
        adds = self._data[found.opcode] & 0x38 == 0x00
        self._add(found.where(subtracts | adds), Effect.DYNAMIC)
        self._add(found.where(~subtracts & ~adds), Effect.LOST)

    def _arithmetic_to_rm(self, found: _Found) -> None:
        mod, _, rm = self._modrm(found)
        self._arithmetic_registers(found, (mod == 3) & (rm == RSP))

    def _arithmetic_to_register(self, found: _Found) -> None:
        _, reg, _ = self._modrm(found)
        self._arithmetic_registers(found, reg == RSP)

    def _mov(self, found: _Found, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        to_sp = (target == RSP) & (source != RSP)
        self._restore(found.where(to_sp), source[to_sp], np.zeros(int(to_sp.sum()), np.int32))
        slot = _SLOTS[target]
        copies = (source == RSP) & (slot != UNTRACKED) & self._full_width(found)
        self._add(found.where(copies), Effect.COPY, 0, slot[copies])

    def _restore(
        self, found: _Found, register: NDArray[np.uint8], amount: NDArray[np.int32]
    ) -> None:
        slot = _SLOTS[register]
        known = (slot != UNTRACKED) & self._full_width(found)
        self._add(found.where(known), Effect.RESTORE, amount[known], slot[known])
        self._add(found.where(~known), Effect.LOST)

    def _mov_to_rm(self, found: _Found) -> None:
        mod, reg, rm = self._modrm(found)
        between = mod == 3
        self._mov(found.where(between), reg[between], rm[between])

    def _mov_to_register(self, found: _Found) -> None:
        mod, reg, rm = self._modrm(found)
        between = mod == 3
        self._mov(found.where(between), rm[between], reg[between])
        self._add(found.where(~between & (reg == RSP)), Effect.LOST)

    def _mov_imm(self, found: _Found) -> None:
        self._add(found, Effect.LOST)

    def _mov_imm_rm(self, found: _Found) -> None:
        mod, reg, rm = self._modrm(found)
        self._add(found.where((mod == 3) & (rm == RSP) & (reg & 7 == 0)), Effect.LOST)

    def _xchg(self, found: _Found) -> None:
        self._add(found, Effect.LOST)

    def _xchg_rm(self, found: _Found) -> None:
        mod, reg, rm = self._modrm(found)
        self._add(found.where((reg == RSP) | (mod == 3) & (rm == RSP)), Effect.LOST)

    def _lea(self, found: _Found) -> None:
        """LEA from a base and a displacement; with an index it says nothing that is followed."""
        mod, reg, rm = self._modrm(found)
        has_sib = rm & 7 == RSP
        sib = np.where(has_sib, self._data[found.opcode + 2], 0)
        no_index = ~has_sib | (sib >> 3 & 7 == RSP) & (found.rex & 2 == 0)
        base = np.where(has_sib, (sib & 7) + ((found.rex & 1) << 3), rm).astype(np.uint8)
        amount = np.zeros(len(found.start), np.int32)
        short, long = mod == 1, mod == 2
        amount[short] = self._int8(found.end[short] - 1)
        amount[long] = self._int32(found.end[long] - 4)
        based = no_index & ~((mod == 0) & (base & 7 == 5)) & self._full_width(found)
        to_sp = reg == RSP
        adds = to_sp & based & (base == RSP)
        self._add(found.where(adds), Effect.ADD, amount[adds])
        restores = to_sp & based & (base != RSP)
        self._restore(found.where(restores), base[restores], amount[restores])
        self._add(found.where(to_sp & ~based), Effect.LOST)
        slot = _SLOTS[reg]
        copies = (slot != UNTRACKED) & based & (base == RSP)
        self._add(found.where(copies), Effect.COPY, amount[copies], slot[copies])

    def _leave(self, found: _Found) -> None:
        self._add(found, Effect.RESTORE, self._word, int(_SLOTS[5]))

    def _enter(self, found: _Found) -> None:
        self._add(found, Effect.LOST)

    # Flow.

    def _flow(self, found: _Found, flow: Flow, target: NDArray[np.uint64] | None = None) -> None:
        self._out.add(found.start, found.end, flow=flow, target=target)

    def _group5(self, found: _Found) -> None:
        """FF: CALL (2, 3), JMP (4, 5) and PUSH (6) of a register or memory."""
        _, reg, _ = self._modrm(found)
        operation = reg & 7
        self._flow(found.where((operation == 2) | (operation == 3)), Flow.CALL)
        self._flow(found.where((operation == 4) | (operation == 5)), Flow.INDIRECT)
        self._add(found.where(operation == 6), Effect.ADD, -self._word)

    def _return(self, found: _Found) -> None:
        self._flow(found, Flow.STOP)

    def _iret(self, found: _Found) -> None:
        """IRET pops five words (in 32-bit mode from the kernel to itself three).

        The kernel also uses it to serialize, with a frame that it pushes itself and that leads
        to the next instruction (iret_to_self in arch/x86/include/asm/sync_core.h), so it may go
        on there.
        """
        words = 5 if self._bits == 64 else 3
        self._out.add(
            found.start, found.end, effect=Effect.ADD, value=words * self._word, flow=Flow.TRAP
        )

    def _trap(self, found: _Found) -> None:
        self._flow(found, Flow.TRAP)

    def _relative(self, found: _Found, distance: NDArray[np.int32]) -> NDArray[np.uint64]:
        length = (found.end - found.start).astype(np.int64)
        target = self._buffer.addresses(found.start) + (length + distance).view(np.uint64)
        return target & np.uint64((1 << self._bits) - 1)

    def _call(self, found: _Found) -> None:
        self._flow(found, Flow.CALL, self._relative(found, self._int32(found.end - 4)))

    def _jump(self, found: _Found) -> None:
        self._flow(found, Flow.JUMP, self._relative(found, self._int32(found.end - 4)))

    def _jump_short(self, found: _Found) -> None:
        self._flow(found, Flow.JUMP, self._relative(found, self._int8(found.end - 1)))

    def _branch(self, found: _Found) -> None:
        self._flow(found, Flow.BRANCH, self._relative(found, self._int32(found.end - 4)))

    def _branch_short(self, found: _Found) -> None:
        self._flow(found, Flow.BRANCH, self._relative(found, self._int8(found.end - 1)))
