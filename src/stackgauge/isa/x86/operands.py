"""What x86-64 instructions do with registers and memory.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2
("Instruction Format") and each instruction's page.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes
from stackgauge.isa.model import Code, Flow, Ranges
from stackgauge.isa.operands import NO_REGISTER, Convention, Op, Operands, joined_operands
from stackgauge.isa.x86.changes import RSP, changed_registers
from stackgauge.isa.x86.effects import Writes
from stackgauge.isa.x86.fields import Fields, read_fields
from stackgauge.isa.x86.lengths import TAIL, instruction_lengths
from stackgauge.isa.x86.starts import instruction_starts

Rows = NDArray[np.intp]


def _flows() -> NDArray[np.uint8]:
    """Flow of one- and two-byte opcodes, (2, 256); a group's is told by ModRM."""
    flows = np.zeros((2, 256), np.uint8)
    flows[0, [*range(0x70, 0x80), *range(0xE0, 0xE4)]] = Flow.BRANCH
    flows[1, 0x80:0x90] = Flow.BRANCH
    flows[0, 0xE8], flows[0, [0xE9, 0xEB]] = Flow.CALL, Flow.JUMP
    # INT3 stands where nothing is meant to come (-mharden-sls).
    flows[0, [0xC2, 0xC3, 0xCA, 0xCB, 0xCC]] = flows[1, [0x07, 0x35]] = Flow.STOP
    flows[0, 0xCF] = flows[1, [0x0B, 0xB9, 0xFF]] = Flow.TRAP
    return flows


_FLOWS = _flows()

# Bytes of code that are read at a time.
_PART = 1 << 20


def read_operands(code: Code, ranges: Ranges) -> Operands:
    """Every instruction of x86-64 code.

    Args:
        code: one section.
        ranges: the stretches of it to read; each begins with an instruction.
    """
    part = np.cumsum((ranges.end - ranges.start).astype(np.int64)) // _PART
    cuts = np.flatnonzero(np.diff(part, prepend=-1, append=-1)).tolist()
    # A loop over parts of the code, so that what is made of each stays in the cache.
    parts = [
        _read_part(code, Ranges(ranges.start[a:b], ranges.end[a:b])) for a, b in pairwise(cuts)
    ]
    return joined_operands(parts or [_read_part(code, ranges)])


def _read_part(code: Code, ranges: Ranges) -> Operands:
    size = (ranges.end - ranges.start).astype(np.int64)
    offset = (ranges.start - np.uint64(code.address)).astype(np.int64)
    # A loop over functions: slices are one memcpy each, an index array eight times the bytes.
    pieces = zip(offset.tolist(), (offset + size).tolist(), strict=True)
    data = np.concatenate([*(code.data[a:b] for a, b in pieces), np.zeros(TAIL, np.uint8)])
    begin = np.cumsum(size) - size
    lengths = instruction_lengths(data, 64)
    at = np.flatnonzero(instruction_starts(lengths, begin, begin + size))
    many = np.diff(np.searchsorted(at, begin), append=len(at))
    start = (at + np.repeat(offset - begin, many)).astype(np.uint64) + np.uint64(code.address)
    return _Decoder(data, read_fields(data, at, lengths[at]), start).operands()


