"""What A64 instructions make of numbers that are known exactly or within limits."""

from __future__ import annotations

from collections.abc import Callable

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.arm64.encoding import bitmask_immediate


def extended(value: Amount, word: int) -> Amount:
    """Rm of an instruction with an extended register (``ExtendReg``, Arm ARM J1.3)."""
    option, shift = word >> 13 & 7, word >> 10 & 7
    bits = 8 << (option & 3)
    value = value.low(bits)
    if option & 4 and bits < 64 and value.most >> bits - 1:
        if value.exact is None:
            return ANY
        value = known(value.exact - (1 << bits))
    return value.shifted(shift)


def result(word: int, operand: Callable[[int], Amount]) -> Amount:
    """What an instruction writes to its destination.

    Args:
        word: the instruction.
        operand: what the register holds whose number stands at that bit of the instruction.

    Returns:
        The amount; ANY for an instruction that is not followed.
    """
    bits = 64 if word >> 31 else 32

    def source(low: int) -> Amount:
        return operand(low).low(bits)

    kind = word & 0x7F800000
    immediate, at = word >> 5 & 0xFFFF, 16 * (word >> 21 & 3)
    if kind == 0x52800000:  # MOVZ
        return known(immediate << at)
    if kind == 0x12800000:  # MOVN
        return known(~(immediate << at)).low(bits)
    if kind == 0x72800000:  # MOVK
        old = source(0).exact
        return ANY if old is None else known(old & ~(0xFFFF << at) | immediate << at).low(bits)
    if kind in (0x12000000, 0x32000000, 0x72000000):  # AND, ORR, ANDS with an immediate
        mask = bitmask_immediate(word)
        if mask is None:
            return ANY
        if kind != 0x32000000:
            return source(5).masked(mask)
        old = 0 if word >> 5 & 31 == 31 else source(5).exact
        return ANY if old is None else known(old | mask).low(bits)
    if kind & 0x1F800000 == 0x11000000 and word >> 5 & 31 != 31:  # ADD, SUB; not from SP
        number = (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
        return source(5).plus(-number if word >> 30 & 1 else number).low(bits)
    if word & 0x7FE0FFE0 == 0x2A0003E0:  # MOV between registers
        return source(16)
    if kind == 0x53000000:  # UBFM: LSL, LSR, UBFX, UBFIZ, UXTB, UXTH
        return _bit_field(source(5), word >> 16 & 63, word >> 10 & 63, bits)
    if word & 0xBEC00000 == 0x38400000:  # LDRB, LDRH
        return Amount(0, (1 << (16 if word >> 30 & 1 else 8)) - 1)
    return ANY


def _bit_field(value: Amount, rotation: int, last: int, bits: int) -> Amount:
    """UBFM: the bits from ``rotation`` to ``last``, or those to ``last`` shifted left."""
    if last < rotation:
        return value.low(last + 1).shifted(bits - rotation)
    return Amount(value.least >> rotation, value.most >> rotation).low(last - rotation + 1)
