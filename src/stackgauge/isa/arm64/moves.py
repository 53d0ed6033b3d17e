"""Instructions that move the stack pointer by an amount that stands in them, and its copies.

Source: Arm Architecture Reference Manual (DDI 0487), C6.2 for the general instructions, C7.2 for
those of vectors, C8.2 for ADDVL and ADDPL.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64 import forms
from stackgauge.isa.arm64.encoding import SP, Words, base, destination, field, signed_field
from stackgauge.isa.arm64.forms import Form, of_form
from stackgauge.isa.words import Indices, Text

# A vector register has 16 to 256 bytes (Arm ARM, B1.4.2); ADDPL counts eighths of one.
_SHORTEST, _LONGEST = 16, 256

# Bytes of an element of a pair as a power of two, by opc (bits 31, 30), V (26) and L (22). C6.2
# and C7.2 "LDP", "STP"; LDPSW and STGP have opc 1; opc 3 is FEAT_LSUI's.
_PAIR_SCALE = np.array([2, 2, 2, 2, 4, 2, 3, 3, 3, 3, 4, 4, 3, 3, 4, 4])

# Registers of a structure load or store, multiple, by its opcode (C7.2 "LD1", "LD2", ...).
_STRUCTURE_REGISTERS = np.zeros(16, np.int64)
_STRUCTURE_REGISTERS[[0b0000, 0b0010, 0b0100, 0b0110, 0b0111, 0b1000, 0b1010]] = 4, 4, 3, 3, 1, 2, 2


class Amounts(NamedTuple):
    """Instructions and a number of bytes for each; columns."""

    at: Indices
    value: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> Amounts:
        """Those of a mask."""
        return Amounts(self.at[which], self.value[which])


class Copies(NamedTuple):
    """Instructions that set a register to the stack pointer plus a value; columns."""

    at: Indices
    register: Indices
    value: NDArray[np.int64]


class Moves(NamedTuple):
    """What is done to the stack pointer.

    Attributes:
        added: amounts added to it.
        dynamic: the most that is taken from it, where that depends on the machine.
        lost: instructions that give it a value that is not followed.
        sites: those that add a register to it or take it from a register; ascending.
        copies: those that copy it to another register.
    """

    added: Amounts
    dynamic: Amounts
    lost: Indices
    sites: Indices
    copies: Copies


def read_moves(at: Indices, words: Words) -> Moves:
    """The moves among some instructions.

    Args:
        at: their indices, ascending.
        words: the instructions.
    """
    reader = _Reader(at, words)
    reader.immediates()
    reader.write_backs()
    reader.structures()
    reader.vector_lengths()
    for form in (forms.ADD_EXTENDED, forms.AND_IMMEDIATE):
        reader.sites.append(at[of_form(words, form)])
    for form in forms.UNFOLLOWED:
        reader.lost.append(at[of_form(words, form)])
    return Moves(
        Amounts(*(np.concatenate(column) for column in zip(*reader.added, strict=True))),
        Amounts(*(np.concatenate(column) for column in zip(*reader.dynamic, strict=True))),
        np.concatenate(reader.lost),
        np.sort(np.concatenate(reader.sites)),
        Copies(*(np.concatenate(column) for column in zip(*reader.copies, strict=True))),
    )


def relayed(text: Text, copies: Copies, begins: NDArray[np.bool_]) -> Copies:
    """Copies, and those passed on by the next instruction (``mov x0, sp; mov x19, x0``).

    Args:
        text: the code.
        copies: those made from the stack pointer itself.
        begins: by word, whether control may come to it from elsewhere than the word before.
    """
    following = copies.at + 1
    words = text.words[np.minimum(following, len(text.words) - 1)]
    moved = (words & np.uint32(0xFFE0FFE0) == 0xAA0003E0) & ~begins[following]
    moved &= (field(words, 16, 5) == copies.register) & (destination(words) != SP)
    return Copies(
        np.append(copies.at, following[moved]),
        np.append(copies.register, destination(words[moved]).astype(np.intp)),
        np.append(copies.value, copies.value[moved]),
    )


class _Reader:
    def __init__(self, at: Indices, words: Words) -> None:
        self._at = at
        self._words = words
        self.added: list[Amounts] = []
        self.dynamic: list[Amounts] = []
        self.lost: list[Indices] = []
        self.sites: list[Indices] = []
        self.copies: list[Copies] = []

    def _of(self, form: Form) -> tuple[Indices, Words]:
        chosen = of_form(self._words, form)
        return self._at[chosen], self._words[chosen]

    def immediates(self) -> None:
        """ADD, SUB, ADDG and SUBG: of the stack pointer, to it from another register, or back."""
        at, words = self._of(forms.ADD_IMMEDIATE)
        number = field(words, 10, 12).astype(np.int64) << 12 * field(words, 22, 1).astype(np.int64)
        self._immediate(at, words, number)
        at, words = self._of(forms.ADD_TAG)
        self._immediate(at, words, field(words, 16, 6).astype(np.int64) << 4)

    def _immediate(self, at: Indices, words: Words, number: NDArray[np.int64]) -> None:
        value = np.where(field(words, 30, 1) == 1, -number, number)
        from_sp, to_sp = base(words) == SP, destination(words) == SP
        self.added.append(Amounts(at, value).take(from_sp & to_sp))
        self.sites.append(at[to_sp & ~from_sp])
        copy = from_sp & ~to_sp
        self.copies.append(Copies(at[copy], destination(words[copy]).astype(np.intp), value[copy]))

    def write_backs(self) -> None:
        """Loads and stores that move their base register."""
        at, words = self._of(forms.PAIR)
        kind = field(words, 30, 2) << np.uint32(2) | field(words, 26, 1) << np.uint32(1)
        scale = _PAIR_SCALE[kind | field(words, 22, 1)]
        self.added.append(Amounts(at, signed_field(words, 15, 7) << scale))
        at, words = self._of(forms.SINGLE)
        self.added.append(Amounts(at, signed_field(words, 12, 9)))
        at, words = self._of(forms.TAGS)
        self.added.append(Amounts(at, signed_field(words, 12, 9) << 4))
        at, words = self._of(forms.AUTHENTICATED)
        low, sign = field(words, 12, 9).astype(np.int64), field(words, 22, 1).astype(np.int64)
        self.added.append(Amounts(at, low - (sign << 9) << 3))
        at, words = self._of(forms.ORDERED)
        size = np.int64(4) << field(words, 30, 1).astype(np.int64)
        size <<= 1 - field(words, 23, 1).astype(np.int64)  # a pair
        self.added.append(Amounts(at, np.where(field(words, 22, 1) == 1, size, -size)))

    def structures(self) -> None:
        """LD1 to LD4 and ST1 to ST4 of vectors; the base may move by a register, too."""
        at, words = self._of(forms.STRUCTURES)
        full = field(words, 30, 1).astype(np.int64)
        self._by_size(at, words, _STRUCTURE_REGISTERS[field(words, 12, 4)] * (8 << full))
        at, words = self._of(forms.STRUCTURE)
        scale, size = field(words, 14, 2), field(words, 10, 2)
        # Of 4 bytes or, where the size says so, 8; 3 replicates an element of any size.
        scale = np.where(scale == 3, size, scale + ((scale == 2) & (size == 1)))
        count = 1 + 2 * field(words, 13, 1) + field(words, 21, 1)
        self._by_size(at, words, count.astype(np.int64) << scale.astype(np.int64))

    def _by_size(self, at: Indices, words: Words, size: NDArray[np.int64]) -> None:
        by_register = field(words, 16, 5) != SP
        self.added.append(Amounts(at, size).take(~by_register))
        self.lost.append(at[by_register])

    def vector_lengths(self) -> None:
        """ADDVL and ADDPL: vectors of the least size, and a limit to what longer ones take more.

        What is added is only counted at the least size, so that the sum stays on the safe side.
        """
        at, words = self._of(forms.ADD_VECTOR_LENGTH)
        follows = field(words, 16, 5) == SP  # Rn stands elsewhere here
        self.lost.append(at[~follows])
        at, words = at[follows], words[follows]
        count = signed_field(words, 5, 6)
        eighths = np.where(field(words, 22, 1) == 1, 3, 0)
        self.added.append(Amounts(at, count * _SHORTEST >> eighths))
        more = -count * (_LONGEST - _SHORTEST) >> eighths
        self.dynamic.append(Amounts(at, more).take(more > 0))
