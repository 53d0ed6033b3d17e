"""Relocation against what GNU ld makes of the same object, laid out at the same addresses."""

from __future__ import annotations

import contextlib
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.relocate import relocated
from stackgauge.image.symbols import elf_symbols
from tests.image.tiny_elf import ALLOC, ET_REL, EXEC, RELA, Section, write_elf, write_symbols

SOURCE = r"""
extern int printf_(const char *, ...);
extern int other_data[4];
static int counter;
int table[3] = {1, 2, 3};
int *pointer_inside = &table[2];
static int helper(int x) { return x * 3 + counter; }
__attribute__((noinline)) int callee(int x) { return helper(x) + table[x & 1]; }
int (*const pointers[])(int) = { callee, helper, callee };
__attribute__((section(".init.text"), noinline)) int start(int x)
{
    counter += x;
    return callee(x);
}
int caller(int x)
{
    if (x > 100)
        return start(x);
    switch (x) {
    case 0: return callee(1);
    case 1: return callee(7) + 1;
    case 2: return start(3);
    case 3: return table[1];
    case 4: return *pointer_inside;
    case 5: return pointers[counter](2);
    }
    return callee(x) + 4;
}
/* A branch of each kind that goes to another section, and data relative to itself. */
#ifdef __aarch64__
__asm__(".section .text.branches,\"ax\"\n"
        "branches: tbz x0, #3, near\n b.eq near\n cbz w1, near\n b callee\n bl callee\n ret\n"
        ".section .text.near,\"ax\"\nnear: ret\n"
        ".section .rodata.relative,\"a\"\n"
        ".word callee - .\n.xword table - .\n.word helper - . + 8\n");
#else
__asm__(".section .text.branches,\"ax\"\n"
        "branches: je callee\n jmp callee\n call callee\n ret\n"
        ".section .rodata.relative,\"a\"\n.long callee - .\n.long table - . + 8\n");
#endif
#ifdef __x86_64__
__asm__(".quad callee - .\n.quad table - . - 8\n");
#endif
"""

COMPILERS = {
    "x86_64": ("gcc", ["-mcmodel=kernel"], ""),
    "x86_64-pic": ("gcc", ["-fpic", "-fvisibility=hidden"], ""),
    "i386": ("gcc", ["-m32"], ""),
    "arm64": ("aarch64-linux-gnu-gcc", [], "aarch64-linux-gnu-"),
    "arm64-big": ("aarch64-linux-gnu-gcc", ["-mbig-endian"], "aarch64-linux-gnu-"),
}

# R_AARCH64_ADR_PREL_PG_HI21, ADD_ABS_LO12_NC and LDST*_ABS_LO12_NC, which are not applied: they
# put addresses of data into code.
ADDRESS_IN_CODE = {275, 277, 278, 284, 285, 286, 299}
NOT_APPLIED = {"arm64": ADDRESS_IN_CODE, "arm64-big": ADDRESS_IN_CODE}


def read(path: Path) -> Elf:
    return parse_elf(np.fromfile(path, np.uint8), path)


def compile_object(folder: Path, name: str) -> Elf:
    compiler, options, _ = COMPILERS[name]
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is missing")
    (folder / "source.c").write_text(SOURCE)
    command = [compiler, "-c", "-O2", "-fno-pie", "-ffreestanding", *options, "source.c"]
    subprocess.run([*command, "-o", "object.o"], cwd=folder, check=True)
    return read(folder / "object.o")


