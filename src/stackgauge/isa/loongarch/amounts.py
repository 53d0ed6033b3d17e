"""What LoongArch instructions make of numbers; those of 32 bits leave their sign in the rest."""

from __future__ import annotations

from collections.abc import Callable

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.loongarch import encoding as e

Operand = Callable[[int], Amount]


def result(word: int, operand: Operand) -> Amount:
    """What an instruction writes to its destination; ANY for one that is not followed."""
    first, second = word >> 5 & 31, word >> 10 & 31

    def source(register: int) -> Amount:
        return operand(register) if register else known(0)

    if word >> 25 == 0x0A:  # LU12I.W
        return known(_signed(word >> 5, 20) << 12)
    if word >> 25 == 0x0B:  # LU32I.D, whose source is its destination
        old = operand(word & 31).exact
        return ANY if old is None else known(_signed(word >> 5, 20) << 32 | old & 0xFFFFFFFF)
    if word >> 22 in _IMMEDIATE:
        return _IMMEDIATE[word >> 22](source(first), word >> 10 & 0xFFF)
    if word >> 26 == 0x04:  # ADDU16I.D
        return source(first).plus(_signed(word >> 10, 16) << 16)
    if word & 0xFFFF8000 in (e.OR, e.ADD_D):
        if 0 in (first, second):
            return source(first or second)
        one, other = source(first).exact, source(second).exact
        if one is None or other is None:
            return ANY
        return known(one | other if word & 0xFFFF8000 == e.OR else one + other)
    if word & 0xFFFF8000 == e.AND:
        mask = source(second).exact
        if mask is not None:
            return source(first).masked(mask % (1 << 64))
        mask = source(first).exact
        return ANY if mask is None else source(second).masked(mask % (1 << 64))
    if word >> 16 == 0x41:  # SLLI.D
        return source(first).shifted(word >> 10 & 63)
    if word >> 16 == 0x45:  # SRLI.D
        value, by = source(first), word >> 10 & 63
        return Amount(value.least >> by, value.most >> by)
    if word >> 22 == 0x03:  # BSTRPICK.D
        value, low, high = source(first), word >> 10 & 63, word >> 16 & 63
        return Amount(value.least >> low, value.most >> low).low(high - low + 1)
    if word >> 22 in (0xA8, 0xA9):  # LD.BU, LD.HU
        return Amount(0, 0xFF if word >> 22 == 0xA8 else 0xFFFF)
    return ANY


def step(word: int, operand: Operand) -> tuple[int, int] | None:
    """The register and the number whose sum an instruction makes."""
    first, second = word >> 5 & 31, word >> 10 & 31
    if word & 0xFFC00000 == e.ADDI_D:
        return first, _signed(word >> 10, 12)
    if word & 0xFC000000 == e.ADDU16I_D:
        return first, _signed(word >> 10, 16) << 16
    if word & 0xFFFF8000 == e.OR and 0 in (first, second):
        return first or second, 0
    if word & 0xFFFF8000 in (e.ADD_D, e.SUB_D):
        sign = 1 if word & 0xFFFF8000 == e.ADD_D else -1
        number = operand(second).exact
        if number is not None:
            return first, sign * number
        number = operand(first).exact
        if number is not None and sign > 0:
            return second, number
    return None


def _signed(number: int, bits: int) -> int:
    """The two's complement number in the lowest ``bits``."""
    number &= (1 << bits) - 1
    return number - (number >> bits - 1 << bits)


def _or(value: Amount, number: int) -> Amount:
    old = value.exact
    return ANY if old is None else known(old | number)


def _add_32(value: Amount, number: int) -> Amount:
    sum_ = value.plus(_signed(number, 12))
    old = sum_.exact
    if old is not None:
        return known(_signed(old, 32))
    return sum_ if sum_.most < 1 << 31 else ANY


# By the ten highest bits: ADDI.W, ADDI.D, ANDI, ORI, LU52I.D.
_IMMEDIATE: dict[int, Callable[[Amount, int], Amount]] = {
    0x0A: _add_32,
    0x0B: lambda value, number: value.plus(_signed(number, 12)),
    0x0D: lambda value, number: value.masked(number),
    0x0E: _or,
    0x0C: lambda value, number: (
        ANY if value.exact is None else known(number << 52 | value.exact & (1 << 52) - 1)
    ),
}
