"""Rows as CSV and JSON, the same for every verb that prints a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO


def write_csv(out: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A header line and a line a row (RFC 4180, but for line ends); None is an empty field."""
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def write_json(out: TextIO, schema: str, facts: Mapping[str, object]) -> None:
    """One object whose first member names its schema and version; ASCII, whatever names hold."""
    import json

    json.dump({"schema": schema, **facts}, out, separators=(",", ":"))
    out.write("\n")
