"""Lengths of x86 instructions, held against the decoder iced-x86."""

import iced_x86
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.isa.x86.lengths import LONGEST, TAIL, instruction_lengths

# Opcodes and prefixes that decide a length, oftener than chance would have them.
TELLING = st.sampled_from(
    bytes.fromhex("66 67 f2 f3 0f 38 3a 48 41 c4 c5 62 81 83 f6 f7 c8 e8 a0 b8")
)
CODE = st.lists(st.one_of(TELLING, st.integers(0, 255)), min_size=LONGEST, max_size=40).map(bytes)

PREFIXES = bytes.fromhex("26 2e 36 3e 64 65 66 67 f0 f2 f3")
REX = bytes(range(0x40, 0x50))


def padded(code: bytes) -> np.ndarray:
    return np.frombuffer(code + b"\0" * TAIL, np.uint8)


def lengths(code: bytes, bits: int) -> list[int]:
    return list(map(int, instruction_lengths(padded(code), bits)))


@given(CODE)
@settings(max_examples=300, deadline=None)
def test_every_valid_instruction_has_the_length_that_iced_gives(code: bytes) -> None:
    got = lengths(code, 64)
    for at in range(len(code) - LONGEST + 1):
        piece = code[at : at + LONGEST]
        # A 32-bit absolute address in 64-bit code does not occur in kernels.
        if 0x67 in piece[: len(piece) - len(piece.lstrip(PREFIXES + REX))]:
            continue
        instruction = next(iter(iced_x86.Decoder(64, piece)))
        if instruction.code != iced_x86.Code.INVALID:
            assert got[at] == instruction.len, (piece.hex(), str(instruction))


@given(CODE)
@settings(max_examples=200, deadline=None)
def test_32_bit_code_with_32_bit_addresses_too(code: bytes) -> None:
    got = lengths(code, 32)
    for at in range(len(code) - LONGEST + 1):
        piece = code[at : at + LONGEST]
        # 16-bit addressing and operand-sized branches do not occur in kernels.
        prefixes = piece[: len(piece) - len(piece.lstrip(PREFIXES))]
        if 0x67 in prefixes or 0x66 in prefixes:
            continue
        instruction = next(iter(iced_x86.Decoder(32, piece)))
        if instruction.code != iced_x86.Code.INVALID:
            assert got[at] == instruction.len, (piece.hex(), str(instruction))


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("48 b8 00 00 00 00 00 00 00 00", 10),  # movabs
        ("66 81 c4 00 01", 5),  # an immediate of two bytes
        ("66 48 81 c4 00 01 00 00", 8),  # REX.W undoes the prefix
        ("f7 c0 00 00 00 00", 6),  # test has an immediate
        ("f7 d8", 2),  # neg has none
        ("62 f1 7c 48 10 44 24 01", 8),  # EVEX with SIB and a displacement
        ("66 2e 0f 1f 84 00 00 00 00 00", 10),  # the ten-byte NOP
        ("c8 10 00 00", 4),  # enter
        ("48 8b 04 25 00 00 00 00", 8),  # SIB without a base
    ],
)
def test_known_lengths(code: str, length: int) -> None:
    assert lengths(bytes.fromhex(code), 64)[0] == length


@given(st.binary(min_size=1, max_size=40), st.sampled_from([32, 64]))
def test_no_bytes_make_stepping_stand_still(code: bytes, bits: int) -> None:
    assert min(lengths(code, bits)) >= 1
    assert min(lengths(code + b"\x66", bits)) >= 1
