"""What A64 instructions do with registers and memory.

Source: Arm Architecture Reference Manual for A-profile architecture (DDI 0487), C4 ("A64
Instruction Set Encoding") and, for each instruction, C6.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64.encoding import FRAME_POINTER, SP, Words, field, matches, signed_field
from stackgauge.isa.arm64.writes import written_registers
from stackgauge.isa.model import Code, Flow, Ranges
from stackgauge.isa.operands import NO_REGISTER, Convention, Op, Operands, joined_operands
from stackgauge.isa.words import text_of

Rows = NDArray[np.intp]
Numbers = NDArray[np.int64]

ZERO = 31

# Words that are read at a time, so that what is made of them stays in the cache.
_PART = 1 << 16


class _Form(NamedTuple):
    """A form of instruction: its fixed bits, and its offset: field, width, and what that scales.

    An offset of no bits is 0.
    """

    mask: int
    value: int
    op: Op
    low: int = 0
    bits: int = 0
    scale: int = 1
    signed: bool = False
    indexed: bool = False
    pair: bool = False


# Loads and stores of 64 bits (C4.1.94): unsigned offset, unscaled, after it, before it, with a
# register; pairs, the same; acquire and release.
_MEMORY = (
    _Form(0xFFC00000, 0xF9400000, Op.LOAD, 10, 12, 8),
    _Form(0xFFE00C00, 0xF8400000, Op.LOAD, 12, 9, signed=True),
    _Form(0xFFE00C00, 0xF8400400, Op.LOAD),
    _Form(0xFFE00C00, 0xF8400C00, Op.LOAD, 12, 9, signed=True),
    _Form(0xFFE00C00, 0xF8600800, Op.LOAD, indexed=True),
    _Form(0xFFC00000, 0xA9400000, Op.LOAD, 15, 7, 8, signed=True, pair=True),
    _Form(0xFFC00000, 0xA8C00000, Op.LOAD, pair=True),
    _Form(0xFFC00000, 0xA9C00000, Op.LOAD, 15, 7, 8, signed=True, pair=True),
    _Form(0xFFFFFC00, 0xC8DFFC00, Op.LOAD),
    _Form(0xFFFFFC00, 0xF8BFC000, Op.LOAD),
    _Form(0xFFC00000, 0xF9000000, Op.STORE, 10, 12, 8),
    _Form(0xFFE00C00, 0xF8000000, Op.STORE, 12, 9, signed=True),
    _Form(0xFFE00C00, 0xF8000400, Op.STORE),
    _Form(0xFFE00C00, 0xF8000C00, Op.STORE, 12, 9, signed=True),
    _Form(0xFFE00C00, 0xF8200800, Op.STORE, indexed=True),
    _Form(0xFFC00000, 0xA9000000, Op.STORE, 15, 7, 8, signed=True, pair=True),
    _Form(0xFFC00000, 0xA8800000, Op.STORE, pair=True),
    _Form(0xFFC00000, 0xA9800000, Op.STORE, 15, 7, 8, signed=True, pair=True),
    _Form(0xFFFFFC00, 0xC89FFC00, Op.STORE),
)
# Other stores to the stack (C4.1.94): of less, of more, exclusive, atomic.
_CHANGES = ((0x3B400000, 0x28000000), (0x3B000000, 0x39000000), (0x3B000000, 0x38000000))

_FLOWS = (
    (0xFC000000, 0x94000000, Flow.CALL),
    (0xFC000000, 0x14000000, Flow.JUMP),
    (0xFF000000, 0x54000000, Flow.BRANCH),
    (0x7C000000, 0x34000000, Flow.BRANCH),
    (0xFFFFFC1F, 0xD63F0000, Flow.CALL),
    (0xFFFFFC1F, 0xD61F0000, Flow.INDIRECT),
    (0xFFFFFC1F, 0xD65F0000, Flow.STOP),
    (0xFFFFFFFF, 0xD69F03E0, Flow.STOP),
    (0xFFE0001F, 0xD4200000, Flow.TRAP),
)


def read_operands(code: Code, ranges: Ranges) -> Operands:
    """Every instruction of A64 code; one that loads or stores two registers is two rows.

    The second of them has the address of the instruction's middle.

    Args:
        code: one section.
        ranges: the stretches of it to read.
    """
    text = text_of(code, ranges)
    at = np.flatnonzero(text.inside())
    # A loop over parts of the code.
    parts = [
        _Decoder(text.words[part].astype(np.uint32), text.addresses(part)).operands()
        for part in (at[low : low + _PART] for low in range(0, max(len(at), 1), _PART))
    ]
    return joined_operands(parts)


class _Decoder:
    """Columns of some instructions, filled in kind by kind."""

    def __init__(self, words: Words, start: NDArray[np.uint64]) -> None:
        count = len(words)
        self._words, self._start = words, start
        self._op, self._flow = np.zeros((2, count), np.uint8)
        self._target, self._base, self._source = np.full((3, count), NO_REGISTER, np.int8)
        self._indexed, self._pair = np.zeros((2, count), bool)
        self._disp = np.zeros(count, np.int64)

    def operands(self) -> Operands:
        words = self._words
        self._memory()
        self._addresses()
        self._moves()
        self._flows()
        count = len(words)
        whole = Operands(
            self._start, self._op, self._target, self._base,
            self._source, np.zeros(count, np.int32), self._indexed, self._disp,
            written_registers(words).astype(np.uint64), self._flow,
        )  # fmt: skip
        return self._with_pairs(whole)

    def _rows(self, mask: int, value: int) -> Rows:
        return np.flatnonzero(matches(self._words, mask, value))

    def _register(self, rows: Rows, low: int) -> NDArray[np.int8]:
        return field(self._words[rows], low, 5).astype(np.int8)

    def _memory(self) -> None:
        for mask, value in _CHANGES:
            rows = self._rows(mask, value)
            rows = rows[self._register(rows, 5) == SP]
            self._op[rows], self._base[rows] = Op.CHANGE, SP
            # Where exactly is not told: none of the places above is followed.
            self._indexed[rows] = True
        for form in _MEMORY:
            rows = self._rows(form.mask, form.value)
            self._op[rows] = form.op
            self._base[rows] = self._register(rows, 5)
            which = self._target if form.op == Op.LOAD else self._source
            which[rows] = self._register(rows, 0)
            self._pair[rows], self._indexed[rows] = form.pair, form.indexed
            if form.bits:
                read = signed_field if form.signed else field
                offset = read(self._words[rows], form.low, form.bits).astype(np.int64)
                self._disp[rows] = offset * form.scale
        literal = self._rows(0xFF000000, 0x58000000)
        self._op[literal], self._target[literal] = Op.LOAD, self._register(literal, 0)
        self._disp[literal] = self._relative(literal, signed_field(self._words[literal], 5, 19) * 4)
        # The zero register takes nothing, and gives 0.
        self._target[(self._op == Op.LOAD) & (self._target == ZERO)] = NO_REGISTER
        zero = np.flatnonzero((self._op == Op.STORE) & (self._source == ZERO) & ~self._pair)
        self._op[zero], self._source[zero] = Op.STORE_CONSTANT, NO_REGISTER

    def _relative(self, rows: Rows, distance: Numbers) -> Numbers:
        return self._start[rows].view(np.int64) + distance

    def _addresses(self) -> None:
        for value, sign in ((0x91000000, 1), (0xD1000000, -1)):
            rows = self._rows(0xFF800000, value)
            words = self._words[rows]
            amount = field(words, 10, 12).astype(np.int64) << (12 * field(words, 22, 1))
            self._op[rows], self._disp[rows] = Op.ADDRESS, sign * amount
            self._target[rows], self._base[rows] = self._register(rows, 0), self._register(rows, 5)
        for value, op in ((0x10000000, Op.ADDRESS), (0x90000000, Op.PAGE)):
            rows = self._rows(0x9F000000, value)
            words = self._words[rows]
            distance = signed_field(words, 5, 19) << 2 | field(words, 29, 2).astype(np.int64)
            self._op[rows], self._target[rows] = op, self._register(rows, 0)
            start = self._start[rows].view(np.int64)
            page = (start & ~0xFFF) + (distance << 12)
            self._disp[rows] = page if op == Op.PAGE else start + distance

    def _moves(self) -> None:
        rows = self._rows(0xFFE0FFE0, 0xAA0003E0)  # ORR with the zero register
        self._op[rows], self._target[rows] = Op.COPY, self._register(rows, 0)
        self._base[rows] = self._register(rows, 16)
        rows = self._rows(0xFFE00C00, 0x9A800000)  # CSEL
        self._op[rows], self._target[rows] = Op.SELECT, self._register(rows, 0)
        self._base[rows], self._source[rows] = self._register(rows, 5), self._register(rows, 16)
        # Where one of the two is zero, the other is all that can be an address.
        one, other = self._base[rows] == ZERO, self._source[rows] == ZERO
        self._base[rows[one]] = self._source[rows[one]]
        self._op[rows[one | other]] = Op.COPY
        zero = np.flatnonzero((self._op == Op.COPY) & (self._base == ZERO))
        self._op[zero], self._base[zero] = Op.ADDRESS, NO_REGISTER
        for mask, value in ((0x7F800000, 0x52800000), (0xFF800000, 0x92800000)):
            rows = self._rows(mask, value)  # MOVZ; MOVN of 64 bits
            words = self._words[rows]
            shift = 16 * field(words, 21, 2).astype(np.uint64)
            number = (field(words, 5, 16).astype(np.uint64) << shift).view(np.int64)
            self._op[rows], self._target[rows] = Op.ADDRESS, self._register(rows, 0)
            self._disp[rows] = ~number if value == 0x92800000 else number

    def _flows(self) -> None:
        for mask, value, flow in _FLOWS:
            self._flow[self._rows(mask, value)] = flow
        for mask, value, low, bits in (
            (0x7C000000, 0x14000000, 0, 26),
            (0xFF000000, 0x54000000, 5, 19),
            (0x7E000000, 0x34000000, 5, 19),
            (0x7E000000, 0x36000000, 5, 14),
        ):
            rows = self._rows(mask, value)
            self._op[rows] = Op.GO
            distance = signed_field(self._words[rows], low, bits) * 4
            self._disp[rows] = self._relative(rows, distance)
        for value in (0xD63F0000, 0xD61F0000):
            rows = self._rows(0xFFFFFC1F, value)
            self._op[rows], self._base[rows] = Op.GO, self._register(rows, 5)

    def _with_pairs(self, whole: Operands) -> Operands:
        """Each pair as two rows, the second of the register and the word after the first's."""
        count = len(whole)
        pairs = np.flatnonzero(self._pair)
        row = np.repeat(np.arange(count), 1 + self._pair)
        second = np.zeros(len(row), bool)
        second[pairs + np.arange(1, len(pairs) + 1)] = True
        columns = {name: getattr(whole, name)[row] for name in Operands.__dataclass_fields__}
        rows = np.flatnonzero(second)
        other = self._register(pairs, 10)
        loads = columns["op"][rows] == Op.LOAD
        columns["start"][rows] += np.uint64(2)
        columns["disp"][rows] += 8
        columns["target"][rows] = np.where(loads & (other != ZERO), other, NO_REGISTER)
        columns["source"][rows] = np.where(loads, NO_REGISTER, other)
        # Each half writes its own register.
        bit = np.uint64(1) << other.astype(np.uint64)
        bit = np.where(loads & (other != ZERO), bit, np.uint64(0))
        columns["writes"][rows - 1] &= ~bit
        columns["writes"][rows] = bit
        # Both halves happen at once: what the first one writes, the second one does not read yet.
        same = rows[loads & (columns["target"][rows - 1] == columns["base"][rows])]
        columns["op"][same], columns["target"][same] = Op.OTHER, NO_REGISTER
        zero = np.flatnonzero((columns["op"] == Op.STORE) & (columns["source"] == ZERO))
        columns["op"][zero], columns["source"][zero] = Op.STORE_CONSTANT, NO_REGISTER
        return Operands(**columns)


# AAPCS64, 6.1.1 and 6.8.2; registers have the same numbers in DWARF (AADWARF64, 4.1).
ARM64_CALLS = Convention(
    read=read_operands,
    arguments=tuple(range(8)),
    result=0,
    stack=SP,
    frame=FRAME_POINTER,
    width=8,
    names=(*(f"x{number}" for number in range(31)), "sp"),
    dwarf=tuple(range(32)),
)
