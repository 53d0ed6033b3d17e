"""The opcode maps, as the tables that the reader looks instructions up in.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, appendix A
("Opcode Map") and chapter 2 ("Instruction Format"). Only what decides an instruction's length is
here: whether a ModRM byte follows the opcode, and how long the immediate is.

The tables have 65,536 entries, one for each two bytes that follow each other: at ``first + 256 *
second``, so that code is looked up by its little-endian words.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# Kinds of immediate, and their lengths in bytes by ``immediate_sizes``.
NO_IMM, IMM8, IMM16, IMM_ENTER, IMM32, IMM_Z, MOFFS, FAR, GROUP3B, GROUP3Z = range(10)

# A length that the two bytes say whole is below SIB. With SIB added it is four bytes longer where
# the SIB byte's base is 5; the others stand for what has to be looked at further.
SIB, REX, REX_IMM64, ESCAPE, VECTOR, PREFIX = 0x10, 0x20, 0x21, 0x40, 0x41, 0x42
# In the table of two-byte opcodes: the maps of three-byte ones.
MAP_38, MAP_3A = 0x40, 0x41


LEGACY_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)
OPERAND_SIZE = 0x66

_Map = dict[int, tuple[bool, int]]


def _one_byte(bits: int) -> _Map:
    """Table A-2: opcode to (ModRM follows, kind of immediate)."""
    table: _Map = dict.fromkeys(range(256), (False, NO_IMM))
    for row in range(0, 0x40, 8):
        table.update({row + column: (True, NO_IMM) for column in range(4)})
        table[row + 4] = (False, IMM8)
        table[row + 5] = (False, IMM_Z)
    for opcode in (0x62, 0x63, *range(0x84, 0x90), *range(0xD0, 0xD4), *range(0xD8, 0xE0)):
        table[opcode] = (True, NO_IMM)
    for opcode in (0xC4, 0xC5, 0xFE, 0xFF):
        table[opcode] = (True, NO_IMM)
    for opcode in (0x6B, 0x80, 0x82, 0x83, 0xC0, 0xC1, 0xC6):
        table[opcode] = (True, IMM8)
    for opcode in (0x69, 0x81, 0xC7):
        table[opcode] = (True, IMM_Z)
    for opcode in (0x6A, 0xA8, 0xCD, 0xD4, 0xD5, 0xEB, *range(0x70, 0x80), *range(0xE0, 0xE8)):
        table[opcode] = (False, IMM8)
    table.update(dict.fromkeys(range(176, 184), (False, IMM8)))
    table.update(dict.fromkeys((104, 169, *range(184, 192)), (False, IMM_Z)))
    table.update(dict.fromkeys((232, 233), (False, IMM32)))
    table.update(dict.fromkeys(range(160, 164), (False, MOFFS)))
    table.update(dict.fromkeys((194, 202), (False, IMM16)))
    table[0xC8] = (False, IMM_ENTER)
    table[0xF6] = (True, GROUP3B)
    table[0xF7] = (True, GROUP3Z)
    if bits == 32:
        table.update(dict.fromkeys((154, 234), (False, FAR)))
    return table


def _two_byte() -> _Map:
    """Table A-3: the opcodes after 0F."""
    table: _Map = dict.fromkeys(range(256), (True, NO_IMM))
    bare = [0x05, 0x06, 0x07, 0x08, 0x09, 0x0B, 0x0E, 0x77, 0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA]
    for opcode in (*bare, *range(0x30, 0x38), *range(0xC8, 0xD0)):
        table[opcode] = (False, NO_IMM)
    table.update(dict.fromkeys(range(128, 144), (False, IMM32)))
    # Moves from and to control and debug registers take ModRM.mod for 3, whatever it is, so
    # that byte alone follows.
    table.update(dict.fromkeys(range(32, 36), (False, IMM8)))
    for opcode in (0x0F, 0x70, 0x71, 0x72, 0x73, 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6):
        table[opcode] = (True, IMM8)
    return table


def _lengths(opcode_bytes: int, opcodes: _Map, bits: int) -> NDArray[np.uint8]:
    """Lengths by an opcode and the byte after it, shape (256, 256), the opcode last."""
    immediate = immediate_sizes(bits)
    table = np.zeros((256, 256), np.uint8)
    address = _address_sizes()
    for opcode, (modrm, imm) in opcodes.items():
        table[:, opcode] = opcode_bytes + immediate[imm]
        if modrm:
            table[:, opcode] += address
        if imm in (GROUP3B, GROUP3Z):
            # Group 3 has an immediate only for TEST, whose ModRM.reg is 0 or 1.
            is_test = np.arange(256) >> 3 & 7 < 2
            table[is_test, opcode] += 1 if imm == GROUP3B else 4
    return table


def _address_sizes() -> NDArray[np.uint8]:
    """Bytes of ModRM, SIB and displacement by the ModRM byte, SIB added where that is not all.

    Volume 2, tables 2-2 and 2-3 (32-bit and 64-bit addressing).
    """
    sizes = np.ones(256, np.uint8)
    for modrm in range(0xC0):
        mod, rm = modrm >> 6, modrm & 7
        sizes[modrm] += (0, 1, 4)[mod]
        if rm == 4:
            sizes[modrm] += 1 if mod else 1 + SIB
        elif rm == 5 and mod == 0:
            sizes[modrm] += 4
    return sizes


@cache
def length_table(bits: int) -> NDArray[np.uint8]:
    """The length of an instruction by its first two bytes, or what else there is to look at."""
    table = _lengths(1, _one_byte(bits), bits)
    table[:, 0x0F] = ESCAPE
    # In 32-bit mode these are LES, LDS and BOUND but where ModRM.mod is 3.
    table[0xC0 if bits == 32 else 0 :, [0xC4, 0xC5, 0x62]] = VECTOR
    if bits == 64:
        table[:, 0x40:0x50] = REX
        table[0xB8:0xC0, 0x48:0x50] = REX_IMM64
        table[[[byte] for byte in (*LEGACY_PREFIXES, *range(0x40, 0x50))], 0x40:0x50] = PREFIX
    table[:, list(LEGACY_PREFIXES)] = PREFIX
    return table.reshape(-1)


@cache
def two_byte_table(bits: int) -> NDArray[np.uint8]:
    """The same for opcodes after 0F, by the opcode and the byte after it; 0F counts."""
    table = _lengths(2, _two_byte(), bits)
    table[:, 0x38], table[:, 0x3A] = MAP_38, MAP_3A
    return table.reshape(-1)


@cache
def modrm_table() -> NDArray[np.uint8]:
    """Bytes of ModRM, SIB and displacement, by the ModRM byte and the one after it."""
    table = np.repeat(_address_sizes()[None, :], 256, axis=0)
    no_base = (np.arange(256) & 7 == 5)[:, None]
    table += np.where((table >= SIB) & no_base, 4, 0).astype(np.uint8)
    return (table & np.uint8(SIB - 1)).reshape(-1)


@cache
def shrink_table(bits: int) -> NDArray[np.bool_]:
    """Whether an operand-size prefix takes two bytes of the immediate, by opcode and next byte."""
    table = np.zeros((256, 256), bool)
    for opcode, (_, imm) in _one_byte(bits).items():
        table[:, opcode] = imm == IMM_Z
    table[:, 0xF7] = np.arange(256) >> 3 & 7 < 2
    return table.reshape(-1)


@cache
def immediate_sizes(bits: int) -> NDArray[np.uint8]:
    """Bytes of each kind of immediate, without an operand-size prefix; of group 3 none."""
    sizes = np.zeros(16, np.uint8)
    for kind, size in (
        (IMM8, 1), (IMM16, 2), (IMM_ENTER, 3), (IMM32, 4), (IMM_Z, 4), (MOFFS, bits // 8), (FAR, 6),
    ):  # fmt: skip
        sizes[kind] = size
    return sizes


@cache
def vector_maps() -> NDArray[np.bool_]:
    """Of VEX and EVEX maps 1 to 3 (0F, 0F 38, 0F 3A): ModRM follows, an immediate; (2, 3, 256).

    Every opcode has a ModRM byte, ``vzeroupper`` (0F 77) aside; an immediate follows where the
    legacy opcode has one, and in the whole of map 3.
    """
    modrm, immediate = np.ones((3, 256), bool), np.zeros((3, 256), bool)
    modrm[0, 0x77] = False
    immediate[0, [opcode for opcode, (_, imm) in _two_byte().items() if imm == IMM8]] = True
    immediate[0, 0x77] = False
    immediate[2] = True
    return np.stack([modrm, immediate])
