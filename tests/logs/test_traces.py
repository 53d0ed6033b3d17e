"""Call traces of all architectures, and ftrace's table, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.logs.model import Trace
from stackgauge.logs.reading import read_chains
from tests.logs.test_recorded import RECORDED


def _traces(tmp_path: Path, text: str) -> list[Trace]:
    path = tmp_path / "log"
    path.write_text(text)
    return read_chains([str(path)]).traces


@pytest.mark.parametrize(
    ("printed", "place", "sure"),
    [
        (" schedule+0x63/0x7e", "schedule+0x63/0x7e", True),
        (" ? schedule+0x63/0x7e", "schedule+0x63/0x7e", False),
        (" [<ffffffff8147a7c9>] schedule+0x63/0x7e", "schedule+0x63/0x7e", True),
        (" [<ffffffff8147a7c9>] ? schedule+0x63/0x7e", "schedule+0x63/0x7e", False),
        (" [<c05a2068>] schedule+0x63/0x7e [a_b]", "schedule+0x63/0x7e [a_b]", True),
        ("[<c05a2068>] (schedule) from [<c05a2068>] (wait+0x4/0xac)", "wait+0x4/0xac", True),
        (" schedule from wait+0x4/0xac", "wait+0x4/0xac", True),
        ("[c0000000f] [c000000000123456] wait+0x4/0xac (unreliable)", "wait+0x4/0xac", False),
        (" [<0000000000112233>] wait+0x4/0xac ", "wait+0x4/0xac", True),
        ("([<0000000000112233>] wait+0x4/0xac)", "wait+0x4/0xac", True),
        (" wait+0x4/0xac kernel/exit.c:123", "wait+0x4/0xac", True),
        (" wait+0x4/0xac (kernel/exit.c:123)", "wait+0x4/0xac", True),
        (
            " wait+0x4/0xac [xfs 0123456789abcdef0123456789abcdef01234567]",
            "wait+0x4/0xac [xfs]",
            True,
        ),
    ],
)
def test_a_line(tmp_path: Path, printed: str, place: str, sure: bool) -> None:
    [trace] = _traces(tmp_path, f"Call Trace:\n{printed}\n")
    assert [(line.location.text, line.sure) for line in trace.lines] == [(place, sure)]
    assert (trace.title, trace.measured) == ("Call Trace", False)


@pytest.mark.parametrize(
    "printed",
    [" schedule+0x63/", " schedule+0x6", " a schedule+0x63/0x7e", "RIP: 0010:wait+0x4/0xac", ""],
)
def test_no_line(tmp_path: Path, printed: str) -> None:
    [trace] = _traces(tmp_path, f"Call Trace:\n{printed}\n schedule+0x1/0x2\n")
    assert [line.location.text for line in trace.lines] == ["schedule+0x1/0x2"]


def test_arm() -> None:
    [init] = read_chains([str(RECORDED / "sysrq-t-4.14-arm")]).traces
    assert [line.location.text for line in init.lines] == [
        "schedule+0x4c/0xac", "schedule_timeout+0x1e4/0x26c", "SyS_wait4+0x60/0xb8 [module]"
    ]  # fmt: skip


def test_titles(tmp_path: Path) -> None:
    text = (
        "task:init            state:S stack:0     pid:1     ppid:0      flags:0x00000000\n"
        "Call Trace:\n <TASK>\n a+0x1/0x2\n </TASK>\n"
        "usb 1-1: a line of another\n b+0x1/0x2\n"
        "CPU: 0 PID: 7 Comm: sh\nCall Trace:\n c+0x1/0x2\n"
    )
    assert [(trace.title, len(trace.lines)) for trace in _traces(tmp_path, text)] == [
        ("init (1)", 2), ("Call Trace", 1)
    ]  # fmt: skip


TABLE = (RECORDED / "stack_trace-6.1-amd64").read_text().splitlines(keepends=True)[:31]


def test_lost_and_repeated_rows(tmp_path: Path) -> None:
    rows = [*TABLE[:5], *TABLE[2:9], "login: \n", *TABLE[10:]]
    [trace] = _traces(tmp_path, "".join(rows))
    assert len(trace.lines) == 28
    assert trace.missing == 1


def test_a_table_in_a_log(tmp_path: Path) -> None:
    """As the tracer prints it when a stack's end is corrupted."""
    [trace] = _traces(tmp_path, "".join(f"[    1.234567] {row}" for row in TABLE))
    assert (len(trace.lines), trace.missing, trace.measured) == (29, 0, True)
