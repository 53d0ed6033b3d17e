"""What Power instructions make of numbers and of registers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.followed import MEMORY, Copies
from stackgauge.isa.powerpc import encoding as e
from stackgauge.isa.powerpc.encoding import Words
from stackgauge.isa.straight import LARGEST
from stackgauge.isa.words import Indices

# The word that the stack pointer points to.
CHAIN = MEMORY

_ALL = (1 << 64) - 1


def copies_of(bits: int, at: Indices, words: Words) -> Copies:
    """The instructions that set a register to another one and a number.

    The word that the stack pointer points to is a register, too, here.
    """
    code, first, second = e.op(words), e.rt(words), e.ra(words)
    number = e.signed_field(words, 0, 16)
    adds = ((code == e.ADDI) | (code == e.ADDIS)) & (second != 0)
    into = np.where(adds, first, second)
    source = np.where(adds, second, first)
    value = np.where(code == e.ADDIS, number << 16, number)
    adds &= np.abs(value) <= LARGEST
    moves = (code == e.X) & (e.extended(words) == e.MR) & (first == e.rb(words))
    load, store = (e.LD, e.STD) if bits == 64 else (e.LWZ, e.STWU)
    low, update = (3, 1) if bits == 64 else (0, 0)
    on_sp = second == e.SP
    loads = (code == load) & on_sp & (number == 0)
    stores = (code == store) & (words & np.uint32(low) == update)
    stores |= (code == e.X) & (e.extended(words) == (e.STDUX if bits == 64 else e.STWUX))
    stores &= on_sp
    into = np.where(loads, first, np.where(stores, CHAIN, into)).astype(np.intp)
    source = np.where(loads, CHAIN, np.where(stores, first, source)).astype(np.intp)
    found = Copies(at, into, source, np.where(adds, value, 0))
    return found.take(adds | (moves | loads | stores) & (into != source))


def step(bits: int, word: int, operand: Callable[[int], Amount]) -> tuple[int, int] | None:
    """The register and the number whose sum an instruction makes; None for another one."""
    code, low = word >> 26, word >> 1 & 1023
    first, second, third = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
    if code in (e.ADDI, e.ADDIS):
        number = (word & 0x7FFF) - (word & 0x8000)
        return (second, number << 16 if code == e.ADDIS else number) if second else None
    if code != e.X:
        return None
    if low == e.MR:
        return (first, 0) if first == third else None
    if low in (e.STDUX, e.STWUX):
        value = operand(third).exact
    elif low == e.ADD:
        value = operand(third).exact
        if value is None:
            second, value = third, operand(second).exact
    else:
        return None
    if value is not None and bits == 32:
        value = (value & 0x7FFFFFFF) - (value & 0x80000000)
    return None if value is None else (second, value)


def result(word: int, operand: Callable[[int], Amount]) -> Amount:
    """What an instruction writes to its destination; ANY for one that is not followed."""
    code, low = word >> 26, word & 0xFFFF
    first, second = word >> 21 & 31, word >> 16 & 31
    signed = low - (low >> 15 << 16)
    if code in (e.ADDI, e.ADDIS):
        number = signed << 16 if code == e.ADDIS else signed
        return operand(second).plus(number) if second else known(number)
    if code in (e.ORI, e.ORIS):
        old = operand(first)
        number = low << 16 if code == e.ORIS else low
        return old if not number else ANY if old.exact is None else known(old.exact | number)
    if code == e.ANDI:
        return operand(first).masked(low)
    if code in (e.LBZ, e.LHZ):
        return Amount(0, 0xFF if code == e.LBZ else 0xFFFF)
    if code == e.RLWINM:
        return _rotated(operand(first).low(32), word >> 11 & 31, _mask_32(word))
    if code == e.RLD and word >> 2 & 7 in (0, 1):  # RLDICL, RLDICR
        sh, edge = word >> 11 & 31 | (word & 2) << 4, word >> 6 & 31 | word & 32
        mask = _ALL >> edge if word >> 2 & 7 == 0 else _ALL << (63 - edge) & _ALL
        return _rotated(operand(first), sh, mask, 64)
    if code == e.X and word >> 1 & 1023 == e.MR and first == word >> 11 & 31:
        return operand(first)
    return ANY


def low_bits(word: int) -> int:
    """The mask of an instruction that keeps a register's low bits alone; 0 of another one."""
    code, by = word >> 26, word >> 11 & 31
    if code == e.RLWINM and by == 0:
        return _mask_32(word) if word >> 1 & 31 == 31 else 0
    if code == e.RLD and word >> 2 & 7 == 0 and not by and not word & 2:
        return _ALL >> (word >> 6 & 31 | word & 32)
    return 0


def _mask_32(word: int) -> int:
    """MASK(MB, ME) of a 32-bit rotation, which may wrap around."""
    begin, end = word >> 6 & 31, word >> 1 & 31
    mask = 0xFFFFFFFF >> begin ^ 0xFFFFFFFF >> end + 1
    return mask if begin <= end else ~mask & 0xFFFFFFFF


def _rotated(value: Amount, by: int, mask: int, bits: int = 32) -> Amount:
    """A number rotated left and masked, where that is a shift; else only limited by the mask."""
    if not mask & (1 << by) - 1:
        # Nothing that comes around is kept; what leaves at the top is lost.
        return value.shifted(by).low(bits).masked(mask)
    if not mask >> by and value.most >> bits == 0:
        by = bits - by
        return Amount(value.least >> by, value.most >> by).masked(mask)
    return Amount(0, mask) if value.exact is None else known(
        (value.least << by | value.least >> bits - by) & mask
    )  # fmt: skip
