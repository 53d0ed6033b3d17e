"""Where a frame's bytes go: as tables for people, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from stackgauge.report.formats import write_csv, write_json
from stackgauge.report.text import printable, write_table

if TYPE_CHECKING:
    from stackgauge.calls.callers import Caller
    from stackgauge.frames.explain import Candidate, Explained, Part
    from stackgauge.frames.variables import Inlined

SCHEMA = "stackgauge.explain/1"

CSV_COLUMNS = (
    "address", "function", "offset", "bytes", "what", "name", "type", "file", "line", "inlined",
    "shares",
)  # fmt: skip

# How many names of others in the same bytes, and members of a structure, people are shown.
_SHARES = 3
_MEMBERS = 8

# The order and the words of the line that adds a frame up; variables and spills are one figure.
_TOTALS = (
    ("return address", "return address"),
    ("saved register", "saved registers"),
    ("canary", "canary"),
    ("outgoing argument", "outgoing arguments"),
    ("linkage area", "linkage area"),
)


def explain_text(
    out: TextIO, explained: Sequence[Explained], callers: Sequence[Sequence[Caller]] = ()
) -> None:
    """For each function a table of its frame, what it adds up to, and what it would pay to shrink.

    Args:
        out: where to.
        explained: the functions.
        callers: for each of them, those that call it from deepest; nothing where not asked for.
    """
    for index, one in enumerate(explained):
        out.write("\n" if index else "")
        out.write(printable(_title(one)) + "\n\n")
        _parts_table(out, one.parts)
        out.write(f"\n{totals_line(one)}\n")
        for note in one.notes:
            out.write(printable(f"note: {note}") + "\n")
        for inlined, size in one.inlined:
            line = f"inlined {inlined.function or '?'}{_called(inlined)} brings {size}"
            out.write(printable(line) + "\n")
        _candidates(out, one.shrink)
        if index < len(callers) and callers[index]:
            out.write("\ndeepest callers:\n")
            write_table(
                out,
                ["depth", "status", "function"],
                [[str(each.depth), each.status, each.function] for each in callers[index]],
                right={"depth"},
            )


def totals_line(one: Explained) -> str:
    """What the frame's bytes are, added up, in one line."""
    parts = [(words, one.totals[kind]) for kind, words in _TOTALS]
    parts.insert(2, ("named variables", one.named))
    padding = one.totals["padding"]
    parts.append(("unnamed", one.totals["unnamed"] + padding))
    text = " + ".join(f"{words} {size}" for words, size in parts if size) or "nothing"
    return f"{text} = {one.size}" + (f" (padding: {padding} of the unnamed)" if padding else "")


def _title(one: Explained) -> str:
    row = one.row
    place = f", {row.file}:{row.line}" if row.line else f", {row.file}" if row.file else ""
    name = row.function or "(no symbol)"
    if row.least is None:
        size = "frame not known"
    elif row.kind == "static":
        size = f"{row.least} bytes"
        if row.frame != row.least:
            size += f", up to {row.frame} as its stack is aligned at run time"
    else:
        size = f"at least {row.least} bytes, {row.kind}"
        if row.frame is not None and row.frame != row.least:
            size += f", up to {row.frame}"
    return f"{name} at {row.address:#x}{place}: {size} ({row.evidence})"


def _parts_table(out: TextIO, parts: Sequence[Part]) -> None:
    """The parts from the top down; columns in which nothing stands are left out."""
    columns = ["offset", "bytes", "what", "name", "type", "source", "inlined", "shares"]
    rows = [
        [
            str(part.offset),
            str(part.bytes),
            part.what,
            part.name,
            part.type,
            _place(part.file, part.line),
            " < ".join(each.function or "?" for each in reversed(part.inlined)),
            _few(part.shares),
        ]
        for part in parts
    ]
    used = [at for at in range(len(columns)) if at < 3 or any(row[at] for row in rows)]
    write_table(
        out,
        [columns[at] for at in used],
        [[row[at] for at in used] for row in rows],
        right={"offset", "bytes"},
    )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHARES} more" if len(names) > _SHARES else ""
    return ", ".join(names[:_SHARES]) + more


def _place(file: str, line: int | None) -> str:
    return f"{file}:{line}" if line else file


def _called(inlined: Inlined) -> str:
    return f" (called at {_place(inlined.file, inlined.line)})" if inlined.file else ""


def _candidates(out: TextIO, candidates: Sequence[Candidate]) -> None:
    """What it would pay to shrink: the first with its members, then the others."""
    if not candidates:
        return
    out.write("\nwithout it, the frame would be:\n")
    write_table(
        out,
        ["frame", "saves", "name", "type", "source"],
        [
            [str(one.frame), str(one.saves), one.name, one.type, _place(one.file, one.line)]
            for one in candidates
        ],
        right={"frame", "saves"},
    )
    largest = sorted(candidates[0].members, key=lambda member: -(member.size or 0))[:_MEMBERS]
    if largest:
        out.write("\n" + printable(f"largest members of {candidates[0].type}:") + "\n")
        write_table(
            out,
            ["bytes", "offset", "member", "type"],
            [
                ["" if one.size is None else str(one.size), str(one.offset), one.name, one.type]
                for one in largest
            ],
            right={"bytes", "offset"},
        )


def explain_csv(out: TextIO, explained: Sequence[Explained]) -> None:
    """The columns of CSV_COLUMNS, a line a part; lists are joined by spaces."""
    write_csv(
        out,
        CSV_COLUMNS,
        (
            (
                hex(one.row.address),
                one.row.function,
                *part[:7],
                " ".join(each.function for each in part.inlined),
                " ".join(part.shares),
            )
            for one in explained
            for part in one.parts
        ),
    )


def explain_json(
    out: TextIO, explained: Sequence[Explained], callers: Sequence[Sequence[Caller]] = ()
) -> None:
    """An object with ``schema`` and ``functions``, each with the fields of ``Explained``."""
    functions = []
    for index, one in enumerate(explained):
        row = one.row
        facts: dict[str, object] = {
            "address": hex(row.address),
            "function": row.function,
            "module": row.module,
            "file": row.file,
            "line": row.line,
            "frame": row.frame,
            "least": row.least,
            "kind": row.kind,
            "evidence": row.evidence,
            "bytes": one.size,
            "totals": one.totals,
            "parts": [
                {**part._asdict(), "inlined": [each._asdict() for each in part.inlined]}
                for part in one.parts
            ],
            "inlined": [{**each._asdict(), "bytes": size} for each, size in one.inlined],
            "shrink": [
                {**each._asdict(), "members": [member._asdict() for member in each.members]}
                for each in one.shrink
            ],
            "notes": list(one.notes),
        }
        if index < len(callers):
            facts["callers"] = [each._asdict() for each in callers[index]]
        functions.append(facts)
    write_json(out, SCHEMA, {"functions": functions})
