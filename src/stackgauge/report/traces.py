"""Traces beside what the image says, as tables for people, as CSV and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from stackgauge.report.formats import write_csv, write_json
from stackgauge.report.text import printable, write_table

if TYPE_CHECKING:
    from stackgauge.calls.traced_model import ComparedLine
    from stackgauge.logs.model import Trace

SCHEMA = "stackgauge.traces/1"

CSV_COLUMNS = ("depth", "size", "location", "static", "status")

Compared = Sequence[tuple["Trace", Sequence["ComparedLine"]]]


def traces_csv(out: TextIO, traces: Compared) -> None:
    """The columns of CSV_COLUMNS; a new trace begins where the depth grows.

    ``static`` is ``least-most`` where it may differ from run to run.
    """
    rows = (
        (one.line.depth, one.line.size, one.line.location.text, _static(one), one.status)
        for _, lines in traces
        for one in lines
    )
    write_csv(out, CSV_COLUMNS, rows)


def traces_json(out: TextIO, traces: Compared, max_size: int | None = None) -> None:
    """An object with ``schema``, ``stack_max_size``, ``statuses`` and ``traces``."""
    facts = {
        "stack_max_size": max_size,
        "statuses": statuses(traces),
        "traces": [
            {
                "title": trace.title,
                "missing": trace.missing,
                "lines": [
                    {
                        "depth": one.line.depth,
                        "size": one.line.size,
                        "location": one.line.location.text,
                        "static": one.static,
                        "most": one.most,
                        "status": one.status,
                    }
                    for one in lines
                ],
            }
            for trace, lines in traces
        ],
    }
    write_json(out, SCHEMA, facts)


def statuses(traces: Compared) -> dict[str, int]:
    """How many lines have each status, the most frequent first."""
    return dict(Counter(one.status for _, lines in traces for one in lines).most_common())


def traces_text(
    out: TextIO, traces: Compared, meanings: Mapping[str, str], max_size: int | None = None
) -> None:
    """Each trace by itself, and how many lines have which status.

    Args:
        out: where to.
        traces: the traces and their lines.
        meanings: what each status means.
        max_size: what ``stack_max_size`` says.
    """
    if max_size is not None:
        out.write(f"stack_max_size: {max_size} bytes, without the tracer's own frame\n\n")
    for trace, lines in traces:
        lost = f", {trace.missing} lost" if trace.missing else ""
        out.write(printable(f"{trace.title}: {len(lines)} lines{lost}") + "\n\n")
        columns = {
            "depth": [_number(one.line.depth) for one in lines],
            "size": [_number(one.line.size) for one in lines],
            "static": [_static(one) for one in lines],
            "status": [one.status for one in lines],
            "location": [one.line.location.text for one in lines],
        }
        columns = {name: cells for name, cells in columns.items() if any(cells)}
        write_table(
            out,
            list(columns),
            list(zip(*columns.values(), strict=True)),
            right={"depth", "size", "static"},
        )
        out.write("\n")
    counts = {name: count for name, count in statuses(traces).items() if name}
    if counts:
        cells = [[str(count), name, meanings[name]] for name, count in counts.items()]
        write_table(out, ["lines", "status", "meaning"], cells, right={"lines"})


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


# A dynamic stack without a limit (``evidence.table.NO_LIMIT``) is at least as large as this.
_NO_LIMIT = 1 << 29


def _static(one: ComparedLine) -> str:
    if one.static is None:
        return ""
    if one.most is None:
        return str(one.static)
    return f"{one.static}+" if one.most >= _NO_LIMIT else f"{one.static}-{one.most}"
