"""What A32 instructions make of numbers that are known exactly or within limits.

Source: Arm Architecture Reference Manual (DDI 0406C), A8.8.
"""

from __future__ import annotations

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.arm.encoding import ALWAYS, PC
from stackgauge.isa.straight import Operand

_ALL = (1 << 32) - 1

_AND, _SUB, _ADD, _MOV, _BIC, _MVN = 0, 2, 4, 13, 14, 15


def result(word: int, number: int, operand: Operand) -> Amount:
    """What an instruction writes to its destination, 32 bits without a sign.

    Args:
        word: the instruction, one that writes a register.
        number: the immediate or distance in it.
        operand: what a register holds.

    Returns:
        The amount; ANY for an instruction that is not followed.
    """
    if word >> 28 != ALWAYS:
        return ANY
    if word & 0x0FF00000 == 0x03000000:  # MOVW
        return known(number)
    if word & 0x0FF00000 == 0x03400000:  # MOVT
        old = operand(word >> 12 & 15).exact
        return ANY if old is None else known(old & 0xFFFF | number << 16)
    if word & 0x0FE00070 == 0x07E00050:  # UBFX
        value, low = operand(word & 15), word >> 7 & 31
        return Amount(value.least >> low, value.most >> low).low((word >> 16 & 31) + 1)
    if word & 0x0C500000 == 0x04500000 and word & 0x02000010 != 0x02000010:  # LDRB
        return Amount(0, 0xFF)
    if word & 0x0E1000F0 == 0x001000B0:  # LDRH
        return Amount(0, 0xFFFF)
    if word & 0x0FEF0FF0 == 0x06EF0070:  # UXTB, UXTH without a rotation
        bits = 16 if word >> 20 & 1 else 8
        return operand(word & 15).low(bits)
    if word & 0x0C000000 == 0 and word & 0x02000090 != 0x90:
        return _processed(word, number, operand)
    return ANY


def _processed(word: int, number: int, operand: Operand) -> Amount:
    """Data processing."""
    code, first = word >> 21 & 15, word >> 16 & 15
    if word >> 25 & 1:
        second: Amount = known(number)
    elif word & 0x10:
        return ANY
    else:
        second = shifted(word, operand)
    if code == _MOV:
        return second
    if second.exact is None:
        # Only what has no second operand is known without one.
        return ANY
    value = second.exact
    if code == _MVN:
        return known(~value & _ALL)
    if code not in (_AND, _SUB, _ADD, _BIC) or first == PC:
        return ANY
    old = operand(first)
    if code == _AND:
        return old.masked(value & _ALL)
    if code == _BIC:
        return old.low(32).masked(~value & _ALL)
    total = old.plus(value if code == _ADD else -value)
    return total.low(32) if total.exact is not None or total.most <= _ALL else ANY


def shifted(word: int, operand: Operand) -> Amount:
    """Rm, shifted by an immediate."""
    value, kind, by = operand(word & 15), word >> 5 & 3, word >> 7 & 31
    if kind == 0:
        return value.low(32).shifted(by).low(32)
    if kind == 1 and by:
        value = value.low(32)
        return Amount(value.least >> by, value.most >> by)
    return ANY
