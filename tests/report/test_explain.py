"""A frame's parts as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

from stackgauge.calls.callers import Caller
from stackgauge.frames.explain import Candidate, Explained, Part
from stackgauge.frames.layout import What
from stackgauge.frames.listing import FrameRow
from stackgauge.frames.variables import Inlined
from stackgauge.image.dwarf_types import Member
from stackgauge.report.explain import (
    CSV_COLUMNS,
    explain_csv,
    explain_json,
    explain_text,
    totals_line,
)

ROW = FrameRow(
    address=0xFFFFFFFF81000040, frame=56, least=48, kind="static", evidence="instructions",
    function="poll\x1b", module="vmlinux", file="fs/select.c", line=9, aliases=(), origin="",
    object="vmlinux",
)  # fmt: skip
CALL = Inlined("do_poll", "fs/select.c", 12)
PARTS = (
    Part(-8, 8, "return address", "ra", "", "", None, (), ()),
    Part(-16, 8, "saved register", "rbx", "", "", None, (), ()),
    Part(-36, 20, "variable", "table", "struct t", "fs/select.c", 10, (), ("a", "b", "c", "d")),
    Part(-40, 4, "spill", "n", "int", "fs/select.c", 11, (CALL,), ()),
    Part(-44, 4, "padding", "", "", "", None, (), ()),
    Part(-48, 4, "unnamed", "", "", "", None, (), ()),
)
TOTALS = {what.value: sum(p.bytes for p in PARTS if p.what == what.value) for what in What}
TABLE = Candidate(
    "table", "struct t", 20, "fs/select.c", 10, 16, 32,
    (
        Member("small", 0, 4, "int"),
        Member("large", 4, 16, "char[16]"),
        Member("open", 20, None, "char[]"),
    ),
)  # fmt: skip
ONE = Explained(ROW, 48, PARTS, TOTALS, ((CALL, 4),), (TABLE,), ("something was not told",))

TEXT = """\
poll\\x1b at 0xffffffff81000040, fs/select.c:9: 48 bytes, up to 56 as its stack is aligned at run time (instructions)

offset  bytes  what            name   type      source          inlined  shares
    -8      8  return address  ra
   -16      8  saved register  rbx
   -36     20  variable        table  struct t  fs/select.c:10           a, b, c and 1 more
   -40      4  spill           n      int       fs/select.c:11  do_poll
   -44      4  padding
   -48      4  unnamed

return address 8 + saved registers 8 + named variables 24 + unnamed 8 = 48 (padding: 4 of the unnamed)
note: something was not told
inlined do_poll (called at fs/select.c:12) brings 4

without it, the frame would be:
frame  saves  name   type      source
   32     16  table  struct t  fs/select.c:10

largest members of struct t:
bytes  offset  member  type
   16       4  large   char[16]
    4       0  small   int
           20  open    char[]
"""  # noqa: E501
CALLERS = """
deepest callers:
depth  status    function
  900  bounded   first
  400  at-least  second
"""


def text(*explained: Explained, callers: tuple[tuple[Caller, ...], ...] = ()) -> str:
    out = io.StringIO()
    explain_text(out, explained, callers)
    return out.getvalue()


def test_text() -> None:
    assert text(ONE) == TEXT
    assert text(ONE, ONE) == TEXT + "\n" + TEXT


def test_callers_are_shown_where_they_are_given() -> None:
    callers = (Caller("first", 900, "bounded"), Caller("second", 400, "at-least"))
    assert text(ONE, callers=(callers,)) == TEXT + CALLERS
    assert text(ONE, callers=((),)) == TEXT


def test_titles() -> None:
    def title(**changes: object) -> str:
        row = ROW._replace(function="f", **changes)  # type: ignore[arg-type]
        return text(Explained(row, 48, (), TOTALS, (), (), ())).splitlines()[0]

    start = "f at 0xffffffff81000040, fs/select.c:9: "
    assert title(frame=48) == start + "48 bytes (instructions)"
    assert title(kind="dynamic", frame=48) == start + "at least 48 bytes, dynamic (instructions)"
    assert title(kind="dynamic") == start + "at least 48 bytes, dynamic, up to 56 (instructions)"
    assert title(kind="unknown", frame=None, least=None) == start + "frame not known (instructions)"
    assert title(kind="unknown", frame=None) == start + "at least 48 bytes, unknown (instructions)"
    assert title(line=None, file="") .startswith("f at 0xffffffff81000040: 48 bytes")  # fmt: skip


def test_nothing_adds_up_to_nothing() -> None:
    nothing = Explained(ROW, 0, (), dict.fromkeys(TOTALS, 0), (), (), ())
    assert totals_line(nothing) == "nothing = 0"


def test_csv() -> None:
    out = io.StringIO()
    explain_csv(out, [ONE])
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 1 + len(PARTS)
    assert rows[3] == ["0xffffffff81000040", "poll\x1b", "-36", "20", "variable", "table",
                       "struct t", "fs/select.c", "10", "", "a b c d"]  # fmt: skip
    assert rows[4][-2:] == ["do_poll", ""]


def test_json() -> None:
    out = io.StringIO()
    explain_json(out, [ONE], [[Caller("first", 900, "bounded")]])
    facts = json.loads(out.getvalue())
    assert facts["schema"] == "stackgauge.explain/1"
    [one] = facts["functions"]
    assert (one["address"], one["frame"], one["least"], one["bytes"]) == (
        "0xffffffff81000040", 56, 48, 48,
    )  # fmt: skip
    assert one["totals"]["variable"] == 20
    assert sum(one["totals"].values()) == 48
    assert one["parts"][3]["inlined"] == [CALL._asdict()]
    assert one["shrink"][0]["members"][1] == {
        "name": "large", "offset": 4, "size": 16, "type": "char[16]",
    }  # fmt: skip
    assert one["inlined"] == [{**CALL._asdict(), "bytes": 4}]
    assert one["callers"] == [{"function": "first", "depth": 900, "status": "bounded"}]
    assert one["notes"] == ["something was not told"]
