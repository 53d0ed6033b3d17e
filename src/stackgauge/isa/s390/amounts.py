"""What z/Architecture instructions make of numbers that are known exactly or within limits."""

from __future__ import annotations

from collections.abc import Callable

from stackgauge.isa.amount import ANY, Amount, known
from stackgauge.isa.s390 import encoding as e

Operand = Callable[[int], Amount]

_LGHI, _LGFI, _LLILF, _LLILL, _NILF = 0xA709, 0xC001, 0xC00F, 0xA50F, 0xC00B
_LLGFR, _LLGHR, _LLGCR, _LR, _AHI = 0xB916, 0xB985, 0xB984, 0x1800, 0xA70A
_SLLG, _SRLG, _LLGC, _LLGH, _LLGF = 0xEB0D, 0xEB0C, 0xE390, 0xE391, 0xE316
_ALL, _WORD = (1 << 64) - 1, (1 << 32) - 1


_SUMS = (e.AGR, e.SGR, e.ALGR, e.SLGR, e.AGRK, e.SGRK, e.ALGRK, e.SLGRK)


class _OfWord(Amount):
    """Any number, of whose lowest 32 bits more is known: instructions of 32 bits keep the rest."""

    word: Amount


def _of_word(word: Amount) -> Amount:
    number = _OfWord(*ANY)
    number.word = word
    return number


def _word(value: Amount) -> Amount:
    """The lowest 32 bits of a number."""
    return value.word if isinstance(value, _OfWord) else value.low(32)


def result(word: int, operand: Operand) -> Amount:
    """What an instruction writes to its destination; ANY for one that is not followed."""
    code = e.opcode(word)
    first, third = word >> 36 & 15, word >> 32 & 15
    second, half = word >> 16 & 15, word >> 16 & 0xFFFF
    if code in (_LGHI, e.AGHI, e.AGHIK):
        number = half - (half >> 15 << 16)
        if code == _LGHI:
            return known(number)
        return _sum(operand(first if code == e.AGHI else third), number)
    if code == _AHI:
        return _sum(_of_word(_word(operand(first))), half - (half >> 15 << 16))
    if code in (_LGFI, e.AGFI):
        number = (word & _WORD) - ((word & 0x80000000) << 1)
        return known(number) if code == _LGFI else _sum(operand(first), number)
    if code in (_LLILF, _LLILL):
        return known(word & _WORD if code == _LLILF else half)
    if code == e.NILL:
        return operand(first).masked(_ALL ^ 0xFFFF | half)
    if code == _NILF:
        value, mask = operand(first), word & _WORD
        return value.masked(mask) if value.most <= _WORD else _of_word(_word(value).masked(mask))
    if code == e.LGR:
        return operand(second)
    if code == _LR:
        return _of_word(_word(operand(second)))
    if code in (_LLGFR, _LLGHR, _LLGCR):
        return _word(operand(second)).low({_LLGFR: 32, _LLGHR: 16, _LLGCR: 8}[code])
    if code in (_LLGC, _LLGH, _LLGF):
        return Amount(0, {_LLGC: 0xFF, _LLGH: 0xFFFF, _LLGF: _WORD}[code])
    if code in (e.RISBG, e.RISBGN):
        return _selected(word, operand)
    if code in (_SLLG, _SRLG) and word >> 28 & 15 == 0:
        value, by = operand(third), word >> 16 & 63
        if code == _SLLG:
            return value.shifted(by)
        return Amount(value.least >> by, value.most >> by)
    if code == e.LAY and third == 0 and word >> 28 & 15 != 0:
        number = (word >> 8 & 0xFF) << 12 | word >> 16 & 0xFFF
        return operand(word >> 28 & 15).plus(number - (number >> 19 << 20))
    if code == e.LA and third == 0 and word >> 28 & 15 != 0:
        return operand(word >> 28 & 15).plus(word >> 16 & 0xFFF)
    return ANY


def _sum(value: Amount, number: int) -> Amount:
    """A number and another one, if the lowest 32 bits are all that is known, and do not wrap."""
    if not isinstance(value, _OfWord):
        return value.plus(number)
    least, most = value.word.least + number, value.word.most + number
    return _of_word(Amount(least, most)) if least >= 0 and most <= _WORD else ANY


def _selected(word: int, operand: Operand) -> Amount:
    """RISBG: selected bits of a register, rotated to the left, the others 0."""
    first, last, by = word >> 24 & 63, word >> 16 & 63, word >> 8 & 63
    if word >> 16 & 0x80 == 0 or first > last:
        return ANY
    mask = (1 << 64 - first) - 1 ^ (1 << 63 - last) - 1
    value = operand(word >> 32 & 15)
    if by == 0:
        return (_word(value) if mask <= _WORD else value).masked(mask)
    exact = value.exact
    if exact is not None:
        exact %= 1 << 64
        return known((exact << by | exact >> 64 - by) & mask)
    # To the right, where nothing that was below comes in at the top.
    if last - first < by and first >= 64 - by:
        right = 64 - by
        return Amount(value.least >> right, value.most >> right).masked(mask)
    return Amount(0, mask)


def step(word: int, operand: Operand) -> tuple[int, int] | None:
    """The register and the number whose sum an instruction makes."""
    code, first, third = e.opcode(word), word >> 36 & 15, word >> 32 & 15
    half = word >> 16 & 0xFFFF
    number = half - (half >> 15 << 16)
    if code in (e.AGHI, e.AGHIK, e.ALGHSIK):
        return (first if code == e.AGHI else third), number
    if code == e.LGR:
        return word >> 16 & 15, 0
    base = word >> 28 & 15
    if code in _SUMS:
        one, other = word >> 16 & 15, base
        if code in (e.AGR, e.SGR, e.ALGR, e.SLGR):
            one, other = word >> 20 & 15, one
        amount = operand(other).exact
        if amount is not None:
            return one, -amount if code in (e.SGR, e.SLGR, e.SGRK, e.SLGRK) else amount
    if code in (e.LA, e.LAY) and (third == 0) != (base == 0):
        number = word >> 16 & 0xFFF
        if code == e.LAY:
            number |= (word >> 8 & 0xFF) << 12
            number -= number >> 19 << 20
        return third or base, number
    return None
