"""Makes and reads objdump text for tests."""

from __future__ import annotations

import io
from pathlib import Path

from stackgauge.evidence.disassembly import Listing, read_listing
from stackgauge.isa.objdump_patterns import dialect_of

RECORDED = Path(__file__).parent / "objdump"

FORMATS = {
    "x86_64": "elf64-x86-64",
    "i386": "elf32-i386",
    "arm": "elf32-littlearm",
    "arm64": "elf64-littleaarch64",
    "mips": "elf32-tradbigmips",
}


def function(name: str, address: int, *instructions: str, size: int = 4, bits: int = 64) -> str:
    """A function's text; the instructions are ``size`` bytes each, ``{n}`` the n-th's address."""
    lines = [f"{address:0{bits // 4}x} <{name}>:"]
    places = [f"{address + size * n:x}" for n in range(len(instructions) + 1)]
    for place, instruction in zip(places, instructions, strict=False):
        lines.append(f"{place:>8}:\t{'00 ' * size}\t{instruction.format(*places)}")
    return "\n".join(lines) + "\n\n"


def text(*functions: str, name: str = "vmlinux", arch: str = "x86_64") -> bytes:
    """What objdump prints of a file with these functions."""
    heading = f"\n{name}:     file format {FORMATS[arch]}\n\n\nDisassembly of section .text:\n\n"
    return (heading + "".join(functions)).encode()


def listing(data: bytes, arch: str = "x86_64", minimum: int = 0) -> Listing:
    """The functions of a text."""
    return read_listing(io.BytesIO(data), dialect_of(arch), minimum=minimum)


def frames(data: bytes, arch: str = "x86_64", minimum: int = 0) -> dict[str, int]:
    """The frame of each function of a text, which is to have no dynamic one."""
    found = listing(data, arch, minimum)
    assert not any(found.dynamic)
    return dict(zip(found.function, found.frame, strict=True))


def frame(*instructions: str, arch: str = "x86_64") -> int:
    """The frame of a function of these instructions."""
    bits = 64 if FORMATS[arch].startswith("elf64") else 32
    return frames(text(function("f", 0x1000, *instructions, bits=bits), arch=arch), arch)["f"]


def dynamic(*instructions: str, arch: str = "x86_64") -> tuple[int, bool]:
    """The frame of a function of these instructions, and whether it is dynamic."""
    bits = 64 if FORMATS[arch].startswith("elf64") else 32
    found = listing(text(function("f", 0x1000, *instructions, bits=bits), arch=arch), arch)
    return found.frame[0], found.dynamic[0]