def link(folder: Path, elf: Elf, name: str) -> Elf:
    """The object as ld links it with every allocated section where Elf lays it out."""
    places = "".join(
        f"  {section} {int(elf.headers['addr'][index]):#x} : {{ *({section}) }}\n"
        for index, section in enumerate(elf.names)
        if int(elf.headers["flags"][index]) & ALLOC and int(elf.headers["size"][index])
    )
    undefined = "".join(f"{symbol} = 0;\n" for symbol in ("printf_", "other_data"))
    script = f"{undefined}SECTIONS {{\n{places}  /DISCARD/ : {{ *(.note*) *(.comment) }}\n}}\n"
    (folder / "script.ld").write_text(script)
    emulation = {"i386": ["-m", "elf_i386"], "arm64-big": ["-EB"]}.get(name, [])
    linker = COMPILERS[name][2] + "ld"
    subprocess.run(
        [linker, *emulation, "-T", "script.ld", "-e", "caller", "object.o", "-o", "linked"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return read(folder / "linked")


def fields_of_types(elf: Elf, section: int, types: set[int]) -> NDArray[np.bool_]:
    """Which bytes of a section have a relocation of one of ``types`` (all have 4 bytes)."""
    found = np.zeros(int(elf.headers["size"][section]), bool)
    for table in elf.relocation_tables.get(section, []):
        rows = elf.words(table, "u8").reshape(-1, 3)
        for place in rows[np.isin(rows[:, 1] & np.uint64(0xFFFFFFFF), list(types)), 0].tolist():
            found[place : place + 4] = True
    return found


@pytest.mark.parametrize("name", COMPILERS)
def test_every_section_equals_what_ld_makes(tmp_path: Path, name: str) -> None:
    elf = compile_object(tmp_path, name)
    linked = link(tmp_path, elf, name)
    symbols = elf_symbols(elf)
    compared = 0
    for index, section in enumerate(elf.names):
        if section in (".eh_frame",) or not int(elf.headers["flags"][index]) & ALLOC:
            continue  # ld rewrites .eh_frame
        ours, theirs = relocated(elf, index, symbols), linked.contents(section)
        if not len(ours) or section.startswith(".note"):
            continue
        assert len(ours) == len(theirs)
        differs = ours != theirs
        if name in NOT_APPLIED:
            differs &= ~fields_of_types(elf, index, NOT_APPLIED[name])
        assert not differs.any(), (section, np.flatnonzero(differs)[:8])
        compared += bool(elf.relocation_tables.get(index))
    assert compared >= 5


def test_a_linked_file_is_left_as_it_is(tmp_path: Path) -> None:
    linked = link(tmp_path, compile_object(tmp_path, "x86_64"), "x86_64")
    symbols = elf_symbols(linked)
    assert (relocated(linked, ".text", symbols) == linked.contents(".text")).all()
    assert not len(relocated(linked, "absent", symbols))


def small(relocations: bytes, size: int = 16, machine: int = 62) -> Elf:
    data = write_elf(
        [
            Section(".text", bytes(size), flags=ALLOC | EXEC),
            Section(".rela.text", relocations, type=RELA, flags=0, link=3, info=1, entry_size=24),
            *write_symbols([("inside", 5, 1, 0x12), ("outside", 0, 0, 0x10)], 4),
        ],
        kind=ET_REL,
        machine=machine,
    )
    return parse_elf(np.frombuffer(data, np.uint8), "small.o")


def entry(place: int, kind: int, symbol: int, addend: int = 0) -> bytes:
    return struct.pack("<QQq", place, symbol << 32 | kind, addend)


def test_an_undefined_symbol_is_at_address_0() -> None:
    elf = small(entry(0, 1, 1, 2) + entry(8, 1, 2, 7))
    text = relocated(elf, ".text", elf_symbols(elf))
    section = elf.section(".text")
    assert section is not None
    assert text.view("<u8").tolist() == [section.address + 7, 7]
    assert not text.flags.writeable
    assert not elf.contents(".text").any()


def test_unknown_types_and_machines_change_nothing() -> None:
    for elf in (small(entry(0, 99, 1)), small(entry(0, 1, 1), machine=0x1234)):
        assert not relocated(elf, ".text", elf_symbols(elf)).any()


@pytest.mark.parametrize("place", [9, 16, 1 << 40, (1 << 64) - 1])
def test_a_place_outside_the_section_is_an_error(place: int) -> None:
    elf = small(entry(0, 1, 1) + struct.pack("<QQq", place, 1 << 32 | 1, 0))
    with pytest.raises(InputError, match=r"small\.o: is broken: a relocation lies outside \.text"):
        relocated(elf, ".text", elf_symbols(elf))


def test_a_symbol_that_does_not_exist_is_an_error() -> None:
    elf = small(entry(0, 1, 3))
    with pytest.raises(InputError, match="names a symbol that does not exist"):
        relocated(elf, ".text", elf_symbols(elf))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30), st.integers(0, 3)), max_size=9))
def test_any_relocations_raise_nothing_else(rows: list[tuple[int, int, int]]) -> None:
    for size in (0, 3, 16):
        elf = small(b"".join(entry(*row) for row in rows), size)
        with contextlib.suppress(InputError):
            relocated(elf, ".text", elf_symbols(elf))
