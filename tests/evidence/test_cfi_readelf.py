"""Call frame information of compiled programs, held against how binutils reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.evidence.cfi import cfi_rows
from stackgauge.evidence.table import UNKNOWN, Base
from stackgauge.image.elf import parse_elf
from stackgauge.image.relocate import relocated
from stackgauge.image.source import map_file
from stackgauge.image.symbols import elf_symbols
from tests.evidence.cfi_sections import isa
from tests.oracles.readelf_frames import readelf_frames

SOURCE = """
extern void *memory;
void use(void *pointer) { memory = pointer; }
void *memory;
int leaf(int a) { return a + 1; }
void small(void) { char room[40]; use(room); }
void large(void) { char room[100000]; use(room); }
void dynamic(unsigned long n) { char *room = __builtin_alloca(n); use(room); use(&room); }
void variable(int n) { int room[n]; use(room); use(room + 1); }
void realigned(int n) { char room[64] __attribute__((aligned(64))); room[0] = n; use(room); }
void both(int n) {
    char room[64] __attribute__((aligned(128)));
    use(room);
    use(__builtin_alloca(n));
}
int many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j)
{
    int room[4] = {a * b, c * d, e * f, g * h};
    use(room);
    return room[1] + i * j;
}
int branches(int a, int b)
{
    char room[200];
    if (a == b)
        return leaf(a);
    for (int i = 0; i < a; i++) {
        use(room + i);
        if (room[0] == b)
            return b;
        if (room[1] == b)
            use(memory);
        else
            return leaf(b);
    }
    return many(a, b, a, b, a, b, a, b, a, b);
}
"""

# Which section the compiler writes, and how the program is linked.
KINDS = {
    "debug": (".debug_frame", ("-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")),
    "eh": (".eh_frame", ("-fasynchronous-unwind-tables",)),
    "shared eh": (".eh_frame", ("-fasynchronous-unwind-tables", "-shared", "-fPIC")),
}
LEVELS = ("-O0", "-O2 -fomit-frame-pointer", "-O2 -fno-omit-frame-pointer", "-Os")
# Compiler, more options, what readelf's registers are called after, the stack pointer's number.
TARGETS = {
    "x86_64": ("gcc", (), "x86_64", 7),
    "i386": ("gcc", ("-m32",), "i386", 4),
    "arm64": ("aarch64-linux-gnu-gcc", (), "arm64", 31),
}


def compiled(folder: Path, target: str, level: str, *options: str) -> Path:
    """SOURCE compiled; what is not for every target or way of linking is in ``options``."""
    compiler, of_target, _, _ = TARGETS[target]
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    source, program = folder / "source.c", folder / "program"
    source.write_text(SOURCE)
    command = [compiler, *of_target, *level.split(), "-w", "-ffreestanding", "-fno-stack-protector"]
    subprocess.run([*command, *options, str(source), "-o", str(program)], check=True)
    return program


def compare(program: Path, target: str, section: str) -> None:
    """Hold every row against binutils'; of an object, all of whose code must be in .text."""
    _, _, registers, sp_register = TARGETS[target]
    elf = parse_elf(map_file(program), program)
    symbols = elf_symbols(elf)
    cfi = cfi_rows(elf, isa(sp_register), lambda name: relocated(elf, name, symbols))
    truth = readelf_frames(program, registers, section).by_address()
    text = elf.section(".text")
    base = np.uint64(text.address if elf.relocatable and text else 0)
    assert len(truth.fde_start) >= 10
    np.testing.assert_array_equal(cfi.fde_start, truth.fde_start + base)
    np.testing.assert_array_equal(cfi.fde_end, truth.fde_end + base)
    np.testing.assert_array_equal(cfi.rows.start, truth.start + base)
    np.testing.assert_array_equal(cfi.rows.end, truth.end + base)
    np.testing.assert_array_equal(cfi.register, truth.register)
    depth = np.where((truth.register < 0) | (truth.offset < 0), UNKNOWN, truth.offset)
    np.testing.assert_array_equal(cfi.rows.depth, depth)
    np.testing.assert_array_equal(cfi.rows.base == Base.SP, truth.register == sp_register)
    assert cfi.skipped == {}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_programs(tmp_path: Path, target: str, level: str, kind: str) -> None:
    section, options = KINDS[kind]
    link = ("-nostdlib", "-static", "-no-pie", "-fno-pie", "-Wl,-e,leaf")
    compare(compiled(tmp_path, target, level, *link, *options), target, section)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["debug", "eh"])
def test_objects(tmp_path: Path, target: str, kind: str) -> None:
    section, options = KINDS[kind]
    whole = ("-c", "-fno-pie", "-fno-reorder-functions", "-fno-reorder-blocks-and-partition")
    compare(compiled(tmp_path, target, "-O2", *whole, *options), target, section)
