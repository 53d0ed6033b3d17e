"""The lines of the kernel's ``scripts/checkstack.pl``, for programs that read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from stackgauge.report.text import printable

# The script pads a line's beginning to this column with tabs.
_COLUMN = 56
_TAB = 8

# How many functions a note names.
_NAMED = 5


def write_checkstack(
    stream: TextIO,
    address: Sequence[int],
    function: Sequence[str],
    object_name: Sequence[str],
    size: Sequence[int],
    *,
    bits: int = 64,
    minimum: int = 100,
) -> None:
    """Write a line for each function that uses more than ``minimum`` bytes, the largest first.

    The format is the script's, byte for byte: ``0xffffffff81234560 name [vmlinux]:``, as many tabs
    as its count of characters needs to reach column 56 (tabs are counted as 8 wherever they
    stand), and the bytes in decimal. Functions of one size stay in the given order.

    Args:
        stream: where to.
        address: of each function; written with as many digits as ``bits`` need.
        function: its name.
        object_name: the file that it is in, as it is to be shown: ``vmlinux``, ``nfs`` for a
            module.
        size: bytes of stack that it uses.
        bits: size of an address, 32 or 64.
        minimum: leave out functions that use no more.
    """
    large = [row for row, bytes_used in enumerate(size) if bytes_used > minimum]
    large.sort(key=lambda row: -size[row])
    for row in large:
        where = f"0x{address[row]:0{bits // 4}x}"
        start = f"{where} {printable(function[row])} [{printable(object_name[row])}]:"
        padding = "\t" * -(-(_COLUMN - len(start)) // _TAB)
        stream.write(f"{start}{padding}{size[row]}\n")


def note_least(stream: TextIO, names: Sequence[str], functions: int) -> None:
    """Name the functions whose figures are no upper limit, which the lines have no place for.

    Args:
        stream: where to; not that of the lines.
        names: theirs.
        functions: how many functions there are.
    """
    if names:
        more = ", ..." if len(names) > _NAMED else ""
        stream.write(
            f"stackgauge: {len(names)} of {functions} functions have a dynamic stack, "
            f"or one that the code does not tell; their figures are the least: "
            f"{', '.join(map(printable, names[:_NAMED]))}{more}\n"
        )
