"""Which bytes of a frame a location expression speaks of (DWARF 5, sections 2.5 and 2.6).

No program runs, so values are symbolic: a distance from the CFA, a plain number, or not known.
That is enough to tell where on the stack a variable lies, and from which slots of the stack one
that lies nowhere is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stackgauge.image.dwarf_cursor import BrokenError, Cursor

OP_CALL_FRAME_CFA = 0x9C
OP_REG0 = 0x50

# Expressions of compilers have some ten operations.
_MOST_OPERATIONS = 4096
_DEEPEST_STACK = 256


class Place(NamedTuple):
    """Bytes of the frame.

    Attributes:
        offset: from the CFA, negative inside the frame.
        size: how many; None where the variable's type says it.
        home: whether the variable, or that part of it, lies here, so that it can be changed here;
            else its value is computed from what was saved here.
    """

    offset: int
    size: int | None
    home: bool


class _Known(NamedTuple):
    """A value: a distance from the CFA, or a plain number."""

    framed: bool
    number: int


# Operations with LEB128 operands alone, how many, whose result is not known: addrx, constx, their
# GNU forerunners, regval_type.
_LEBS = {0xA1: 1, 0xA2: 1, 0xFB: 1, 0xFC: 1, 0xA5: 2, 0xF5: 2}
# Operations that take so many values and leave one that is not known.
_UNARY = (0x19, 0x1F, 0x20)
_BINARY = (0x1B, 0x1D, 0x1E, 0x21, 0x24, 0x25, 0x26, 0x27, *range(0x29, 0x2F))

Register = Callable[[int], int | None]


class Evaluator:
    """Evaluates expressions of one place in the code."""

    def __init__(self, order: str, width: int, frame_base: int | None, register: Register) -> None:
        """Set what expressions refer to.

        Args:
            order: NumPy's byte-order character.
            width: bytes of an address.
            frame_base: what DW_OP_fbreg counts from, as a distance from the CFA; None: not known.
            register: the same for a register by its DWARF number.
        """
        self._order, self._width = order, width
        self._base, self._register = frame_base, register

    def places(self, expression: bytes) -> list[Place]:
        """The bytes of the frame that an expression speaks of.

        An operation that is not known, or a jump, ends what can be told.
        """
        run = _Run(self._order, self._width, self._base, self._register)
        try:
            run.all(expression)
        except BrokenError:
            return run.found
        return run.found

    def address(self, expression: bytes) -> int | None:
        """The distance from the CFA that an expression computes, as a frame's base does."""
        # "the frame base is the register" is what LLVM means by its location (section 3.3.5).
        if len(expression) == 1 and OP_REG0 <= expression[0] < OP_REG0 + 32:
            return self._register(expression[0] - OP_REG0)
        run = _Run(self._order, self._width, None, self._register)
        try:
            run.operations(expression)
        except BrokenError:
            return None
        top = run.stack[-1] if run.stack else None
        return top.number if top and top.framed else None


