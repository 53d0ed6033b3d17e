"""Branches and addresses of MIPS and PowerPC objects, relocated as GNU ld does it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.relocate import relocated
from stackgauge.image.symbols import elf_symbols

_MIPS = """
    .set noreorder
    .set nomacro
    .section .text.a, "ax"
one: jal two
    nop
    j two
    nop
    jal two + 8
    nop
    .section .text.b, "ax"
two: jal one
    nop
three: j three
    nop
    .section .rodata.words, "a"
    .word one, two + 4, three
"""
_MIPS64 = _MIPS.replace("    .word", "    .dword")
_RELEASE_6 = (
    _MIPS.replace("two: jal one", "two: bc one\n balc one\n beqzc $2, one\n b one\n nop\n jal one")
    + "    .word two - .\n"
)
_POWERPC = """
    .section .text.a, "ax"
one: bl two
    b two + 8
    beq two
    bdnz+ two
    bne- two
    .section .text.b, "ax"
two: bl one
three: b three
    blt one
    .section .rodata.words, "a"
    .long one, two + 4, three - .
"""
_POWERPC64 = _POWERPC + "    .quad one, two - . + 8\n"

# By name: the tools' prefix, options of the assembler, the source.
TARGETS = {
    "mips": ("mips-linux-gnu-", ["-mips32r2"], _MIPS),
    "mipsel": ("mipsel-linux-gnu-", ["-mips32r2"], _MIPS),
    "mips-release-6": ("mips-linux-gnu-", ["-mips32r6"], _RELEASE_6),
    "mips64": ("mips64-linux-gnuabi64-", [], _MIPS64),
    "mips64el": ("mips64el-linux-gnuabi64-", [], _MIPS64),
    "powerpc": ("powerpc-linux-gnu-", [], _POWERPC),
    "powerpc64": ("powerpc64-linux-gnu-", [], _POWERPC64),
    "powerpc64le": ("powerpc64le-linux-gnu-", [], _POWERPC64),
}

SECTIONS = (".text.a", ".text.b", ".rodata.words")


def read(path: Path) -> Elf:
    return parse_elf(np.fromfile(path, np.uint8), path)


@pytest.mark.parametrize("name", TARGETS)
def test_every_section_equals_what_ld_makes(tmp_path: Path, name: str) -> None:
    tools, options, source = TARGETS[name]
    if not shutil.which(tools + "as"):
        pytest.skip(f"{tools}as is missing")
    (tmp_path / "source.s").write_text(source)
    command = [tools + "as", *options, "source.s", "-o", "object.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    elf = read(tmp_path / "object.o")
    addresses = dict(zip(elf.names, elf.headers["addr"].tolist(), strict=True))
    places = "".join(f"  {name} {addresses[name]:#x} : {{ *({name}) }}\n" for name in SECTIONS)
    (tmp_path / "script.ld").write_text(f"SECTIONS {{\n{places}}}\n")
    command = [tools + "ld", "-T", "script.ld", "-e", "0", "object.o", "-o", "linked"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    linked, symbols = read(tmp_path / "linked"), elf_symbols(elf)
    for section in SECTIONS:
        ours, theirs = relocated(elf, section, symbols), linked.contents(section)
        assert len(ours) == len(theirs)
        assert (ours != elf.contents(section)).any()
        assert (ours == theirs).all(), (section, ours.tobytes().hex(), theirs.tobytes().hex())
