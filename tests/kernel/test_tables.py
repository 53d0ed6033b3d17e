"""Alternatives: the code that may stand in another's place, in the layouts of each release."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from stackgauge.kernel.tables import replacements, table_jumps
from tests.image.tiny_elf import ALLOC, EXEC, Section
from tests.kernel.images import image

TEXT, POOL, TABLE = 0x10_0000, 0x20_0000, 0x30_0000
AARCH64 = 183

# Where code stands, where its replacement does, and how long that is.
SITES = [(TEXT + 16, POOL, 2), (TEXT + 32, POOL + 2, 5), (TEXT + 48, POOL + 7, 0),
         (TEXT + 64, POOL + 7, 9)]  # fmt: skip

# By the release that brought it: bytes of an entry, and what stands behind its two places.
LAYOUTS = {"4.0": (13, "HBBB"), "5.13": (12, "HBB"), "6.3": (14, "IBB")}


def table(size: int, rest: str, sites: list[tuple[int, int, int]] = SITES) -> bytes:
    raw = b""
    for number, (site, start, length) in enumerate(sites):
        at = TABLE + number * size
        numbers = (3, 9, length, 0)[: len(rest)]
        raw += struct.pack("<ii" + rest, site - at, start - at - 4, *numbers)
    assert len(raw) == size * len(sites)
    return raw


def found(raw: bytes, machine: int = 62) -> list[tuple[int, int, int]]:
    elf = image(
        Section(".text", bytes(256), TEXT, flags=ALLOC | EXEC),
        Section(".altinstr_replacement", bytes(16), POOL, flags=ALLOC | EXEC),
        Section(".altinstructions", raw, TABLE),
        machine=machine,
    ).elf
    result = replacements(elf, elf.contents)
    return list(
        zip(
            result.site.tolist(),
            result.start.tolist(),
            (result.end - result.start).tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("release", LAYOUTS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_layouts_of_x86(release: str, count: int) -> None:
    assert found(table(*LAYOUTS[release], SITES[:count])) == SITES[:count]


@pytest.mark.parametrize("release", LAYOUTS)
def test_many_entries(release: str) -> None:
    # As many as have each layout's size in common.
    many = [(TEXT + at % 256, POOL + at % 8, at % 7) for at in range(12 * 13 * 14)]
    assert found(table(*LAYOUTS[release], many)) == many


def test_a_callback_of_arm64_replaces_nothing_by_itself() -> None:
    sites = [(TEXT + 16, TABLE, 0), (TEXT + 32, POOL, 4), (TEXT + 48, TABLE, 0)]
    assert found(table(12, "HBB", sites), AARCH64) == [
        (TEXT + 16, TEXT + 16, 0),
        (TEXT + 48, TEXT + 48, 0),
    ]


def test_what_is_not_understood_says_nothing() -> None:
    beyond = [(TEXT + 16, POOL + 900, 5)]
    assert found(table(*LAYOUTS["6.3"], beyond)) == []
    assert found(b"\x55" * 42) == []
    assert found(b"\0" * 7) == []
    assert found(b"") == []
    assert found(b"\0" * 7, AARCH64) == []
    assert found(table(*LAYOUTS["5.13"]), 0xFFFF) == []


def test_the_static_branches_of_a_kernel_without_sections() -> None:
    # A flat image: the tables are known by the symbols around them.
    edges = [(TEXT + 4, TEXT + 8), (TEXT + 12, TEXT + 4)]
    raw = b"".join(
        struct.pack("<iiq", source - (TABLE + 16 * at), target - (TABLE + 16 * at + 4), 0)
        for at, (source, target) in enumerate(edges)
    )
    made = image(
        Section(".data", raw, TABLE),
        Section(".text", bytes(256), TEXT, flags=ALLOC | EXEC),
        symbols={"__start___jump_table": TABLE, "__stop___jump_table": TABLE + len(raw)},
    )
    jumps = table_jumps(made.elf, made.symbols, made.elf.contents)
    assert list(zip(jumps.source.tolist(), jumps.target.tolist(), strict=True)) == edges
    for bounds in ((TABLE, TABLE), (TABLE + 32, TABLE), (TABLE, TABLE + 99), (0, (1 << 64) - 1)):
        names = ("__start___jump_table", "__stop___jump_table")
        made = image(Section(".data", raw, TABLE), symbols=dict(zip(names, bounds, strict=True)))
        jumps = table_jumps(made.elf, made.symbols, made.elf.contents)
        assert not len(jumps.source)
        assert jumps.source.dtype == np.uint64
