"""The verb ``explain``: what it prints, of which functions, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.frames.explained import WORK, build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"), WORK)


def test_text(run: Run, built: Path) -> None:
    printed = run("explain", built, "work").answered()
    first, _, heading, *lines = printed.splitlines()
    assert first.startswith("work at 0x0, ")
    assert heading.split()[:6] == ["offset", "bytes", "what", "name", "type", "source"]
    assert lines[0].split() == ["-8", "8", "return", "address", "ra"]
    assert any("struct big" in line and line.startswith("  -") for line in lines)
    [total] = [line for line in lines if " = " in line]
    words = total.partition(" (")[0].replace("+", "").split()
    numbers = [int(word) for word in words if word.isdigit()]
    assert sum(numbers[:-1]) == numbers[-1]


def test_json_and_csv(run: Run, built: Path) -> None:
    [one] = json.loads(run("explain", built, "work", "--json").answered())["functions"]
    assert run("explain", built, "work", "--format", "json").answered()
    rows = list(csv.DictReader(io.StringIO(run("explain", built, "0x0", "--csv").answered())))
    assert [row["name"] for row in rows] == [part["name"] for part in one["parts"]]
    assert sum(int(row["bytes"]) for row in rows) == one["bytes"]
    assert {row["function"] for row in rows} == {"work"}


def test_output_file(run: Run, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "explained"
    assert run("explain", built, "work", "-o", out).answered() == ""
    assert out.read_text() == run("explain", built, "work").answered()
    assert "exists already" in run("explain", built, "work", "-o", out).refused()


def test_a_kernel_without_debug_information(run: Run, vmlinux: Path) -> None:
    printed = run("explain", vmlinux, "__x64_sys_poll").answered()
    assert printed.startswith("do_sys_poll at ")
    assert "return address 8 + saved registers 8 + unnamed 1024 = 1040" in printed
    assert "note: the image has no debug information" in printed


def test_unknown_functions(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    said = run("explain", vmlinux, "do_sys_pol").refused()
    assert said == f"{vmlinux}: has no function 'do_sys_pol'; similar: do_sys_poll"
    assert "has no function" in run("explain", vmlinux, "\x1b[31m").refused()
    assert "no function has code at" in run("explain", vmlinux, "0x1").refused()
    assert run("explain", tmp_path / "none", "f").refused()
    assert run("explain", vmlinux).refused()
