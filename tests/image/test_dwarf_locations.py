"""Location lists of both kinds, made by hand (DWARF 5, section 7.7.3; DWARF 4, section 2.6.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.image.dwarf_bytes import Dwarf
from stackgauge.image.dwarf_locations import AT_LOCLISTS_BASE, Location, locations
from stackgauge.image.dwarf_tree import Entry, Value

AT_LOCATION = 0x02
BASE = 0x10000
SEC_OFFSET, LOCLISTX, EXPRLOC, ADDR = 0x17, 0x22, 0x18, 0x01
X, Y = b"\x91\x70", b"\x55"


@dataclass
class _Tree:
    dwarf: Dwarf


@dataclass
class _Unit:
    """As much of a unit as lists need: its version, and its base addresses."""

    version: int
    tree: _Tree
    raw: bytes = b"\x91\x70"
    root: Any = None


def unit(version: int, sections: dict[str, bytes], order: str = "<") -> Any:
    def contents(name: str) -> Any:
        return np.frombuffer(sections.get(name, b""), np.uint8)

    made = _Unit(version, _Tree(Dwarf(order, 8, contents)))
    values = {
        0x11: Value(ADDR, BASE),
        0x73: Value(SEC_OFFSET, 8),
        AT_LOCLISTS_BASE: Value(SEC_OFFSET, 4),
    }
    made.root = Entry(made, 0, 0x11, False, values, 0)  # type: ignore[arg-type]
    return made


def listed(made: Any, form: int = SEC_OFFSET, number: int = 0) -> list[Location]:
    return locations(
        Entry(made, 0, 0x34, False, {AT_LOCATION: Value(form, number)}, 0), AT_LOCATION
    )


def block(expression: bytes) -> bytes:
    return bytes([len(expression)]) + expression


ADDRESSES = bytes(8) + struct.pack("<3Q", 0x500, 0x600, 0x700)
ENTRIES = {
    "offset_pair": (b"\x04\x10\x20" + block(X), [Location(BASE + 0x10, BASE + 0x20, X)]),
    "startx_endx": (b"\x02\x00\x02" + block(X), [Location(0x500, 0x700, X)]),
    "startx_length": (b"\x03\x01\x08" + block(X), [Location(0x600, 0x608, X)]),
    "base_addressx": (b"\x01\x01\x04\x01\x02" + block(X), [Location(0x601, 0x602, X)]),
    "default_location": (b"\x05" + block(Y), [Location(None, None, Y)]),
    "base_address": (
        b"\x06" + struct.pack("<Q", 0x9000) + b"\x04\x01\x02" + block(X),
        [Location(0x9001, 0x9002, X)],
    ),
    "start_end": (b"\x07" + struct.pack("<QQ", 1, 9) + block(X), [Location(1, 9, X)]),
    "start_length": (b"\x08" + struct.pack("<Q", 16) + b"\x04" + block(X), [Location(16, 20, X)]),
    "view_pair": (b"\x09\x01\x02\x04\x10\x20" + block(X), [Location(BASE + 16, BASE + 32, X)]),
    "two": (
        b"\x04\x10\x20" + block(X) + b"\x04\x20\x90\x01" + block(Y),
        [Location(BASE + 0x10, BASE + 0x20, X), Location(BASE + 0x20, BASE + 0x90, Y)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "found"), ENTRIES.values(), ids=ENTRIES)
def test_lists_of_dwarf_5(raw: bytes, found: list[Location]) -> None:
    made = unit(5, {".debug_loclists": raw + b"\0", ".debug_addr": ADDRESSES})
    assert listed(made) == found
    # By number: a table of offsets, which count from it.
    table = bytes(4) + struct.pack("<II", 0, 8)
    made = unit(5, {".debug_loclists": table + raw + b"\0", ".debug_addr": ADDRESSES})
    assert listed(made, LOCLISTX, 1) == found


@pytest.mark.parametrize(("raw", "found"), ENTRIES.values(), ids=ENTRIES)
def test_a_list_that_does_not_end_counts_as_far_as_it_goes(
    raw: bytes, found: list[Location]
) -> None:
    for end in (b"", b"\xff", b"\x04"):
        made = unit(5, {".debug_loclists": raw + end, ".debug_addr": ADDRESSES})
        assert listed(made) == found


@pytest.mark.parametrize("order", ["<", ">"])
def test_lists_of_dwarf_4(order: str) -> None:
    def pair(start: int, end: int, expression: bytes | None = None) -> bytes:
        raw = struct.pack(order + "QQ", start, end)
        return (
            raw
            if expression is None
            else raw + struct.pack(order + "H", len(expression)) + expression
        )

    raw = pair(0x10, 0x20, X) + pair((1 << 64) - 1, 0x9000) + pair(1, 2, Y) + pair(0, 0)
    assert listed(unit(4, {".debug_loc": b"pad" + raw}, order), number=3) == [
        Location(BASE + 0x10, BASE + 0x20, X),
        Location(0x9001, 0x9002, Y),
    ]


def test_an_expression_holds_everywhere() -> None:
    made = unit(5, {})
    entry = Entry(made, 0, 0x34, False, {AT_LOCATION: Value(EXPRLOC, 0, 2)}, 0)
    assert locations(entry, AT_LOCATION) == [Location(None, None, X)]
    assert locations(entry, AT_LOCATION + 1) == []


@given(st.binary(max_size=80), st.sampled_from([4, 5]), st.integers(-4, 90))
def test_no_bytes_raise(raw: bytes, version: int, at: int) -> None:
    made = unit(version, {".debug_loclists": raw, ".debug_loc": raw, ".debug_addr": raw})
    listed(made, number=at)
    listed(made, LOCLISTX, at)
