"""Frames as a table for people, as CSV and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from stackgauge.report.formats import write_csv, write_json
from stackgauge.report.text import printable, write_table

if TYPE_CHECKING:
    from stackgauge.frames.listing import FrameRow
    from stackgauge.frames.summary import Summary
    from stackgauge.frames.verify import Agreement, Verified
    from stackgauge.kernel.identity import Identity

SCHEMA = "stackgauge.frames/1"
SUMMARY_SCHEMA = "stackgauge.summary/1"
VERIFY_SCHEMA = "stackgauge.verify/1"

# How many characters the longest bar of the histogram has.
_BAR = 40

CSV_COLUMNS = (
    "address", "frame", "least", "kind", "evidence", "function", "module", "file", "line",
)  # fmt: skip


def frames_csv(out: TextIO, rows: Sequence[FrameRow]) -> None:
    """The columns of CSV_COLUMNS; addresses in hex with 0x."""
    write_csv(out, CSV_COLUMNS, ((hex(row.address), *row[1:9]) for row in rows))


def frames_json(out: TextIO, kernels: Sequence[Identity], rows: Sequence[FrameRow]) -> None:
    """An object with ``schema``, ``kernel`` (one, or a list for several images), ``frames``."""
    write_json(out, SCHEMA, {"kernel": _kernel(kernels), "frames": [_facts(row) for row in rows]})


def _kernel(kernels: Sequence[Identity]) -> object:
    known = [asdict(kernel) for kernel in kernels]
    return known[0] if len(known) == 1 else known


def _facts(row: FrameRow) -> dict[str, object]:
    """A row under the names of the CSV's columns, with aliases and origin where it has them."""
    facts: dict[str, object] = dict(zip(CSV_COLUMNS, (hex(row.address), *row[1:9]), strict=True))
    if row.aliases:
        facts["aliases"] = list(row.aliases)
    if row.origin:
        facts["origin"] = row.origin
    return facts


def frames_text(out: TextIO, rows: Sequence[FrameRow]) -> None:
    """A table, the largest frame first; columns that would say the same of all are left out."""
    columns = ["frame", "kind", "evidence", "function"]
    cells = [
        [
            _bytes(row),
            row.kind,
            row.evidence,
            row.function or f"(no symbol at {row.address:#x})",
        ]
        for row in rows
    ]
    if len({row.module for row in rows}) > 1:
        columns.append("module")
        for line, row in zip(cells, rows, strict=True):
            line.append(row.module)
    if any(row.file for row in rows):
        columns.append("source")
        for line, row in zip(cells, rows, strict=True):
            line.append(f"{row.file}:{row.line}" if row.line else row.file)
    write_table(out, columns, cells, right={"frame"})


def _name(row: FrameRow) -> str:
    return row.function or f"(no symbol at {row.address:#x})"


def _bytes(row: FrameRow) -> str:
    """The frame as people read it: a range, a least value, or what is not known."""
    if row.frame is None:
        return "unknown" if row.least is None else f"unknown, {row.least}+"
    if row.kind == "dynamic" and row.least == row.frame:
        return f"{row.least}+"
    if row.least != row.frame:
        return f"{row.least} to {row.frame}"
    return str(row.frame)


def identity_text(out: TextIO, name: str, kernel: Identity) -> None:
    """What kernel the image called ``name`` is, in one line."""
    facts = [
        f"Linux {kernel.version}" if kernel.version else None,
        kernel.architecture,
        f"{kernel.thread_size}-byte stacks" if kernel.thread_size else "stack size not known",
        kernel.compiler,
        None if kernel.symbols == "symtab" else f"symbols: {kernel.symbols}",
    ]
    out.write(printable(f"{name}: {', '.join(fact for fact in facts if fact)}") + "\n")
    if kernel.red_zone:
        out.write(f"not counted: a red zone of up to {kernel.red_zone} bytes below each frame\n")


def summary_text(out: TextIO, summary: Summary) -> None:
    """Counts, the largest frames in rising order, and a histogram."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary.kinds.items() if count)
    proofs = ", ".join(f"{count} by {proof}" for proof, count in summary.evidence.items())
    out.write(f"{summary.functions} functions: {kinds}; {proofs}\n")
    if not summary.largest:
        return
    top = summary.largest[-1]
    out.write(f"largest frame: {top.frame} bytes, {printable(_name(top))}\n\n")
    write_table(
        out,
        ["frame", "function", "module"],
        [[str(row.frame), _name(row), row.module] for row in summary.largest],
        right={"frame"},
    )
    out.write("\n")
    most = max(count for _, count in summary.histogram)
    write_table(
        out,
        ["up to", "functions", ""],
        [
            [str(bound), str(count), "#" * -(-count * _BAR // most)]
            for bound, count in summary.histogram
        ],
        right={"up to", "functions"},
    )


def verified_text(out: TextIO, images: Sequence[tuple[str, Verified]]) -> None:
    """What each kind of evidence settles, how they agree, and each difference's cause."""
    for place, (name, verified) in enumerate(images):
        out.write("\n" if place else "")
        out.write(f"{printable(name)}: {verified.functions} functions\n")
        for kind, count in verified.settled.items():
            out.write(f"  {kind} settles {count}\n")
        for agreement in verified.agreements:
            _agreement_text(out, agreement)


def _agreement_text(out: TextIO, agreement: Agreement) -> None:
    one, two = agreement.one, agreement.two
    out.write(f"\n{one} and {two}: {agreement.equal} of {agreement.compared} equal\n")
    causes = Counter(difference.cause for difference in agreement.differences)
    for cause, count in causes.most_common():
        out.write(f"  {count} differ: {cause}\n")
    if agreement.differences:
        out.write("\n")
        write_table(
            out,
            ["address", one, two, "function", "cause"],
            [
                [hex(row.address), str(row.one), str(row.two), row.function, row.cause]
                for row in agreement.differences
            ],
            right={one, two},
        )


def verified_json(out: TextIO, images: Sequence[tuple[str, Verified]]) -> None:
    """An object of schema VERIFY_SCHEMA with a member ``images``, one object an image."""
    facts = [{"image": name, **asdict(verified)} for name, verified in images]
    write_json(out, VERIFY_SCHEMA, {"images": facts})


def verified_csv(out: TextIO, images: Sequence[tuple[str, Verified]]) -> None:
    """A line for each difference."""
    write_csv(
        out,
        ("image", "one", "two", "address", "function", "one_bytes", "two_bytes", "cause"),
        (
            (
                name,
                agreement.one,
                agreement.two,
                hex(row.address),
                row.function,
                row.one,
                row.two,
                row.cause,
            )
            for name, verified in images
            for agreement in verified.agreements
            for row in agreement.differences
        ),
    )


def summary_json(out: TextIO, kernels: Sequence[Identity], summary: Summary) -> None:
    """The summary as an object of schema SUMMARY_SCHEMA."""
    facts = asdict(summary)
    facts["largest"] = [_facts(row) for row in summary.largest]
    write_json(out, SUMMARY_SCHEMA, {"kernel": _kernel(kernels), **facts})
