"""What binutils says of the functions in debug information: ``readelf --debug-dump=info``."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_ENTRY = re.compile(r"\s*<\w+><(\w+)>: Abbrev Number: \d+ \((\w+)\)")
_ATTRIBUTE = re.compile(r"\s+<\w+>\s+DW_AT_(\w+)\s*: (.*)")
_RANGE = re.compile(r"\s+([0-9a-f]{8}) ([0-9a-f]{8,16}) [0-9a-f]{8,16}\s*$")
_REFERENCES = ("abstract_origin", "specification")


@dataclass
class Entry:
    """A debug entry: its tag, and its attributes as readelf prints them."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Function:
    """A function with code: its name, the line of its declaration, whether it is split."""

    name: str
    line: int
    split: bool


def _dump(path: Path, what: str) -> list[str]:
    command = ["readelf", f"--debug-dump={what}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def readelf_functions(path: Path) -> dict[int, Function]:
    """The functions of a linked program, by address."""
    entries: dict[int, Entry] = {}
    entry = Entry("")
    for line in _dump(path, "info"):
        if match := _ENTRY.match(line):
            entry = entries.setdefault(int(match[1], 16), Entry(match[2]))
        elif match := _ATTRIBUTE.match(line):
            entry.attributes[match[1]] = match[2]
    ranges: dict[int, int] = {}
    for line in _dump(path, "Ranges"):
        if match := _RANGE.match(line):
            ranges.setdefault(int(match[1], 16), int(match[2], 16))
    functions = {}
    for entry in entries.values():
        own = entry.attributes
        if entry.tag == "DW_TAG_subprogram" and ("low_pc" in own or "ranges" in own):
            address = _number(own["low_pc"]) if "low_pc" in own else ranges[_number(own["ranges"])]
            said = _with_origins(entry, entries)
            name = said["name"].rpartition("): ")[2].strip()
            line_number = int(said.get("decl_line", "0"))
            functions[address] = Function(name, line_number, "ranges" in own)
    return functions


def _number(text: str) -> int:
    """The address of an attribute: ``0x1149``, or ``(index: 0x3): 1149``."""
    _, indexed, number = text.rpartition(": ")
    return int(number.split()[0], 16 if indexed else 0)


def _with_origins(entry: Entry, entries: dict[int, Entry]) -> dict[str, str]:
    """The attributes of an entry and of those that it refers to, its own first."""
    said = dict(entry.attributes)
    for kind in _REFERENCES:
        if kind in entry.attributes:
            target = re.search(r"<0x(\w+)>", entry.attributes[kind])
            assert target is not None
            said = _with_origins(entries[int(target[1], 16)], entries) | said
    return said
