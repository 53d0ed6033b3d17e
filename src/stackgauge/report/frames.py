"""Frames as a table for people, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from stackgauge.report.formats import write_csv, write_json
from stackgauge.report.text import write_table

if TYPE_CHECKING:
    from stackgauge.frames.listing import FrameRow
    from stackgauge.kernel.identity import Identity

SCHEMA = "stackgauge.frames/1"
CSV_COLUMNS = (
    "address", "frame", "least", "kind", "evidence", "function", "module", "file", "line",
)  # fmt: skip


def frames_csv(out: TextIO, rows: Sequence[FrameRow]) -> None:
    """The columns of CSV_COLUMNS; addresses in hex with 0x."""
    write_csv(out, CSV_COLUMNS, ((hex(row.address), *row[1:9]) for row in rows))


def frames_json(out: TextIO, kernels: Sequence[Identity], rows: Sequence[FrameRow]) -> None:
    """An object with ``schema``, ``kernel`` (one, or a list for several images), ``frames``."""
    known = [asdict(kernel) for kernel in kernels]
    frames = []
    for row in rows:
        facts: dict[str, object] = dict(
            zip(CSV_COLUMNS, (hex(row.address), *row[1:9]), strict=True)
        )
        if row.aliases:
            facts["aliases"] = list(row.aliases)
        if row.origin:
            facts["origin"] = row.origin
        frames.append(facts)
    kernel = known[0] if len(known) == 1 else known
    write_json(out, SCHEMA, {"kernel": kernel, "frames": frames})


def frames_text(out: TextIO, rows: Sequence[FrameRow]) -> None:
    """A table, the largest frame first."""
    several = len({row.module for row in rows}) > 1
    columns = ["frame", "kind", "evidence", "function", *(["module"] if several else []), "source"]
    write_table(
        out,
        columns,
        [
            [
                _bytes(row),
                row.kind,
                row.evidence,
                row.function or f"(no symbol at {row.address:#x})",
                *([row.module] if several else []),
                f"{row.file}:{row.line}" if row.line else row.file,
            ]
            for row in rows
        ],
        right={"frame"},
    )


def _bytes(row: FrameRow) -> str:
    """The frame as people read it: a range, a least value, or what is not known."""
    if row.frame is None:
        return "unknown" if row.least is None else f"unknown, {row.least}+"
    if row.kind == "dynamic" and row.least == row.frame:
        return f"{row.least}+"
    if row.least != row.frame:
        return f"{row.least} to {row.frame}"
    return str(row.frame)
