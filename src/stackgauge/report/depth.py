"""Depths as a table for people, as chains, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from stackgauge.report.formats import write_csv, write_json
from stackgauge.report.text import printable, write_table

if TYPE_CHECKING:
    from stackgauge.calls.listing import DepthRow, Listed, OnTop, Step
    from stackgauge.kernel.identity import Identity

SCHEMA = "stackgauge.depth/1"

CSV_COLUMNS = ("function", "entry", "stack", "depth", "status", "reason", "frames")

# The statuses of figures that are bounds; others have a + behind them.
_BOUNDS = ("bounded", "assumed")

_PUSHED = "(pushed on entry)"


def depth_csv(out: TextIO, rows: Sequence[DepthRow]) -> None:
    """The columns of CSV_COLUMNS, and ``chain`` if the chains were asked for.

    Reasons are separated by ``; ``, the parts of a chain, ``function:bytes``, by ``;``.
    """
    chains = any(row.steps for row in rows)
    columns = (*CSV_COLUMNS, "chain") if chains else CSV_COLUMNS
    write_csv(out, columns, (_cells(row) + _chain(row, chains) for row in rows))


def _cells(row: DepthRow) -> tuple[object, ...]:
    reason = "; ".join(row.reason)
    return (row.function, row.entry, row.stack, row.depth, row.status, reason, row.frames)


def _chain(row: DepthRow, chains: bool) -> tuple[object, ...]:
    return (";".join(f"{step_name(one)}:{one.bytes}" for one in row.steps),) if chains else ()


def depth_json(
    out: TextIO,
    kernel: Identity,
    notes: Sequence[str],
    listed: Listed,
    on_top: Sequence[OnTop] = (),
) -> None:
    """An object with ``schema``, ``kernel``, ``notes``, ``statuses``, ``on_top``, ``depths``."""
    facts = {
        "kernel": asdict(kernel),
        "notes": list(notes),
        "statuses": listed.statuses,
        "on_top": [one._asdict() for one in on_top],
        "depths": [_facts(row) for row in listed.rows],
    }
    write_json(out, SCHEMA, facts)


def _facts(row: DepthRow) -> dict[str, object]:
    facts: dict[str, object] = row._asdict()
    del facts["steps"]
    facts["headroom"] = _headroom(row)
    if row.steps:
        facts["chain"] = [step._asdict() for step in row.steps]
    return facts


def _headroom(row: DepthRow) -> int | None:
    """What the stack has left below the chain; less than 0 where it has too little."""
    return None if row.room is None else row.room - row.depth


def on_top_text(out: TextIO, on_top: Sequence[OnTop]) -> None:
    """What may come on top of every chain, a line each."""
    for one in on_top:
        size = _bytes(one.depth, one.status)
        given = f", with {one.given}" if one.given else ""
        by = f" ({one.function})" if one.function else ""
        said = f"on top, {one.stack} stack: {one.name}{by}: {size} bytes, {one.status}{given}"
        out.write(printable(said) + "\n")


def depth_text(out: TextIO, notes: Sequence[str], listed: Listed) -> None:
    """A line of counts, the notes, and a table, the deepest first.

    Columns that say nothing of any row are left out.
    """
    rows = listed.rows
    _head(out, notes, listed.statuses)
    if not rows:
        return
    columns = {
        "depth": [_bytes(row.depth, row.status) for row in rows],
        "free": [_free(row) for row in rows],
        "status": [row.status for row in rows],
        "entry": [row.entry for row in rows],
        "stack": [row.stack for row in rows],
        "function": [row.function for row in rows],
        "module": [row.module for row in rows] if len({row.module for row in rows}) > 1 else [],
        "reason": [_first(row.reason) for row in rows],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    out.write("\n")
    write_table(
        out, list(columns), list(zip(*columns.values(), strict=True)), right={"depth", "free"}
    )


def _head(out: TextIO, notes: Sequence[str], statuses: Mapping[str, int]) -> None:
    said = ", ".join(f"{count} {status}" for status, count in statuses.items() if count)
    out.write(f"{sum(statuses.values())} depths{': ' if said else ''}{said}\n")
    for note in notes:
        out.write(printable(note) + "\n")


def _bytes(size: int, status: str) -> str:
    return str(size) if status in _BOUNDS else f"{size}+"


def _free(row: DepthRow) -> str:
    """The headroom; where the depth is no bound, it is no more than that."""
    free = _headroom(row)
    if free is None:
        return ""
    return str(free) if row.status in _BOUNDS else f"<={free}"


def _first(reason: Sequence[str]) -> str:
    if len(reason) < 2:
        return "".join(reason)
    return f"{reason[0]} (and {len(reason) - 1} more)"


def chains_text(out: TextIO, notes: Sequence[str], listed: Listed) -> None:
    """Each chain by itself: what its depth rests on, and the bytes of every function."""
    _head(out, notes, listed.statuses)
    for row in listed.rows:
        where = ", ".join(one for one in (row.entry, row.stack and f"{row.stack} stack") if one)
        room = "" if row.room is None else f" of {row.room}"
        kind = f" ({where})" if where else ""
        size = _bytes(row.depth, row.status)
        said = printable(f"{row.function}{kind}: {size}{room} bytes, {row.status}")
        out.write(f"\n{said}\n")
        for reason in row.reason:
            out.write(f"  {printable(reason)}\n")
        out.write("\n")
        total = 0
        cells = []
        for step in row.steps:
            total += step.bytes
            cells.append([str(step.bytes), str(total), step_name(step)])
        write_table(out, ["bytes", "total", "function"], cells, right={"bytes", "total"})


def step_name(step: Step) -> str:
    """What a part of a chain is called."""
    if not step.function:
        return _PUSHED
    return f"{step.function} (further rounds)" if step.rounds else step.function
