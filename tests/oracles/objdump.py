"""What binutils says of instructions: the text of ``objdump -d``, one instruction a line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OBJDUMP = {"x86_64": "objdump", "arm64": "aarch64-linux-gnu-objdump"}

_LINE = re.compile(r"^ *([0-9a-f]+):\t(\S+)(?:\s+(.*))?$")


_NOTES = re.compile(r"\s*//.*|\s*<[^>]*>")


class Instruction(NamedTuple):
    """One line.

    Attributes:
        address: where it is; of an object, in its section.
        mnemonic: as binutils writes it.
        operands: the same, without comments and the names of addresses.
    """

    address: int
    mnemonic: str
    operands: str


def disassemble(path: Path, arch: str, section: str) -> Iterator[Instruction]:
    """The instructions of one section of a file.

    Args:
        path: any file that objdump reads.
        arch: a key of OBJDUMP.
        section: its name.
    """
    command = [OBJDUMP[arch], "-d", "-z", "--no-show-raw-insn", "-j", section, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = _LINE.match(line)
            if found:
                operands = found[3] or ""
                if "<" in operands or "//" in operands:
                    operands = _NOTES.sub("", operands)
                yield Instruction(int(found[1], 16), found[2], operands.strip())
    assert process.returncode == 0, path
