"""Lines of traces beside what an image says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stackgauge.calls.traced import compare_traces
from stackgauge.calls.traced_model import STATUSES, ComparedLine
from stackgauge.image.opening import open_images
from stackgauge.logs.model import Line, Location, Trace
from tests.calls.depth_program import built

# The chain that is traced, the deepest first; each calls the one above it.
CHAIN = ("small", "large", "jumps", "both", "main")


def _returns(program: Path) -> dict[tuple[str, str], int]:
    """Where each call returns to, in bytes from where its function begins, as objdump says."""
    listing = subprocess.run(
        ["objdump", "-d", str(program)], capture_output=True, text=True, check=True
    ).stdout
    found: dict[tuple[str, str], int] = {}
    function, start, called = "", 0, ""
    for line in listing.splitlines():
        head = re.match(r"([0-9a-f]+) <(\w+)>:", line)
        code = re.match(r" +([0-9a-f]+):\t", line)
        if head:
            function, start, called = head[2], int(head[1], 16), ""
        elif code:
            if called:
                found.setdefault((function, called), int(code[1], 16) - start)
            call = re.search(r"\tcall +[0-9a-f]+ <(\w+)>", line)
            called = call[1] if call else ""
    return found


def _location(function: str, offset: int, module: str = "") -> Location:
    return Location(f"{function}+{offset:#x}/0x100", function, offset, 0x100, module)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], list[Line]]:
    """The program, its frames, and the trace of a chain in it."""
    path, su = built(tmp_path_factory.mktemp("program"))
    offset = _returns(path)
    # ``jumps`` jumps to ``large``, so that it is on no stack any more.
    depth = su["large"] + su["both"] + 16
    lines = [Line(_location("small", 5), depth + 48, 48)]
    for below, function in (("small", "large"), ("jumps", "both"), ("both", "main")):
        size = su.get(function, 0) if function != "main" else 16
        lines.append(Line(_location(function, offset[function, below]), depth, size))
        depth -= size
    return path, su, lines


def _compared(path: Path, lines: list[Line], measured: bool = True) -> list[ComparedLine]:
    trace = Trace("stack_trace", tuple(lines), measured, 0)
    [found] = compare_traces([trace], open_images(str(path)))
    assert all(line.status in STATUSES for line in found)
    return found


def test_sizes_are_static_depths(program: tuple[Path, dict[str, int], list[Line]]) -> None:
    path, su, lines = program
    found = _compared(path, lines)
    assert [line.status for line in found] == ["first line", "equal", "equal", "entry"]
    assert [line.static for line in found[1:3]] == [su["large"], su["both"]]


def test_a_difference_is_told(program: tuple[Path, dict[str, int], list[Line]]) -> None:
    path, su, lines = program
    for by in (-8, 8):
        harmed = list(lines)
        harmed[2] = harmed[2]._replace(size=su["both"] + by)
        assert [line.status for line in _compared(path, harmed)][1:3] == ["equal", "differs"]


def test_copies_lie_below(program: tuple[Path, dict[str, int], list[Line]]) -> None:
    path, su, lines = program
    for by, statuses in ((24, ["older copy"] * 2), (-24, ["differs"] * 2)):
        moved = list(lines)
        moved[1] = lines[1]._replace(size=su["large"] - by)
        moved[2] = lines[2]._replace(size=su["both"] + by)
        assert [line.status for line in _compared(path, moved)][1:3] == statuses


def test_places_that_are_none(program: tuple[Path, dict[str, int], list[Line]]) -> None:
    path, _, lines = program
    end = lines[-1]
    wrong = [
        (_location("nowhere", 5), "not found"),
        (_location("large", 5, "module"), "not found"),
        (_location("large", 1), "not a call"),
        (Location("0xffff", "", 0, 0, ""), "not found"),
    ]
    for location, status in wrong:
        found = _compared(path, [lines[0], Line(location, 99, 8), end])
        assert (found[1].status, found[1].static) == (status, None)


def test_a_call_trace_has_depths(program: tuple[Path, dict[str, int], list[Line]]) -> None:
    path, su, lines = program
    found = _compared(
        path,
        [Line(lines[1].location), Line(lines[2].location), Line(lines[1].location, sure=False)],
        measured=False,
    )
    assert [(line.static, line.status) for line in found] == [
        (su["large"], "static"), (su["both"], "static"), (None, "unsure")
    ]  # fmt: skip
