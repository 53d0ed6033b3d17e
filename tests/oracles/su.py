"""What GCC, or clang, says of a function's stack: the lines that ``-fstack-usage`` writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

# GCC, "Developer Options", -fstack-usage: the name of the function, a number of bytes, one or
# more qualifiers. A file's name may hold a colon, a function's in C may not. clang gives no column.
_LINE = re.compile(r"(.+?):(\d+)(?::\d+)?:([^\t:]+)\t(\d+)\t(static|dynamic|dynamic,bounded)")


# By architecture the bytes of a return address that a call pushes, which GCC counts and clang (14)
# does not: it gives what its own prologue takes.
CLANG_LEAVES_OUT = {"x86_64": 8, "i386": 4}

_CLONE_NUMBER = re.compile(r"\.(constprop|isra)\.\d+")


@dataclass(frozen=True, slots=True)
class Usage:
    """One line of a ``.su`` file.

    Attributes:
        unit: the source file that was compiled, without its folder: ``select.c``.
        file: the file in which the function is written, which may be a header.
        line: where in it.
        name: the function, a clone's with the suffix that GCC gives it but without its number.
        bytes: the frame, the return address on x86 included.
        kind: ``static``; ``dynamic,bounded``, where arguments are pushed as well, with all of
            it in ``bytes``; or ``dynamic``, for which ``bytes`` leaves out what is dynamic.
    """

    unit: str
    file: str
    line: int
    name: str
    bytes: int
    kind: str


def parse_su(text: str, unit: str | None = None) -> list[Usage]:
    """Read the lines of one ``.su`` file.

    Args:
        text: its content.
        unit: the source file that was compiled; only the last part of its path is kept. None
            where each function is written in the file that was compiled.

    Raises:
        ValueError: a line is none that GCC writes.
    """
    usages = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a line of a .su file: {line!r}")
        file, number, name, size, kind = match.groups()
        own = PurePath(unit or file).name
        usages.append(Usage(own, file, int(number), name, int(size), kind))
    return usages


def name_in_su(symbol: str) -> str:
    """What a ``.su`` file calls the function of a symbol: some clones lose their number."""
    return _CLONE_NUMBER.sub(r".\1", symbol)


def read_joined(path: Path) -> list[Usage]:
    """Read several ``.su`` files joined into one, each line led by its unit and a tab."""
    usages = []
    for line in path.read_text().splitlines():
        unit, rest = line.split("\t", 1)
        usages += parse_su(rest, unit)
    return usages
