"""Compiles the small programs in the folder ``sources`` beside this file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.source import map_file

SOURCES = Path(__file__).with_name("sources")
ALL = ("one.c", "sub/two.c", "strong.c")
LINKED = ("-static", "-nostdlib", "-Wl,-e,main")

# Where each function is, in which file and line, whatever the compiler makes of it.
DECLARED = {
    ("one.c", 3): "same",
    ("one.c", 11): "scaled",
    ("one.c", 22): "hot_and_cold",
    ("one.c", 36): "inlined",
    ("one.c", 42): "f",
    ("one.c", 44): "early",
    ("sub/two.c", 3): "same",
    ("sub/two.c", 14): "two",
    ("include/shared.h", 6): "in_header",
    ("strong.c", 3): "sink",
    ("strong.c", 9): "failed",
    ("strong.c", 14): "overridden",
    ("strong.c", 19): "main",
}


def compiled(
    folder: Path, *options: str, compiler: str = "gcc", sources: tuple[str, ...] = ALL
) -> Path:
    """A program or an object; the test is skipped where the compiler is not there."""
    versions = (compiler, *(f"{compiler}-{version}" for version in range(21, 11, -1)))
    found = next(filter(shutil.which, versions), None)
    if found is None:
        pytest.skip(f"{compiler} is missing")
    program = folder / "program"
    command = [found, "-w", "-ffreestanding", "-fno-stack-protector", *options, *sources]
    subprocess.run([*command, "-o", str(program)], cwd=SOURCES, check=True)
    return program


def opened(path: Path) -> Elf:
    """The file, parsed."""
    return parse_elf(map_file(path), path)
