"""Tables for people: with rich on a terminal, plain columns elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO


def write_table(
    out: TextIO,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[str] | set[str] = frozenset(),
) -> None:
    """Write a table.

    Args:
        out: where to; only a terminal gets colours and fitted columns.
        columns: the headings.
        rows: the cells, which are printed as they are, whatever they hold.
        right: the columns to align to the right.
    """
    if out.isatty():
        _rich_table(out, columns, rows, right)
    else:
        _plain_table(out, columns, rows, right)


def printable(text: str) -> str:
    """The text without control characters: names come from untrusted files."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def _plain_table(
    out: TextIO,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: frozenset[str] | set[str],
) -> None:
    lines = [list(columns), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    justify = [str.rjust if name in right else str.ljust for name in columns]
    for line in lines:
        cells = (
            place(cell, width) for place, cell, width in zip(justify, line, widths, strict=True)
        )
        out.write("  ".join(cells).rstrip() + "\n")


def _rich_table(
    out: TextIO,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: frozenset[str] | set[str],
) -> None:
    # rich takes longer to import than a kernel's frames take to compute.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=out).print(table)
