"""Depths for people and for machines."""

from __future__ import annotations

import csv
import io
import json

from stackgauge.calls.listing import DepthRow, Listed, OnTop, Step
from stackgauge.kernel.identity import Identity
from stackgauge.report.depth import (
    chains_text,
    depth_csv,
    depth_json,
    depth_text,
    on_top_text,
)

KERNEL = Identity("x86_64", "6.1.0", "gcc", "ab", 16384, 0, "symtab")

POLL = DepthRow(
    "__x64_sys_poll", "syscall", "task", 1336, 16384, "assumed",
    ("calls by table", "ignored: diagnostics"), "vmlinux", 3,
    (Step("", 168, False), Step("__x64_sys_poll", 56, False), Step("loop", 64, True),
     Step("do_sys_poll", 1048, False)),
)  # fmt: skip
OPEN = DepthRow(
    "evil\x1b[2J;name", "irq", "irq", 400, None, "unbounded", ("recursion: a -> a",), "tun", 1,
    (Step("evil\x1b[2J;name", 400, False),),
)  # fmt: skip
PLAIN = DepthRow("leaf", "", "", 8, None, "bounded", (), "vmlinux", 1, ())
STATUSES = {"bounded": 0, "assumed": 1, "at-least": 0, "unbounded": 1}
BOTH = Listed([POLL, OPEN], STATUSES)
ON_TOP = [
    OnTop("page fault", "task", 3000, "assumed", "exc_page_fault", ""),
    OnTop("warning", "task", 600, "at-least", "", "diagnostics"),
]


def test_on_top() -> None:
    out = io.StringIO()
    on_top_text(out, ON_TOP)
    assert out.getvalue().splitlines() == [
        "on top, task stack: page fault (exc_page_fault): 3000 bytes, assumed",
        "on top, task stack: warning: 600+ bytes, at-least, with diagnostics",
    ]


def test_table() -> None:
    out = io.StringIO()
    depth_text(out, ["ignored: diagnostics: 3 calls left out"], BOTH)
    assert out.getvalue().splitlines() == [
        "2 depths: 1 assumed, 1 unbounded",
        "ignored: diagnostics: 3 calls left out",
        "",
        "depth   free  status     entry    stack  function          module   reason",
        " 1336  15048  assumed    syscall  task   __x64_sys_poll    vmlinux  "
        "calls by table (and 1 more)",
        " 400+         unbounded  irq      irq    evil\\x1b[2J;name  tun      recursion: a -> a",
    ]


def test_columns_without_anything_are_left_out() -> None:
    out = io.StringIO()
    depth_text(out, [], Listed([PLAIN], {"bounded": 1}))
    assert out.getvalue().splitlines() == [
        "1 depths: 1 bounded",
        "",
        "depth  status   function",
        "    8  bounded  leaf",
    ]
    out = io.StringIO()
    depth_text(out, [], Listed([], {"bounded": 0}))
    assert out.getvalue() == "0 depths\n"


def test_headroom_of_what_is_no_bound_is_at_most() -> None:
    out = io.StringIO()
    depth_text(out, [], Listed([POLL._replace(status="at-least")], {"at-least": 1}))
    line = out.getvalue().splitlines()[-1]
    assert line.split()[:3] == ["1336+", "<=15048", "at-least"]


def test_chains() -> None:
    out = io.StringIO()
    chains_text(out, ["note"], BOTH)
    assert out.getvalue().splitlines() == [
        "2 depths: 1 assumed, 1 unbounded",
        "note",
        "",
        "__x64_sys_poll (syscall, task stack): 1336 of 16384 bytes, assumed",
        "  calls by table",
        "  ignored: diagnostics",
        "",
        "bytes  total  function",
        "  168    168  (pushed on entry)",
        "   56    224  __x64_sys_poll",
        "   64    288  loop (further rounds)",
        " 1048   1336  do_sys_poll",
        "",
        "evil\\x1b[2J;name (irq, irq stack): 400+ bytes, unbounded",
        "  recursion: a -> a",
        "",
        "bytes  total  function",
        "  400    400  evil\\x1b[2J;name",
    ]


def test_csv() -> None:
    out = io.StringIO()
    depth_csv(out, [POLL._replace(steps=()), PLAIN])
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows[0] == ["function", "entry", "stack", "depth", "status", "reason", "frames"]
    assert rows[1] == [
        "__x64_sys_poll", "syscall", "task", "1336", "assumed",
        "calls by table; ignored: diagnostics", "3",
    ]  # fmt: skip
    assert rows[2] == ["leaf", "", "", "8", "bounded", "", "1"]


def test_csv_with_chains() -> None:
    out = io.StringIO()
    depth_csv(out, [POLL, PLAIN])
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows[0][-2:] == ["frames", "chain"]
    assert rows[1][-1] == (
        "(pushed on entry):168;__x64_sys_poll:56;loop (further rounds):64;do_sys_poll:1048"
    )
    assert rows[2][-2:] == ["1", ""]


def test_json() -> None:
    out = io.StringIO()
    depth_json(out, KERNEL, ["note"], Listed([POLL, PLAIN], STATUSES), ON_TOP)
    facts = json.loads(out.getvalue())
    assert facts["schema"] == "stackgauge.depth/1"
    assert facts["kernel"]["thread_size"] == 16384
    assert facts["notes"] == ["note"]
    assert facts["statuses"] == STATUSES
    assert facts["on_top"][1] == {
        "name": "warning", "stack": "task", "depth": 600, "status": "at-least",
        "function": "", "given": "diagnostics",
    }  # fmt: skip
    poll, leaf = facts["depths"]
    assert poll["headroom"] == 15048
    assert poll["reason"] == ["calls by table", "ignored: diagnostics"]
    assert poll["chain"][2] == {"function": "loop", "bytes": 64, "rounds": True}
    assert sum(step["bytes"] for step in poll["chain"]) == poll["depth"]
    assert leaf == {
        "function": "leaf", "entry": "", "stack": "", "depth": 8, "room": None,
        "status": "bounded", "reason": [], "module": "vmlinux", "frames": 1, "headroom": None,
    }  # fmt: skip
