"""What x86 code calls through memory, stores there and puts into registers, found by its bytes.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, tables 2-2 and 2-3
and each instruction. All bytes are looked at as if an instruction began there, so now and then one
is found that is none: what rests on these functions may have something too much, not too little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.model import Addresses, Indices
from stackgauge.frames.measure import Frames
from stackgauge.image.source import Bytes

Mask = NDArray[np.bool_]

# The most bytes of an instruction that is read here.
_LONGEST = 12


class Stores(NamedTuple):
    """Stores to memory at an address that the instruction names.

    Attributes:
        cell: where a number is stored, uint64.
        value: that number, with its sign carried to the width of an address; uint64.
        register_cell: where a register is stored, uint64.
    """

    cell: Addresses
    value: Addresses
    register_cell: Addresses


class _Text(NamedTuple):
    """One section of code: its bytes, some zeros behind them, and its address."""

    data: Bytes
    base: int
    mask: np.uint64

    def numbers(self, at: Indices) -> Addresses:
        """The signed 32 bits at some places."""
        view = np.ndarray(len(self.data) - 3, np.dtype("<i4"), self.data.data, 0, (1,))
        return view[at].astype(np.int64).view(np.uint64) & self.mask

    def cells(self, at: Indices, length: Indices | int, *, relative: bool) -> Addresses:
        """The addresses that displacements name in instructions that end ``length`` behind."""
        cell = self.numbers(at)
        if relative:
            cell = cell + (np.uint64(self.base) + (at + length).astype(np.uint64))
        return cell & self.mask


def _texts(frames: Frames) -> Iterator[_Text]:
    elf = frames.image.elf
    mask = np.uint64(0xFFFF_FFFF_FFFF_FFFF if frames.isa.bits == 64 else 0xFFFF_FFFF)
    for index in elf.executable.tolist():
        contents = frames.contents(index)
        data = np.concatenate([contents, np.zeros(_LONGEST, np.uint8)])
        yield _Text(data, int(elf.headers["addr"][index]), mask)


def called_cells(frames: Frames, end: Addresses) -> tuple[Addresses, Mask]:
    """The memory through which instructions call or jump, as far as they name its address.

    FF /2 and FF /4 with a displacement alone: in 64-bit code relative to the next instruction, or
    after a SIB byte of no base and no index absolute.

    Args:
        frames: an x86 image.
        end: where each instruction ends, (n,) uint64.

    Returns:
        The addresses, and which instructions name one.
    """
    cell, named = np.zeros(len(end), np.uint64), np.zeros(len(end), bool)
    wide = frames.isa.bits == 64
    # A loop over the sections of code.
    for text in _texts(frames):
        # The shortest has six bytes; what is in front of a section is read as its last, a zero.
        size = np.uint64(max(len(text.data) - _LONGEST - 5, 0))
        here = np.flatnonzero(end - np.uint64(text.base + 6) < size)
        last = (end[here] - np.uint64(text.base)).astype(np.intp)
        three, two, one = (text.data[last - back] for back in (7, 6, 5))
        short = (two == 0xFF) & ((one == 0x15) | (one == 0x25))
        long = (three == 0xFF) & ((two == 0x14) | (two == 0x24)) & (one == 0x25)
        relative = text.cells(last - 4, 4, relative=wide)
        cell[here] = np.where(short, relative, text.cells(last - 4, 4, relative=False))
        named[here] = short | long
    return cell, named


def stores(frames: Frames) -> Stores:
    """MOV of a number (C7 /0) and of a register (89 /r) to memory, with a displacement alone."""
    wide = frames.isa.bits == 64
    parts = [Stores(*(np.zeros(0, np.uint64),) * 3)]
    # A loop over the sections of code.
    for text in _texts(frames):
        data = text.data[: -_LONGEST + 1]
        moves = np.flatnonzero((data[:-1] == 0xC7) & (data[1:] == 0x05))
        saves = np.flatnonzero((data[:-1] == 0x89) & (data[1:] & 0xC7 == 0x05))
        parts.append(
            Stores(
                text.cells(moves + 2, 8, relative=wide),
                text.numbers(moves + 6),
                text.cells(saves + 2, 4, relative=wide),
            )
        )
    return Stores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Loads(NamedTuple):
    """Numbers that code puts into registers: columns of one length.

    Attributes:
        place: where the number stands in the code, uint64.
        number: uint64.
    """

    place: Addresses
    number: Addresses


def loaded_numbers(frames: Frames, low: int, high: int) -> Loads:
    """Where code puts a number from ``low`` up to below ``high`` into a register.

    MOV of a number (B8+r, C7 /0), LEA of a displacement alone, and PUSH of a number.
    """
    parts = [Loads(*(np.zeros(0, np.uint64),) * 2)]
    wide = frames.isa.bits == 64
    # A loop over the sections of code.
    for text in _texts(frames):
        data = text.data[: -_LONGEST + 1]
        moves = np.flatnonzero((data[:-1] & 0xF8 == 0xB8) | (data[:-1] == 0x68)) + 1
        moves = np.append(
            moves, np.flatnonzero((data[:-1] == 0xC7) & (data[1:] & 0xF8 == 0xC0)) + 2
        )
        leas = np.flatnonzero((data[:-1] == 0x8D) & (data[1:] & 0xC7 == 0x05)) + 2
        at = np.concatenate([moves, leas])
        numbers = np.concatenate([text.numbers(moves), text.cells(leas, 4, relative=wide)])
        met = (numbers >= np.uint64(low)) & (numbers < np.uint64(high))
        parts.append(Loads(np.uint64(text.base) + at[met].astype(np.uint64), numbers[met]))
    return Loads(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
