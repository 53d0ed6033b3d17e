"""Common information entries (CIEs): how the entries that point to them are to be read.

Layouts: DWARF 5, section 6.4.1 ("Structure of Call Frame Information"), and the Linux Standard
Base, core 5.0, chapters 10.5 ("DWARF Extensions") and 10.6 ("Exception Frames").
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError

# Distinct CIEs are read one at a time. Linkers leave a few of them, of some 20 bytes; this many
# bytes of them are not from a linker.
_MOST_BYTES = 1 << 20

# DW_EH_PE_*: the low half of an encoding says the format (here: its width, 0 where that is an
# address's), the high half what a pointer is relative to.
_WIDTHS = {0x00: 0, 0x02: 2, 0x03: 4, 0x04: 8, 0x0A: 2, 0x0B: 4, 0x0C: 8}
_SIGNED = 0x08
_PCREL = 0x10
_ALIGNED = 0x50
_OMIT = 0xFF

# What a factor of code or data can be; 1 to 8 in nature.
_MOST_FACTOR = 1 << 8

# Why the FDEs of a CIE can't be read, by the number in its ``reason``; 0 where they can.
REASONS = ("", "version", "augmentation", "factor", "encoding")

CIE = np.dtype(
    [
        ("program", "i8"),
        ("end", "i8"),
        ("code_factor", "i2"),
        ("data_factor", "i2"),
        ("width", "u1"),
        ("segment", "u1"),
        ("signed", "?"),
        ("relative", "?"),
        ("augmented", "?"),
        ("signal", "?"),
        ("reason", "u1"),
    ]
)


@dataclass
class _Cie:
    """One CIE; the fields are those of the dtype CIE, in its order.

    Attributes:
        program: offset of the initial instructions.
        end: the offset behind them.
        code_factor: what advances count in.
        data_factor: what signed, factored operands count in.
        width: bytes of an address in its FDEs.
        segment: bytes of a segment's selector before it.
        signed: whether the address is signed.
        relative: whether it is relative to where it stands.
        augmented: whether its FDEs have augmentation data, its length before it.
        signal: whether its FDEs are those of signals or interrupts.
        reason: index in REASONS.
    """

    program: int = 0
    end: int = 0
    code_factor: int = 0
    data_factor: int = 0
    width: int = 0
    segment: int = 0
    signed: bool = False
    relative: bool = False
    augmented: bool = False
    signal: bool = False
    reason: int = 0


class _Cursor:
    """Reads bytes from front to end; to run over the end is an IndexError."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def skip(self, count: int) -> int:
        at = self.at
        if not 0 <= count <= len(self.raw) - at:
            raise IndexError
        self.at += count
        return at

    def byte(self) -> int:
        return self.raw[self.skip(1)]

    def leb(self, *, signed: bool = False) -> int:
        value = shift = 0
        byte = 0x80
        while byte & 0x80:
            byte = self.byte()
            # One of more than 63 bits is no number of this world, and need not be right.
            value |= (byte & 0x7F) << min(shift, 63)
            shift += 7
        return value - (1 << shift) if signed and byte & 0x40 and shift <= 63 else value

    def string(self) -> str:
        stop = self.raw.find(b"\0", self.at)
        if stop < 0:
            raise IndexError
        text = self.raw[self.at : stop].decode("latin-1")
        self.at = stop + 1
        return text


