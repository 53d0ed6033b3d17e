"""Numbers that are known exactly or within limits."""

from __future__ import annotations

from typing import NamedTuple

_ALL = (1 << 64) - 1


class Amount(NamedTuple):
    """A 64-bit number that is neither under ``least`` nor over ``most``, both unsigned."""

    least: int
    most: int

    @property
    def exact(self) -> int | None:
        """The number, as a signed one, where it is known."""
        if self.least != self.most:
            return None
        return self.least - (self.least >> 63 << 64)

    def low(self, bits: int) -> Amount:
        """Its low bits, the others 0."""
        limit = (1 << bits) - 1
        if self.most <= limit:
            return self
        if self.least == self.most:
            return Amount(self.least & limit, self.least & limit)
        return Amount(0, limit)

    def shifted(self, left: int) -> Amount:
        """It times a power of two."""
        return Amount(self.least << left, self.most << left).low(64)

    def plus(self, number: int) -> Amount:
        """It and a signed number, where the sum does not wrap or is known."""
        least, most = self.least + number, self.most + number
        if least == most:
            return Amount(least % (1 << 64), most % (1 << 64))
        return Amount(least, most).low(64) if least >= 0 else ANY

    def masked(self, mask: int) -> Amount:
        """It and a mask: no more than the largest number under ``most`` with bits of the mask."""
        if self.least == self.most:
            return Amount(self.least & mask, self.least & mask)
        if self.most >= mask:
            return Amount(0, mask)
        # Either the number is ``most``, or it has a 0 at some 1 of it and anything below that.
        candidates = [self.most & mask]
        for bit in range(self.most.bit_length()):
            if self.most >> bit & 1:
                candidates.append(((self.most >> bit) - 1 << bit | (1 << bit) - 1) & mask)
        return Amount(0, max(candidates))


ANY = Amount(0, _ALL)


def known(number: int) -> Amount:
    """Exactly that number."""
    return Amount(number % (1 << 64), number % (1 << 64))
