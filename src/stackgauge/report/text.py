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
    """The text with control characters as escapes: names come from untrusted files."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _plain_table(
    out: TextIO,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: frozenset[str] | set[str],
) -> None:
    lines = [tuple(columns), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    form = "  ".join(
        f"%{'' if name in right else '-'}{width}s"
        for name, width in zip(columns, widths, strict=True)
    )
    out.write("".join([(form % line).rstrip() + "\n" for line in lines]))


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