def distinct_cies(
    raw: memoryview, start: list[int], end: list[int], address_width: int, where: str
) -> tuple[bytes, NDArray[Any], NDArray[np.intp]]:
    """Read the CIEs that differ from each other.

    Args:
        raw: the section.
        start: offset of each CIE, behind its id.
        end: offset behind it.
        address_width: bytes of an address, where a CIE does not say.
        where: what to call the section in messages.

    Returns:
        The distinct CIEs' bytes, one behind the other; their fields, an array of CIE, whose
        ``program`` and ``end`` are offsets in those bytes; and for each CIE which of them it is.

    Raises:
        InputError: a CIE ends before all of its fields are read, or there are absurdly many.
    """
    index: dict[bytes, int] = {}
    which = np.zeros(len(start), np.intp)
    cies: list[_Cie] = []
    size = 0
    # A CIE comes from each object file that was linked, and nearly all are alike.
    for number, (first, last) in enumerate(zip(start, end, strict=True)):
        text = bytes(raw[first:last])
        if text not in index:
            try:
                cie = _read(_Cursor(text), address_width)
            except IndexError:
                message = f"is broken: the CIE near {first:#x} ends too early"
                raise InputError(where, message) from None
            # The instructions of one that isn't understood are not to be executed.
            cie.program = size + (len(text) if cie.reason else cie.program)
            cie.end = size = size + len(text)
            if size > _MOST_BYTES:
                raise InputError(where, f"has CIEs that differ of over {_MOST_BYTES} bytes")
            index[text] = len(cies)
            cies.append(cie)
        which[number] = index[text]
    return b"".join(index), np.array([astuple(cie) for cie in cies], CIE), which


def _read(cursor: _Cursor, address_width: int) -> _Cie:
    """Read one CIE, from behind its id."""
    cie = _Cie(width=address_width)
    version = cursor.byte()
    if version not in (1, 3, 4, 5):
        cie.reason = REASONS.index("version")
        return cie
    augmentation = cursor.string()
    if version >= 4:
        cie.width = cursor.byte()
        cie.segment = cursor.byte()
    if augmentation == "eh":  # of GCC 2: a pointer to exception data
        cursor.skip(address_width)
    code_factor, data_factor = cursor.leb(), cursor.leb(signed=True)
    if version == 1:  # the return address's column
        cursor.byte()
    else:
        cursor.leb()
    encoding: int | None = 0
    if augmentation.startswith("z"):
        cie.augmented = True
        length = cursor.leb()
        program = cursor.at + length
        encoding = _augmentation(augmentation[1:], cursor, cie)
        cursor.skip(program - cursor.at)
    elif augmentation != "eh":
        # Without a length only letters that have no data can be read.
        encoding = 0 if set(augmentation) <= set("SB") else None
        cie.signal = "S" in augmentation
    cie.program = cursor.at

    if encoding is None:
        cie.reason = REASONS.index("augmentation")
        return cie
    if not (0 < code_factor <= _MOST_FACTOR and abs(data_factor) <= _MOST_FACTOR):
        cie.reason = REASONS.index("factor")
        return cie
    cie.code_factor, cie.data_factor = code_factor, data_factor
    cie.width = _WIDTHS.get(encoding & 0x0F, -1) or cie.width
    cie.signed = encoding & _SIGNED != 0
    cie.relative = encoding & 0xF0 == _PCREL
    if cie.width not in (2, 4, 8) or encoding & 0xF0 not in (0, _PCREL):
        cie.width = 0
        cie.reason = REASONS.index("encoding")
    return cie


def _augmentation(letters: str, cursor: _Cursor, cie: _Cie) -> int | None:
    """Read the data of a "z" augmentation.

    Returns:
        The encoding of the FDEs' addresses; None where a letter or its data is not known.
    """
    encoding = 0
    for letter in letters:
        if letter == "R":
            encoding = cursor.byte()
        elif letter == "L":  # how FDEs point to exception tables
            cursor.byte()
        elif letter == "P":  # the personality routine
            pointer = cursor.byte()
            if pointer == _OMIT:
                continue
            if pointer & 0x0F not in _WIDTHS or pointer & 0x70 == _ALIGNED:
                return None
            cursor.skip(_WIDTHS[pointer & 0x0F] or cie.width)
        elif letter == "S":
            cie.signal = True
        elif letter != "B":  # AArch64: return addresses are signed with the B key
            return None
    return encoding
