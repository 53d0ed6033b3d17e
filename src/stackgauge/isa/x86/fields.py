"""The parts that x86-64 instructions are made of: prefixes, opcode, ModRM.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2
("Instruction Format").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes
from stackgauge.isa.x86.effects import Writes, write_tables
from stackgauge.isa.x86.opcodes import LEGACY_PREFIXES

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

_GS, _NARROW, _REPEAT = 0x65, 0x66, 0xF3

_PREFIX = np.zeros(256, bool)
_PREFIX[list(LEGACY_PREFIXES)] = True


@dataclass(frozen=True, eq=False)
class Fields:
    """Instructions, columns of one length.

    Attributes:
        at, end: where each begins and ends in the bytes, intp.
        opcode: where its opcode is, after prefixes and escapes, intp.
        map: 0 of one-byte opcodes, 1 of those after 0F, 2 after 0F 38, 3 after 0F 3A, uint8.
        byte: the opcode, uint8.
        modrm: the byte after it, uint8.
        rex: the REX prefix, 0 where there is none, uint8.
        gs, narrow, repeat: which of the prefixes 65, 66 and F3 it has, bool.
        vector: whether it begins with VEX or EVEX, of which nothing else here is told, bool.
        writes, fixed: by ``write_tables``.
        memory: whether ModRM.rm is an operand in memory, bool.
        mod, group: the upper and middle bits of ModRM, uint8.
        reg, rm: registers with their REX bits, int8.
    """

    at: Rows
    end: Rows
    opcode: Rows
    map: NDArray[np.uint8]
    byte: NDArray[np.uint8]
    modrm: NDArray[np.uint8]
    rex: NDArray[np.uint8]
    gs: Mask
    narrow: Mask
    repeat: Mask
    vector: Mask
    writes: NDArray[np.uint8]
    fixed: NDArray[np.uint32]
    memory: Mask
    mod: NDArray[np.uint8]
    group: NDArray[np.uint8]
    reg: NDArray[np.int8]
    rm: NDArray[np.int8]

    @cached_property
    def _code(self) -> NDArray[np.uint16]:
        """Map and opcode as one number; of vector instructions one that no other has."""
        return np.where(self.vector, 1024, self.map * np.uint16(256) + self.byte).astype(np.uint16)

    def ones(self, *opcodes: int) -> Mask:
        """Which are of one of these one-byte opcodes."""
        return self._among(opcodes)

    def twos(self, *opcodes: int) -> Mask:
        """Which are of one of these opcodes after 0F."""
        return self._among([256 + opcode for opcode in opcodes])

    def _among(self, codes: Sequence[int]) -> Mask:
        found: Mask
        if len(codes) == 1:
            found = self._code == codes[0]
        else:
            table = np.zeros(1025, bool)
            table[list(codes)] = True
            found = table.take(self._code)
        return found

    @property
    def wide(self) -> Mask:
        """Which have operands of 64 bits, by REX.W."""
        wide: Mask = self.rex & 8 != 0
        return wide


def read_fields(data: Bytes, at: Rows, length: NDArray[np.uint8]) -> Fields:
    """Take instructions apart.

    Args:
        data: code, with some bytes after it.
        at: where instructions begin.
        length: of each.
    """
    end, opcode = at + length, at.copy()
    gs, narrow, repeat = np.zeros((3, len(at)), bool)
    prefixed = np.flatnonzero(_PREFIX[data[at]])
    while len(prefixed):  # at most as often as an instruction is long
        byte = data[opcode[prefixed]]
        gs[prefixed] |= byte == _GS
        narrow[prefixed] |= byte == _NARROW
        repeat[prefixed] |= byte == _REPEAT
        opcode[prefixed] += 1
        more = _PREFIX[data[opcode[prefixed]]] & (opcode[prefixed] < end[prefixed])
        prefixed = prefixed[more]
    byte = data[opcode]
    rex = np.where(byte & 0xF0 == 0x40, byte, 0).astype(np.uint8)
    opcode += rex != 0
    byte = data[opcode]
    vector = (byte == 0xC4) | (byte == 0xC5) | (byte == 0x62)
    map_ = np.zeros(len(at), np.uint8)
    escaped = np.flatnonzero(byte == 0x0F)
    opcode[escaped] += 1
    map_[escaped] = 1
    third = data[opcode[escaped]]
    for value, number in ((0x38, 2), (0x3A, 3)):
        rows = escaped[third == value]
        opcode[rows] += 1
        map_[rows] = number
    byte, modrm = data[opcode], data[opcode + 1]
    tables, which = write_tables(), map_ * np.uint16(256) + byte
    writes, fixed = tables[0][which], tables[1][which]
    # Without a ModRM byte: as if of a register, which nothing reads.
    mod = np.where(writes & Writes.MODRM != 0, modrm >> 6, 3).astype(np.uint8)
    group = (modrm >> 3 & 7).astype(np.uint8)
    reg = (group + ((rex & 4) << 1)).astype(np.int8)
    rm = ((modrm & 7) + ((rex & 1) << 3)).astype(np.int8)
    return Fields(
        at, end, opcode, map_, byte, modrm, rex, gs, narrow, repeat, vector, writes, fixed,
        mod != 3, mod, group, reg, rm,
    )  # fmt: skip
