from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.image.kallsyms import kallsyms_symbols
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import (
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
    STT_FUNC,
    STT_NOTYPE,
    STT_OBJECT,
    Symbols,
)
from tests.image.kallsyms_writer import LAYOUTS, TEXT, Layout, make_symbols, write_tables


def surrounded(tables: bytes, before: int) -> Bytes:
    """The tables with other data around them, some of it like parts of them."""
    rng = np.random.default_rng(7)
    head = rng.bytes(before // 2) + struct.pack("<64I", *range(0, 64 * 600, 600))
    head += struct.pack("<6I", 257, 0, 600, 0, 99_000, 0)
    head += struct.pack("<300H", *range(300))
    return np.frombuffer(head.ljust(before, b"\0") + tables + rng.bytes(5000), np.uint8)


BEFORE = 0x4000


def recovered(
    rows: list[tuple[int, str, str]], layout: Layout, address: int | None = None
) -> Symbols | None:
    if address is None:
        address = layout.text + 0x10000
    data = surrounded(write_tables(rows, layout, address + BEFORE), BEFORE)
    return kallsyms_symbols(data, layout.bits, layout.order, address, data[:0])


def listed(symbols: Symbols | None) -> list[tuple[int, str]]:
    assert symbols is not None
    names = [symbols.strings[at] for at in symbols.name.tolist()]
    return list(zip(symbols.value.tolist(), names, strict=True))


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("count", [300, 507, 508, 509, 700, 3000])
def test_every_layout_gives_the_same_symbols(name: str, count: int) -> None:
    layout = LAYOUTS[name]
    rows = make_symbols(layout, count)
    found = recovered(rows, layout)
    assert listed(found) == [(address, text) for address, _, text in rows]
    assert found is not None
    assert found.source == "kallsyms"
    assert found.find("_text") == layout.text
    assert found.find("work_1") is None


def test_letters_give_type_and_binding() -> None:
    layout = LAYOUTS["6.15-x86"]
    letters = "tTdDrRbBwWvVA?"
    rows = [(TEXT + i, letters[i % len(letters)], f"symbol_{i}") for i in range(600)]
    found = recovered(rows, layout)
    assert found is not None
    first = len(letters)
    assert found.type[:first].tolist() == (
        [STT_FUNC] * 2 + [STT_OBJECT] * 6 + [STT_FUNC] * 2 + [STT_OBJECT] * 2 + [STT_NOTYPE] * 2
    )
    local, glob, weak = STB_LOCAL, STB_GLOBAL, STB_WEAK
    assert found.binding[:first].tolist() == ([local, glob] * 4 + [weak] * 4 + [glob] + [local])
    assert not found.size.any()
    assert (found.section == -1).all()


def test_a_flat_image_counts_from_its_first_byte_where_addresses_are_in_place() -> None:
    layout = LAYOUTS["7.0-x86"]
    rows = make_symbols(layout)
    tables = write_tables(rows, layout, TEXT + BEFORE)
    data = surrounded(tables, BEFORE)
    found = kallsyms_symbols(data, 64, "<", None, data)
    assert listed(found) == [(address - TEXT, text) for address, _, text in rows]


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("first", ["_text", "_stext"])
def test_relative_base_may_stand_in_a_relocation(flat: bool, first: str) -> None:
    """In a position-independent kernel the field is 0, and .rela.dyn has its value."""
    load = 0xFFFF800008000000
    start = load if first == "_text" else load + 0x10000
    layout = replace(LAYOUTS["5.10-arm64"], text=start)
    rows = make_symbols(layout)
    tables = write_tables(rows, layout, load + BEFORE, base=0)
    place = load + BEFORE + 4 * len(rows) + -4 * len(rows) % 8
    entries = b"".join(
        struct.pack("<3Q", where, 1027, to)
        for where, to in [
            (load + 0x2000, load + 0x3000),
            (place - 0x70008, start + 8),
            (place, start),
            (place + 8, start + 0x40),
        ]
    )
    data = np.append(
        surrounded(tables, BEFORE)[:-5000], np.frombuffer(bytes(8) + entries, np.uint8)
    )
    data = data[len(data) % 8 :] if False else data
    relocations = data[len(data) - len(entries) :]
    if flat:
        pad = np.zeros(-(len(data) - len(entries)) % 8, np.uint8)
        data = np.concatenate([data[: len(data) - len(entries)], pad, relocations])
        relocations = data
    found = kallsyms_symbols(data, 64, "<", None if flat else load, relocations)
    assert listed(found) == [(address, text) for address, _, text in rows]


def test_without_tables_there_are_no_symbols() -> None:
    for data in (b"", b"\0" * 100_000, bytes(range(256)) * 400, surrounded(b"", BEFORE).tobytes()):
        array = np.frombuffer(data, np.uint8)
        for bits in (32, 64):
            for order in "<>":
                assert kallsyms_symbols(array, bits, order, 0, array) is None


def test_the_wrong_byte_order_finds_nothing() -> None:
    layout = LAYOUTS["6.15-x86"]
    data = surrounded(write_tables(make_symbols(layout), layout, TEXT), BEFORE)
    assert kallsyms_symbols(data, 64, ">", TEXT, data[:0]) is None


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 0.97])
def test_cut_off_tables_are_none(part: float) -> None:
    for layout in LAYOUTS.values():
        without = replace(layout, sequences=layout.sequences.replace("end", "none"))
        tables = write_tables(make_symbols(layout, 300), without, TEXT)
        data = surrounded(tables, BEFORE)
        data = data[: BEFORE + int(len(tables) * part)]
        assert kallsyms_symbols(data, layout.bits, layout.order, layout.text, data[:0]) is None


SEEDS = {
    name: surrounded(write_tables(make_symbols(layout, 300), layout, TEXT), 512)
    for name, layout in LAYOUTS.items()
}


@given(st.sampled_from(sorted(LAYOUTS)), st.data())
@settings(deadline=None)
def test_broken_tables_raise_nothing(name: str, data: st.DataObject) -> None:
    layout, tables = LAYOUTS[name], SEEDS[name].copy()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(tables) - 1))
        size = data.draw(st.sampled_from([1, 4, 64]))
        value = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
        tables[at : at + size] = value
    found = kallsyms_symbols(tables, layout.bits, layout.order, layout.text, tables)
    # What is found then is still a whole table.
    assert found is None or len(listed(found)) > 256
