"""The opcode maps, as the tables that the reader looks instructions up in.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, appendix A
("Opcode Map") and chapter 2 ("Instruction Format"). Only what decides an instruction's length is
here: whether a ModRM byte follows the opcode, and how long the immediate is.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# Kinds of immediate, and their lengths in bytes by ``immediate_sizes``.
NO_IMM, IMM8, IMM16, IMM_ENTER, IMM32, IMM_Z, IMM_V64, MOFFS, FAR, GROUP3B, GROUP3Z = range(11)

# The word of the pair table: bits 0-2 bytes before ModRM, bit 3 ModRM, bits 4-7 the immediate,
# bit 8 a prefix (the rest is that of the bytes after it).
HAS_MODRM = 1 << 3
IMM_SHIFT = 4
IS_PREFIX = 1 << 8

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


def _word(opcode_bytes: int, modrm: bool, imm: int) -> int:
    return opcode_bytes | (HAS_MODRM if modrm else 0) | imm << IMM_SHIFT


@cache
def pair_table(bits: int) -> NDArray[np.uint16]:
    """What an instruction's first two bytes say of it: 65,536 words, first byte high."""
    one, two = _one_byte(bits), _two_byte()
    table = np.zeros((256, 256), np.uint16)
    for opcode, (modrm, imm) in one.items():
        table[opcode] = _word(1, modrm, imm)
    table[0x0F] = [_word(2, modrm, imm) for _, (modrm, imm) in sorted(two.items())]
    table[0x0F, 0x38] = _word(3, True, NO_IMM)
    table[0x0F, 0x3A] = _word(3, True, IMM8)
    if bits == 64:
        rex = table.copy()[:16]
        rex[:] = [_word(2, modrm, imm) for _, (modrm, imm) in sorted(one.items())]
        rex[:, list(LEGACY_PREFIXES)] = IS_PREFIX
        rex[:, [0x0F, *range(0x40, 0x50)]] = IS_PREFIX
        wide = rex[8:]  # REX.W: a 64-bit operand
        wide[:, 0xB8:0xC0] = _word(2, False, IMM_V64)
        for opcode in (0x69, 0x81, 0xC7, 0x05, 0x0D, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0xA9):
            # An operand-size prefix before REX.W has no effect.
            wide[:, opcode] = _word(2, one[opcode][0], IMM32)
        table[0x40:0x50] = rex
    for prefix in LEGACY_PREFIXES:
        table[prefix] = IS_PREFIX
    return table.reshape(-1)


@cache
def modrm_table() -> NDArray[np.uint8]:
    """Bytes of ModRM, SIB and displacement, by the ModRM byte (high) and the one after it.

    Volume 2, tables 2-2 and 2-3 (32-bit and 64-bit addressing).
    """
    table = np.ones((256, 256), np.uint8)
    for modrm in range(0xC0):
        mod, rm = modrm >> 6, modrm & 7
        table[modrm] += (0, 1, 4)[mod]
        if rm == 4:
            table[modrm] += 1
            if mod == 0:
                table[modrm, [sib for sib in range(256) if sib & 7 == 5]] += 4
        elif rm == 5 and mod == 0:
            table[modrm] += 4
    return table.reshape(-1)


@cache
def immediate_sizes(bits: int) -> NDArray[np.uint8]:
    """Bytes of each kind of immediate, without an operand-size prefix."""
    sizes = np.zeros(16, np.uint8)
    for kind, size in (
        (IMM8, 1), (IMM16, 2), (IMM_ENTER, 3), (IMM32, 4), (IMM_Z, 4), (IMM_V64, 8),
        (MOFFS, bits // 8), (FAR, 6),
    ):  # fmt: skip
        sizes[kind] = size
    return sizes


@cache
def vector_map(which: int) -> NDArray[np.uint16]:
    """The words of a VEX or EVEX opcode map (1: 0F, 2: 0F 38, 3: 0F 3A), 256 of them.

    Every opcode has a ModRM byte, ``vzeroupper`` (0F 77) aside; an immediate follows where the
    legacy opcode has one, and in the whole of map 3.
    """
    if which == 3:
        return np.full(256, _word(1, True, IMM8), np.uint16)
    table = np.full(256, _word(1, True, NO_IMM), np.uint16)
    if which == 1:
        for opcode, (_, imm) in _two_byte().items():
            if imm == IMM8:
                table[opcode] = _word(1, True, IMM8)
        table[0x77] = _word(1, False, NO_IMM)
    return table
