"""What RISC-V instructions of 32 bits make of numbers."""

from __future__ import annotations

from collections.abc import Callable

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.riscv import encoding as e

Operand = Callable[[int], Amount]

_ADD, _SLL, _SRL, _OR, _AND = 0, 1, 5, 6, 7


def result(word: int, operand: Operand) -> Amount:
    """What an instruction writes to its destination; ANY for one that is not followed."""
    code, funct3 = word & 0x7F, word >> 12 & 7
    first, second, top = word >> 15 & 31, word >> 20 & 31, word >> 25
    number = _signed(word >> 20, 12)

    def source(register: int) -> Amount:
        return operand(register) if register else known(0)

    if code == e.LUI:
        return known(_signed(word >> 12, 20) << 12)
    if code == e.OP_IMM:
        return _with_immediate(funct3, source(first), number)
    if code == e.OP_IMM_32 and funct3 == _ADD:
        return _word(source(first).plus(number))
    if code == e.LOAD and funct3 in (4, 5):  # LBU, LHU
        return Amount(0, 0xFF if funct3 == 4 else 0xFFFF)
    if code == e.OP and top == 0:
        return _of_two(funct3, source(first), source(second))
    if code == e.OP_32 and funct3 == _ADD and top == 0 and second == 0:  # SEXT.W by ADDW
        return _word(source(first))
    if code in (e.OP, e.OP_32) and funct3 == 4 and top == 4 and second == 0:  # ZEXT.H
        return source(first).low(16)
    return ANY


def _with_immediate(funct3: int, value: Amount, number: int) -> Amount:
    by = number & 63
    if funct3 == _ADD:
        return value.plus(number)
    if funct3 == _AND:
        return value.masked(number % (1 << 64))
    if funct3 == _SLL and number >> 6 == 0:
        return value.shifted(by)
    if funct3 == _SRL and number >> 6 == 0:
        return Amount(value.least >> by, value.most >> by)
    exact = value.exact
    return known(exact | number) if funct3 == _OR and exact is not None else ANY


def _of_two(funct3: int, one: Amount, other: Amount) -> Amount:
    first, second = one.exact, other.exact
    if funct3 == _ADD:
        if second is not None:
            return one.plus(second)
        return ANY if first is None else other.plus(first)
    if funct3 == _AND:
        if second is not None:
            return one.masked(second % (1 << 64))
        return ANY if first is None else other.masked(first % (1 << 64))
    if funct3 == _OR and first is not None and second is not None:
        return known(first | second)
    return ANY


def step(word: int, operand: Operand) -> tuple[int, int] | None:
    """The register and the number whose sum an instruction makes."""
    first, second = word >> 15 & 31, word >> 20 & 31
    if word & 0x707F == e.OP_IMM:
        return first, _signed(word >> 20, 12)
    if word & 0xBE00707F == e.OP:  # ADD, SUB
        number = operand(second).exact
        if number is not None:
            return first, -number if word >> 30 & 1 else number
        number = operand(first).exact
        if number is not None and not word >> 30 & 1:
            return second, number
    return None


def _word(value: Amount) -> Amount:
    """The lowest 32 bits with their sign carried on."""
    exact = value.exact
    if exact is not None:
        return known(_signed(exact, 32))
    return value if value.most < 1 << 31 else ANY


def _signed(number: int, bits: int) -> int:
    """The two's complement number in the lowest ``bits``."""
    number &= (1 << bits) - 1
    return number - (number >> bits - 1 << bits)
