"""Relocations whose value goes to several places of a field, or is added to what stands there.

Those of s390x and RISC-V are held against GNU ld; LoongArch's binutils are not in Debian 12, so
what they make of a line stands beside it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.image.elf import EM_LOONGARCH, EM_RISCV, LAYOUT_BASE, parse_elf
from stackgauge.image.relocate import relocated
from stackgauge.image.symbols import elf_symbols
from tests.image.tiny_elf import ALLOC, ET_REL, EXEC, RELA, Section, write_elf, write_symbols

SOURCES = {
    "riscv64": """
        .option norelax
        .section .text.first,"ax"
    here: nop
        beq a0, a1, near
        c.beqz a0, near
        c.j near
        jal near
        call far
        tail far
        .section .text.near,"ax"
    near: c.nop
        bne a0, a1, here
        c.bnez s1, here
        .option relax
    back: c.j here
        call far
        j back
        .section .rodata.differences,"a"
        .byte far - here, 0, 0, 0
        .half far - here
        .word far - here, far - ., here
        .quad far - here, near
        .section .text.far,"ax"
        .skip 3000
    far: ret
    """,
    "s390x": """
        .section .text.first,"ax"
    here: brc 8,near
        brcl 8,near
        brasl %r14,far
        cgrj %r1,%r2,8,near
        bras %r14,near
        larl %r1,far
        .section .text.near,"ax"
    near: brct %r1,here
        jg here
        .section .rodata.differences,"a"
        .long far - ., here
        .quad far, near - .
        .section .text.far,"ax"
        .skip 3000
    far: br %r14
    """,
}
OPTIONS = {"riscv64": ["-march=rv64imac", "-mabi=lp64"], "s390x": []}


@pytest.mark.parametrize("name", SOURCES)
def test_every_section_equals_what_ld_makes(tmp_path: Path, name: str) -> None:
    tools = f"{name}-linux-gnu-"
    if not shutil.which(f"{tools}as"):
        pytest.skip(f"{tools}as is missing")
    (tmp_path / "source.s").write_text(SOURCES[name])
    assemble = [f"{tools}as", *OPTIONS[name], "source.s", "-o", "object.o"]
    subprocess.run(assemble, cwd=tmp_path, check=True)
    elf = parse_elf(np.fromfile(tmp_path / "object.o", np.uint8), "object.o")
    symbols = elf_symbols(elf)
    sections = [one for one in elf.names if one.startswith((".text.", ".rodata."))]
    places = [f"{one} {elf.section(one).address:#x} : {{ *({one}) }}" for one in sections]  # type: ignore[union-attr]
    script = "SECTIONS {\n" + "\n".join(places) + "\n/DISCARD/ : { *(*) }\n}\n"
    (tmp_path / "script.ld").write_text(script)
    link = [f"{tools}ld", "--no-relax"] if name == "riscv64" else [f"{tools}ld"]
    command = [*link, "-T", "script.ld", "-e", "here", "object.o", "-o", "linked"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    linked = parse_elf(np.fromfile(tmp_path / "linked", np.uint8), "linked")
    for section in sections:
        ours, theirs = relocated(elf, section, symbols), linked.contents(section)
        assert ours.tobytes().hex() == theirs.tobytes().hex(), section


def _relocated(machine: int, raw: bytes, *relocations: tuple[int, int, int, int]) -> str:
    """The section with place, type, symbol and addend of each; symbol 1 is at its byte 0x10."""
    table = b"".join(
        struct.pack("<QQq", place, symbol << 32 | kind, addend)
        for place, kind, symbol, addend in relocations
    )
    data = write_elf(
        [
            Section(".text", raw, flags=ALLOC | EXEC),
            Section(".rela.text", table, type=RELA, flags=0, link=3, info=1, entry_size=24),
            *write_symbols([("inside", 0x10, 1, 0x12)], 4),
        ],
        kind=ET_REL,
        machine=machine,
    )
    elf = parse_elf(np.frombuffer(data, np.uint8), "small.o")
    section = elf.section(".text")
    assert section is not None
    assert section.address == LAYOUT_BASE
    return relocated(elf, ".text", elf_symbols(elf)).tobytes().hex()


def _word(number: int) -> bytes:
    return number.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("kind", "addend", "before", "after"),
    [
        (64, 0, 0x58000085, 0x58001085),  # R_LARCH_B16: beq $a0, $a1, 16
        (64, -32, 0x58000085, 0x5BFFF085),  # and -16
        (65, 0, 0x40000080, 0x40001080),  # R_LARCH_B21: beqz $a0, 16
        (65, -32, 0x40000080, 0x43FFF09F),  # and -16
        (66, 0, 0x54000000, 0x54001000),  # R_LARCH_B26: bl 16
        (66, -32, 0x54000000, 0x57FFF3FF),  # and -16
    ],
)
def test_branches_of_loongarch(kind: int, addend: int, before: int, after: int) -> None:
    raw = _word(before) + bytes(28)
    assert _relocated(EM_LOONGARCH, raw, (0, kind, 1, addend))[:8] == _word(after).hex()


def test_a_far_call_of_loongarch() -> None:
    # R_LARCH_CALL36: pcaddu18i $ra, 0; jirl $ra, $ra, 16.
    raw = _word(0x1E000001) + _word(0x4C000021) + bytes(24)
    found = _relocated(EM_LOONGARCH, raw, (0, 110, 1, 0))
    assert found[:16] == (_word(0x1E000001) + _word(0x4C001021)).hex()
    # What is nearer to the next step: pcaddu18i $ra, 1; jirl $ra, $ra, -131056.
    found = _relocated(EM_LOONGARCH, raw, (0, 110, 1, 0x20000))
    assert found[:16] == (_word(0x1E000021) + _word(0x4E001021)).hex()


def test_sums_and_differences() -> None:
    raw = bytes([0xC0, 0x05, 0, 0, 7, 0, 0, 0]) + bytes(24)
    # R_RISCV_SET6 comes before R_RISCV_SUB6, whatever their order, and keeps the two upper bits.
    found = _relocated(EM_RISCV, raw, (0, 52, 1, -4), (0, 53, 1, 9))
    assert found[:2] == f"{0xC0 | 9 + 4:02x}"
    # R_RISCV_ADD32, R_RISCV_SUB32.
    found = _relocated(EM_RISCV, raw, (4, 35, 1, 0x20), (4, 39, 1, 0))
    assert found[8:16] == _word(7 + 0x20).hex()
    # R_LARCH_ADD6, R_LARCH_SUB6.
    found = _relocated(EM_LOONGARCH, raw, (1, 105, 1, 3), (1, 106, 1, 0))
    assert found[2:4] == "08"
