"""What binutils says of call frame information: the text of ``readelf -wF`` as arrays."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# readelf's names of the registers that a CFA is ever counted from, and their DWARF numbers.
_X86_64 = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"]
_I386 = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
REGISTERS: dict[str, dict[str, int]] = {
    "x86_64": {name: n for n, name in enumerate(_X86_64 + [f"r{n}" for n in range(8, 16)])},
    "i386": {name: number for number, name in enumerate(_I386)},
    "arm64": {**{f"x{number}": number for number in range(31)}, "sp": 31},
}

_ENTRY = re.compile(
    rb"([0-9a-f]+) [0-9a-f]+ [0-9a-f]+ (?:CIE .*|FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+))"
)
_ROW = re.compile(rb"([0-9a-f]+) (?:(exp)|([a-z]+[0-9]*)([+-][0-9]+)) ")


@dataclass(frozen=True, eq=False)
class Frames:
    """One section's FDEs and their rows, in the section's order.

    Attributes:
        fde_start: first address of each FDE, uint64.
        fde_end: the address behind its last, uint64.
        fde: index of each row's FDE.
        start: first address of each row, uint64.
        end: the address behind its last, uint64.
        register: DWARF number of the CFA's register, -1 for an expression.
        offset: the CFA less that register; 0 for an expression.
    """

    fde_start: NDArray[np.uint64]
    fde_end: NDArray[np.uint64]
    fde: NDArray[np.int64]
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    register: NDArray[np.int64]
    offset: NDArray[np.int64]

    def by_address(self) -> Frames:
        """The same by address, with rows that repeat the rule before them made one with it."""
        order = np.argsort(self.start, kind="stable")
        order = order[self.end[order] > self.start[order]]
        fde, register, offset = self.fde[order], self.register[order], self.offset[order]
        differs = (np.diff(fde) != 0) | (np.diff(register) != 0) | (np.diff(offset) != 0)
        first = np.flatnonzero(np.append(True, differs)[: len(order)])
        last = np.append(first[1:], len(order))[: len(first)] - 1
        by_start = np.argsort(self.fde_start, kind="stable")
        return Frames(
            self.fde_start[by_start],
            self.fde_end[by_start],
            fde[first],
            self.start[order[first]],
            self.end[order[last]],
            register[first],
            offset[first],
        )


def readelf_frames(path: Path, machine: str, section: str = ".debug_frame") -> Frames:
    """Run ``readelf -wF`` (without following links to other files) and read one section of it."""
    command = ["readelf", "--debug-dump=frames-interp", "--debug-dump=no-follow-links", str(path)]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return parse_frames(text, machine, section)


def parse_frames(text: bytes, machine: str, section: str = ".debug_frame") -> Frames:
    """Read one section of readelf's text; ``machine`` is a key of REGISTERS."""
    number = {name.encode(): value for name, value in REGISTERS[machine].items()}
    number[b"exp"] = -1
    _, _, text = text.partition(b"Contents of the " + section.encode() + b" section:")
    text, _, _ = text.partition(b"Contents of the ")
    cies: dict[int, tuple[int, int]] = {}
    fdes: list[tuple[int, int]] = []
    rows: list[tuple[int, int, int, int]] = []
    current: int | None = None  # the CIE's offset while in one, else None
    rule = (-1, 0)  # that an FDE begins with
    alone = False  # the last FDE has had no row of its own yet
    # A line is a row, an entry's head or of no interest.
    for line in text.split(b"\n"):
        if match := _ROW.match(line):
            address, expression, name, offset = match.groups()
            if current is not None:
                cies[current] = (number[expression or name], int(offset or 0))
                continue
            row = (len(fdes) - 1, int(address, 16), number[expression or name], int(offset or 0))
            if alone:
                rows.pop()
                alone = False
            rows.append(row)
        elif match := _ENTRY.match(line):
            at, cie, start, end = match.groups()
            if cie is None:
                current = int(at, 16)
                continue
            current = None
            rule = cies[int(cie, 16)]
            fdes.append((int(start, 16), int(end, 16)))
            # One that changes nothing is printed without rows: its CIE's rule is its only one.
            rows.append((len(fdes) - 1, int(start, 16), *rule))
            alone = True
    return _frames(fdes, rows)


def _frames(fdes: list[tuple[int, int]], rows: list[tuple[int, int, int, int]]) -> Frames:
    def column(values: list[Any], dtype: Any) -> NDArray[Any]:
        return np.array(values, dtype)

    fde_start = column([start for start, _ in fdes], np.uint64)
    fde_end = column([end for _, end in fdes], np.uint64)
    fde = column([row[0] for row in rows], np.int64)
    start = column([row[1] for row in rows], np.uint64)
    end = np.append(start[1:], np.uint64(0))
    final = np.append(fde[1:] != fde[:-1], True) if len(fde) else np.zeros(0, np.bool_)
    end[final] = fde_end[fde[final]]
    return Frames(
        fde_start,
        fde_end,
        fde,
        start,
        end,
        column([row[2] for row in rows], np.int64),
        column([row[3] for row in rows], np.int64),
    )
