"""What location expressions say of a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.image.dwarf_operations import Evaluator, Place

# Registers of x86-64: the frame pointer is 16 bytes below the CFA, the stack pointer 200.
REGISTERS = {6: -16, 7: -200}


def evaluator(order: str = "<") -> Evaluator:
    return Evaluator(order, 8, 0, REGISTERS.get)


def home(offset: int, size: int | None = None) -> Place:
    return Place(offset, size, home=True)


def load(offset: int, size: int = 8) -> Place:
    return Place(offset, size, home=False)


# DWARF 5, section 7.7.1, by what compilers write.
EXPRESSIONS = {
    "fbreg -100": ("91 9c 7f", [home(-100)]),
    "breg7 +80": ("77 d0 00", [home(-120)]),
    "breg6 -40": ("76 58", [home(-56)]),
    "bregx 7, 8": ("92 07 08", [home(-192)]),
    "call_frame_cfa; const1s -24; plus": ("9c 09 e8 22", [home(-24)]),
    "call_frame_cfa; const1u 24; minus": ("9c 08 18 1c", [home(-24)]),
    "fbreg -128; plus_uconst 8": ("91 80 7f 23 08", [home(-120)]),
    "breg6 -40; const1s -16; and; const2u 936; minus":
        ("76 58 09 f0 1a 0a a8 03 1c", [home(-992)]),
    "breg7 0; lit8; plus": ("77 00 38 22", [home(-192)]),
    "lit8; breg7 0; swap; plus": ("38 77 00 16 22", [home(-192)]),
    "breg7 0; dup; drop; nop": ("77 00 12 13 96", [home(-200)]),
    "breg7 0; lit1; over; plus": ("77 00 31 14 22", [home(-199)]),
    "breg7 0; lit1; pick 1": ("77 00 31 15 01", [home(-200)]),
    "breg7 0; GNU_uninit": ("77 00 f0", [home(-200)]),
    # In registers, constants, addresses of other data, arguments as they came in.
    "reg5": ("55", []),
    "regx 40": ("90 28", []),
    "lit1; stack_value": ("31 9f", []),
    "addr": ("03 00 00 00 00 00 00 00 81", []),
    "breg5 0": ("75 00", []),
    "entry_value(reg5); stack_value": ("a3 01 55 9f", []),
    "implicit_value": ("9e 02 ff ff", []),
    "implicit_pointer": ("a0 01 02 03 04 00", []),
    "breg7 96; stack_value": ("77 e0 00 9f", []),
    # Computed from what was saved.
    "fbreg -100; deref; stack_value": ("91 9c 7f 06 9f", [load(-100)]),
    "fbreg -100; deref": ("91 9c 7f 06", [load(-100)]),
    "fbreg -100; deref_size 4; shl; stack_value": ("91 9c 7f 94 04 33 24 9f", [load(-100, 4)]),
    "fbreg -8; deref_type 4; convert; stack_value": ("91 78 a6 04 2a a8 2a 9f", [load(-8, 4)]),
    "fbreg -8; deref; plus_uconst 8; deref; stack_value": ("91 78 06 23 08 06 9f", [load(-8)]),
    # In pieces.
    "fbreg -16; piece 8; reg0; piece 8": ("91 70 93 08 50 93 08", [home(-16, 8)]),
    "piece 4; fbreg -4; piece 4": ("93 04 91 7c 93 04", [home(-4, 4)]),
    "fbreg -4; bit_piece 12, 0": ("91 7c 9d 0c 00", [home(-4, 2)]),
    "lit0; stack_value; piece 8; fbreg -8; piece 8": ("30 9f 93 08 91 78 93 08", [home(-8, 8)]),
    # Nonsense: what came before counts.
    "two places added": ("77 00 77 00 22", []),
    "nothing to add": ("22", []),
    "a jump": ("77 00 2f 00 00", []),
    "cut off": ("91 80", []),
    "unknown": ("91 78 93 04 ff", [home(-8, 4)]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "places"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_places(text: str, places: list[Place]) -> None:
    assert evaluator().places(bytes.fromhex(text)) == places


def test_constants_have_the_byte_order_of_the_file() -> None:
    assert evaluator(">").places(bytes.fromhex("9c 0b ff 38 22")) == [home(-200)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9c", 0),
        ("56", -16),
        ("76 08", -8),
        ("52", None),
        ("72 00", None),
        ("06", None),
        ("", None),
    ],
)
def test_frame_bases(text: str, address: int | None) -> None:
    assert evaluator().address(bytes.fromhex(text)) == address


@given(st.binary(max_size=60))
def test_no_bytes_raise(expression: bytes) -> None:
    for place in evaluator().places(expression):
        assert place.size is None or place.size >= 0
    evaluator().address(expression)
