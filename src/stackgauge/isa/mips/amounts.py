"""What MIPS instructions make of numbers and of registers.

A number of 32 bits has its sign in the upper half, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.followed import Copies
from stackgauge.isa.mips import encoding as e
from stackgauge.isa.mips.encoding import Dialect, Words
from stackgauge.isa.words import Indices


def copies_of(dialect: Dialect, at: Indices, words: Words) -> Copies:
    """The instructions that set a register to another one and a number."""
    code, first, second = e.op(words), e.rs(words), e.rt(words)
    adds = (code == 9) | (code == 25)
    if dialect is not Dialect.RELEASE_6:
        adds |= (code == 8) | (code == 24)
    adds &= (first != 0) & (second != 0)
    function = e.field(words, 0, 6)
    moves = (code == e.SPECIAL) & np.isin(function, e.SUMS) & ((first == 0) ^ (second == 0))
    moves &= (e.rd(words) != 0) & (e.field(words, 6, 5) == 0)
    into = np.where(adds, second, e.rd(words))
    source = np.where(adds, first, first | second)
    value = np.where(adds, e.signed_field(words, 16), 0)
    found = Copies(at, into.astype(np.intp), source.astype(np.intp), value)
    return found.take((adds | moves) & ((into != source) | adds & (into == e.SP)))


def step(word: int, operand: Callable[[int], Amount]) -> tuple[int, int] | None:
    """The register and the number whose sum an instruction makes; None for another one."""
    first, second = word >> 21 & 31, word >> 16 & 31
    if word >> 26 in (9, 25):
        return first, (word & 0x7FFF) - (word & 0x8000)
    function = word & 63
    if word >> 26 != e.SPECIAL or function not in (*e.SUMS, e.SUBU, e.DSUBU):
        return None
    if function in e.SUMS and 0 in (first, second):
        return first | second, 0
    number = operand(second).exact
    if function in (e.SUBU, e.DSUBU):
        return None if number is None else (first, -number)
    if function == e.OR:
        return None
    if number is None:
        first, number = second, operand(first).exact
    return None if number is None else (first, number)


def result(word: int, operand: Callable[[int], Amount]) -> Amount:
    """What an instruction writes to its destination; ANY for one that is not followed."""
    code, low = word >> 26, word & 0xFFFF
    first = word >> 21 & 31
    signed = low - (low >> 15 << 16)

    def source(register: int) -> Amount:
        return operand(register) if register else known(0)

    if code == 15:  # LUI, or AUI of a register
        return known(signed << 16) if first == 0 else ANY
    if code in (9, 25):  # ADDIU, DADDIU
        return source(first).plus(signed)
    if code == 12:  # ANDI
        return source(first).masked(low)
    if code == 13:  # ORI
        old = source(first).exact
        return ANY if old is None else known(old | low)
    if code in (36, 37):  # LBU, LHU
        return Amount(0, 0xFF if code == 36 else 0xFFFF)
    if code == e.SPECIAL:
        return _special(word, source)
    if code == e.SPECIAL3 and word & 63 in (0, 3):  # EXT, DEXT
        size = (word >> 11 & 31) + 1
        value = source(first)
        at = word >> 6 & 31
        return Amount(value.least >> at, value.most >> at).low(size)
    return ANY


# By function: how far the shift goes beyond its field, and whether to the right.
_SHIFTS = {
    0x00: (0, False),  # SLL
    0x38: (0, False),  # DSLL
    0x3C: (32, False),  # DSLL32
    0x02: (0, True),  # SRL
    0x3A: (0, True),  # DSRL
    0x3E: (32, True),  # DSRL32
}


def _special(word: int, source: Callable[[int], Amount]) -> Amount:
    function, first, second = word & 63, word >> 21 & 31, word >> 16 & 31
    if function in e.SUMS and 0 in (first, second):
        return source(first or second)
    if function in _SHIFTS:
        if function in (0x02, 0x3A, 0x3E) and first:  # ROTR and its kin
            return ANY
        further, right = _SHIFTS[function]
        by, value = (word >> 6 & 31) + further, source(second)
        if function < 8:
            exact = value.exact
            value = value if exact is None else known(exact).low(32)
            if value.most >> 32:
                value = Amount(0, (1 << 32) - 1)
        if right:
            return Amount(value.least >> by, value.most >> by)
        value = value.shifted(by)
        return value if function >= 8 or value.most >> 31 == 0 else _signed(value)
    if function == e.AND:
        mask = source(first).exact
        other = second
        if mask is None:
            mask, other = source(second).exact, first
        return source(other).masked(mask % (1 << 64)) if mask is not None else ANY
    return ANY


def _signed(value: Amount) -> Amount:
    """The low 32 bits, their sign carried on."""
    low = value.low(32).exact
    return ANY if low is None else known(low - (low >> 31 << 32))