class _Decoder:
    """Columns of all instructions, filled in kind by kind."""

    def __init__(self, data: Bytes, fields: Fields, start: NDArray[np.uint64]) -> None:
        count = len(start)
        self._data, self._fields, self._start = data, fields, start
        self._end = start + (fields.end - fields.at).astype(np.uint64)
        self._op, self._flow = np.zeros((2, count), np.uint8)
        self._target, self._base, self._source = np.full((3, count), NO_REGISTER, np.int8)
        self._indexed = np.zeros(count, bool)
        self._disp, self._value = np.zeros(count, np.int64), np.zeros(count, np.int32)

    def operands(self) -> Operands:
        fields = self._fields
        in_memory = fields.memory & fields.wide
        for opcode, op in (
            (0x8B, Op.LOAD),
            (0x8D, Op.ADDRESS),
            (0x89, Op.STORE),
            (0xC7, Op.STORE_CONSTANT),
        ):
            self._address(np.flatnonzero(fields.ones(opcode) & in_memory), op)
        self._flows()
        self._changes()
        self._copies()
        self._constants()
        self._sums()
        return Operands(
            self._start, self._op, self._target, self._base, self._source, self._value,
            self._indexed, self._disp, changed_registers(fields).astype(np.uint64), self._flow,
        )  # fmt: skip

    def _numbers(self, at: Rows, size: int) -> NDArray[np.int64]:
        kind = np.dtype(f"<i{size}")
        view = np.ndarray(len(self._data) - size + 1, kind, self._data.data, 0, (1,))
        return view[at].astype(np.int64)

    def _address(self, rows: Rows, op: Op) -> None:
        """An operand in memory: base, index and displacement (tables 2-2 and 2-3)."""
        fields = self._fields
        mod, rm, opcode, rex = (
            column[rows] for column in (fields.mod, fields.rm, fields.opcode, fields.rex)
        )
        has_sib = rm & 7 == 4
        sib = np.where(has_sib, self._data[opcode + 2], 0)
        base = np.where(has_sib, (sib & 7) + ((rex & 1) << 3), rm).astype(np.int8)
        index = (sib >> 3 & 7) + ((rex & 2) << 2)
        none = (mod == 0) & (base & 7 == 5)
        at = opcode + 2 + has_sib
        disp = np.zeros(len(rows), np.int64)
        near, far = np.flatnonzero(mod == 1), np.flatnonzero((mod == 2) | none)
        disp[near], disp[far] = self._numbers(at[near], 1), self._numbers(at[far], 4)
        relative = none & ~has_sib
        disp[relative] += self._end[rows[relative]].view(np.int64)
        self._base[rows] = np.where(none, NO_REGISTER, base)
        self._disp[rows] = disp
        self._indexed[rows] = has_sib & (index != 4)
        self._op[rows] = op
        if op in (Op.LOAD, Op.ADDRESS):
            self._target[rows] = fields.reg[rows]
        elif op == Op.STORE:
            self._source[rows] = fields.reg[rows]
        elif op == Op.STORE_CONSTANT:
            self._value[rows] = self._numbers(fields.end[rows] - 4, 4)

    def _flows(self) -> None:
        fields, flow = self._fields, self._flow
        told = np.flatnonzero((fields.map < 2) & ~fields.vector)
        flow[told] = _FLOWS[fields.map[told], fields.byte[told]]
        group5 = fields.ones(0xFF)
        calls, jumps = group5 & (fields.group == 2), group5 & (fields.group == 4)
        flow[calls], flow[jumps] = Flow.CALL, Flow.INDIRECT
        self._address(np.flatnonzero((calls | jumps) & fields.memory), Op.GO_LOADED)
        rows = np.flatnonzero((calls | jumps) & ~fields.memory)
        self._op[rows], self._base[rows] = Op.GO, fields.rm[rows]
        moves = (flow == Flow.CALL) | (flow == Flow.JUMP) | (flow == Flow.BRANCH)
        rows = np.flatnonzero(moves & ~group5)
        self._op[rows] = Op.GO
        short = (fields.map[rows] == 0) & (fields.byte[rows] & 0xFE != 0xE8)
        self._disp[rows] = self._end[rows].view(np.int64)
        for some, size in ((rows[short], 1), (rows[~short], 4)):
            self._disp[some] += self._numbers(fields.end[some] - size, size)

    def _changes(self) -> None:
        """Instructions that write to the stack otherwise."""
        fields = self._fields
        writes = (fields.writes & Writes.RM != 0) & fields.memory & (self._op == Op.OTHER)
        rows = np.flatnonzero(writes & (fields.rm == RSP))
        self._address(rows[self._data[fields.opcode[rows] + 2] & 7 == RSP], Op.CHANGE)

    def _copies(self) -> None:
        fields = self._fields
        between = fields.wide & ~fields.memory
        for opcode, target, base in ((0x89, fields.rm, fields.reg), (0x8B, fields.reg, fields.rm)):
            rows = np.flatnonzero(fields.ones(opcode) & between)
            self._op[rows] = Op.COPY
            self._target[rows], self._base[rows] = target[rows], base[rows]
        rows = np.flatnonzero(fields.twos(*range(0x40, 0x50)) & between)
        self._op[rows] = Op.SELECT
        self._target[rows] = self._base[rows] = fields.reg[rows]
        self._source[rows] = fields.rm[rows]
        # ``add %gs:this_cpu_off`` makes of a per-CPU variable's address that of this CPU's own;
        # an addition from __per_cpu_offset, that of another's.
        added = fields.ones(0x03) & fields.wide & (fields.mod == 0)
        rows = np.flatnonzero(added)
        low, sib = fields.rm[rows] & 7, self._data[fields.opcode[rows] + 2]
        own = (low == 5) | (low == 4) & (sib == 0x25)
        other = (low == 4) & (sib & 0xC7 == 0xC5)
        rows = rows[own & fields.gs[rows] | other]
        self._op[rows] = Op.COPY
        self._target[rows] = self._base[rows] = fields.reg[rows]

    def _constants(self) -> None:
        fields = self._fields
        moved = np.flatnonzero(fields.ones(*range(0xB8, 0xC0)) & ~fields.narrow)
        self._target[moved] = (fields.byte[moved] & 7) + ((fields.rex[moved] & 1) << 3)
        long = fields.wide[moved]
        self._disp[moved[long]] = self._numbers(fields.end[moved[long]] - 8, 8)
        self._disp[moved[~long]] = self._numbers(fields.end[moved[~long]] - 4, 4) & 0xFFFF_FFFF
        signed = np.flatnonzero(fields.ones(0xC7) & ~fields.memory & fields.wide)
        self._target[signed] = fields.rm[signed]
        self._disp[signed] = self._numbers(fields.end[signed] - 4, 4)
        same = ~fields.memory & ~fields.narrow & (fields.reg == fields.rm)
        zero = np.flatnonzero(fields.ones(0x31, 0x33) & same)
        self._target[zero] = fields.rm[zero]
        for rows in (moved, signed, zero):
            self._op[rows] = Op.ADDRESS

    def _sums(self) -> None:
        """ADD and SUB of numbers: addresses inside the same object."""
        fields, byte, group = self._fields, self._fields.byte, self._fields.group
        fits = fields.wide & ~fields.memory
        rows = np.flatnonzero(fits & fields.ones(0x81, 0x83) & ((group == 0) | (group == 5)))
        at = fields.end[rows]
        amount = np.where(byte[rows] == 0x83, self._numbers(at - 1, 1), self._numbers(at - 4, 4))
        self._add(rows, fields.rm[rows], np.where(group[rows] == 5, -amount, amount))
        rows = np.flatnonzero(fields.wide & fields.ones(0x05, 0x2D))
        amount = self._numbers(fields.end[rows] - 4, 4)
        self._add(rows, np.zeros(len(rows), np.int8), np.where(byte[rows] == 0x2D, -amount, amount))
        rows = np.flatnonzero(fits & fields.ones(0xFF) & (group < 2))
        self._add(rows, fields.rm[rows], np.where(group[rows] == 0, 1, -1))

    def _add(self, rows: Rows, register: NDArray[np.int8], amount: NDArray[np.int64]) -> None:
        self._op[rows] = Op.ADDRESS
        self._target[rows] = self._base[rows] = register
        self._disp[rows] = amount


_NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")

# System V ABI, AMD64 supplement: figures 3.4 (registers) and 3.36 (their numbers in DWARF).
X86_64_CALLS = Convention(
    read=read_operands,
    arguments=(7, 6, 2, 1, 8, 9),
    result=0,
    stack=RSP,
    frame=5,
    width=8,
    names=(*_NAMES, *(f"r{number}" for number in range(8, 16))),
    dwarf=(0, 2, 1, 3, 7, 6, 4, 5, *range(8, 16)),
)