class _Run:
    """One evaluation."""

    def __init__(self, order: str, width: int, frame_base: int | None, register: Register) -> None:
        self._order, self._width = order, width
        self._base, self._register = frame_base, register
        self.stack: list[_Known | None] = []
        self.found: list[Place] = []
        # Whether what the stack holds is the variable's address, and not its value.
        self._memory = True
        self._pieces = False

    def all(self, expression: bytes) -> None:
        """Evaluate an expression that is a location."""
        self.operations(expression)
        if not self._pieces:
            self._locate(None)

    def operations(self, expression: bytes) -> None:
        """Evaluate, operation by operation; a loop over the few of one expression."""
        read = Cursor(expression, 0, len(expression), self._order)
        count = 0
        while read.more:
            count += 1
            if count > _MOST_OPERATIONS or len(self.stack) > _DEEPEST_STACK:
                raise BrokenError
            self._step(read.byte(), read)

    def _locate(self, size: int | None) -> None:
        """Note where the variable, or a piece of ``size`` bytes, lies."""
        top = self.stack.pop() if self.stack else None
        if self._memory and top and top.framed:
            self.found.append(Place(top.number, size, home=True))
        self._memory = True

    def _pop(self, count: int = 1) -> list[_Known | None]:
        if len(self.stack) < count:
            raise BrokenError
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _framed(self, base: int | None, offset: int) -> None:
        self.stack.append(None if base is None else _Known(framed=True, number=base + offset))

    def _step(self, op: int, read: Cursor) -> None:
        stack = self.stack
        if op == 0x91:  # fbreg
            self._framed(self._base, read.leb(signed=True))
        elif 0x70 <= op < 0x90:  # breg0 to breg31
            self._framed(self._register(op - 0x70), read.leb(signed=True))
        elif op == 0x92:  # bregx
            self._framed(self._register(read.leb()), read.leb(signed=True))
        elif op == OP_CALL_FRAME_CFA:
            self._framed(0, 0)
        elif op in (0x9F, 0xF0):  # stack_value; GNU_uninit says nothing of the place
            self._memory = op == 0xF0 and self._memory
        elif op == 0x93:  # piece
            self._pieces = True
            self._locate(read.leb())
        elif op == 0x9D:  # bit_piece
            self._pieces = True
            bits, _ = read.leb(), read.leb()
            self._locate(-(-bits // 8))
        elif OP_REG0 <= op < 0x70 or op == 0x90:  # in a register
            read.leb() if op == 0x90 else None
            stack.append(None)
        else:
            self._compute(op, read)

    def _compute(self, op: int, read: Cursor) -> None:
        """Operations on the stack of values."""
        stack = self.stack
        if 0x30 <= op < 0x50:  # lit0 to lit31
            stack.append(_Known(framed=False, number=op - 0x30))
        elif 0x08 <= op <= 0x0F:  # const1u to const8s
            number = read.number(1 << (op - 0x08 >> 1), signed=bool(op & 1))
            stack.append(_Known(framed=False, number=number))
        elif op in (0x10, 0x11):  # constu, consts
            stack.append(_Known(framed=False, number=read.leb(signed=op == 0x11)))
        elif op == 0x23:  # plus_uconst
            stack.append(_added(self._pop()[0], _Known(framed=False, number=read.leb())))
        elif op in (0x22, 0x1C, 0x1A):  # plus, minus, and
            one, two = self._pop(2)
            stack.append({0x22: _added, 0x1C: _less, 0x1A: _aligned}[op](one, two))
        elif op in (0x06, 0x94, 0xA6, 0xF6):  # deref, deref_size, deref_type
            size = self._width if op == 0x06 else read.byte()
            if op in (0xA6, 0xF6):
                read.leb()
            self._load(size)
        elif op in (0x12, 0x14, 0x15):  # dup, over, pick
            index = {0x12: 0, 0x14: 1}.get(op)
            index = read.byte() if index is None else index
            if index >= len(stack):
                raise BrokenError
            stack.append(stack[-1 - index])
        elif op in (0x13, 0x16, 0x17):  # drop, swap, rot
            taken = self._pop({0x13: 1, 0x16: 2, 0x17: 3}[op])
            stack += taken[-1:] + taken[:-1] if op != 0x13 else []
        elif op in _UNARY or op in _BINARY:
            self._pop(1 if op in _UNARY else 2)
            stack.append(None)
        else:
            self._skip(op, read)

    def _load(self, size: int) -> None:
        top = self._pop()[0]
        if top and top.framed and size:
            self.found.append(Place(top.number, size, home=False))
        self.stack.append(None)

    def _skip(self, op: int, read: Cursor) -> None:
        """Operations whose result does not lie on the stack, or is not known."""
        if op == 0x96:  # nop
            return
        if op == 0x03:  # addr
            read.skip(self._width)
        elif op in (0x9E, 0xA3, 0xF3):  # implicit_value, entry_value
            read.block()
        elif op in (0xA0, 0xF2):  # implicit_pointer: to what the compiler left out
            read.skip(4)
            read.leb()
        elif op in (0xA4, 0xF4):  # const_type
            read.leb()
            read.skip(read.byte())
        elif op in (0xA8, 0xA9, 0xF7, 0xF9):  # convert, reinterpret: of the value that is there
            read.leb()
            self._pop()
        elif op == 0xFA:  # GNU_parameter_ref
            read.skip(4)
        elif op in _LEBS:
            for _ in range(_LEBS[op]):
                read.leb()
        else:  # jumps, calls, and whatever is not known
            raise BrokenError
        self.stack.append(None)
        if op in (0x9E, 0xA0, 0xF2):
            self._memory = False


def _added(one: _Known | None, two: _Known | None) -> _Known | None:
    if one is None or two is None or (one.framed and two.framed):
        return None
    return _Known(one.framed or two.framed, one.number + two.number)


def _less(one: _Known | None, two: _Known | None) -> _Known | None:
    if one is None or two is None or (two.framed and not one.framed):
        return None
    return _Known(one.framed and not two.framed, one.number - two.number)


def _aligned(one: _Known | None, two: _Known | None) -> _Known | None:
    """An address rounded down, as code that aligns its stack does it.

    A frame is laid out here as if nothing were lost by that; what can be is told apart.
    """
    if one is None or two is None:
        return None
    if one.framed and not two.framed and two.number < 0 and not -two.number & (-two.number - 1):
        return one
    return _Known(framed=False, number=one.number & two.number) if not one.framed else None
