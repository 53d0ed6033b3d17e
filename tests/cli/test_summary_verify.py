"""``frames --summary`` and ``frames --verify``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.frames.made_kernel import BASE, MadeKernel
from tests.seeds import INIT, corpus


def _disagreeing(folder: Path) -> Path:
    """A kernel whose ORC has a figure that its instructions do not have."""
    made = MadeKernel()
    place = made.add("f", "50 58 c3")
    for offset, depth in ((0, 8), (1, 400), (2, 8)):
        made.hint(place + offset, depth)
    made.hint(place + 3, 0, 0, 0)
    path = folder / "wrong"
    path.write_bytes(made.file_bytes())
    return path


def test_summary_as_text(run: Run, vmlinux: Path) -> None:
    lines = run("frames", vmlinux, "--summary").answered().splitlines()
    assert lines[1:4] == [
        "10 functions: 1 unknown, 7 static, 2 dynamic; 2 by orc, 8 by instructions",
        "largest frame: 1048 bytes, do_sys_poll",
        "",
    ]
    assert lines[4].split() == ["frame", "function", "module"]
    assert [line.split()[0] for line in lines[5:14]] == [
        "16", "16", "24", "24", "32", "56", "128", "136", "1048"
    ]  # fmt: skip
    assert lines[11].split() == ["128", "(no", "symbol", "at", f"{INIT:#x})", "vmlinux"]
    assert [line.split() for line in lines[15:]] == [
        ["up", "to", "functions"],
        ["16", "2", "#" * 27],
        ["32", "3", "#" * 40],
        ["64", "1", "#" * 14],
        ["128", "1", "#" * 14],
        ["256", "1", "#" * 14],
        ["2048", "1", "#" * 14],
    ]


def test_summary_for_machines(run: Run, vmlinux: Path) -> None:
    facts = json.loads(run("frames", vmlinux, "--summary", "--json").answered())
    assert list(facts) == [
        "schema", "kernel", "functions", "kinds", "evidence", "largest", "histogram"
    ]  # fmt: skip
    assert facts["schema"] == "stackgauge.summary/1"
    assert facts["kinds"] == {"unknown": 1, "static": 7, "dynamic": 2}
    assert facts["histogram"] == [[16, 2], [32, 3], [64, 1], [128, 1], [256, 1], [2048, 1]]
    assert facts["largest"][-1]["function"] == "do_sys_poll"
    listing = run("frames", vmlinux, "--summary", "--csv").answered()
    rows = list(csv.DictReader(io.StringIO(listing)))
    assert [int(row["frame"]) for row in rows] == [16, 16, 24, 24, 32, 56, 128, 136, 1048]


def test_agreement(run: Run, vmlinux: Path) -> None:
    assert run("frames", vmlinux, "--verify").answered() == (
        "vmlinux: 10 functions\n"
        "  orc settles 2\n"
        "  instructions settles 9\n"
        "\n"
        "orc and instructions: 2 of 2 equal\n"
    )


def test_a_difference_without_a_cause_fails(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    wrong = _disagreeing(tmp_path)
    outcome = run("frames", wrong, "--verify")
    assert (outcome.code, outcome.err) == (1, "")
    assert "orc and instructions: 0 of 1 equal\n  1 differ: unexplained\n" in outcome.out
    assert outcome.out.splitlines()[-1].split() == [hex(BASE), "400", "16", "f", "unexplained"]
    assert run("frames", vmlinux, wrong, "--verify").code == 1


def test_a_difference_with_a_cause_does_not(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "object.o"
    path.write_bytes(corpus("x86_64-user-O2"))
    printed = run("frames", path, "--verify").answered()
    assert "differ: inline assembly pushes, which CFI does not see\n" in printed


def test_verify_for_machines(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    wrong = _disagreeing(tmp_path)
    outcome = run("frames", vmlinux, wrong, "--verify", "--json")
    facts = json.loads(outcome.out)
    assert facts["schema"] == "stackgauge.verify/1"
    assert [one["image"] for one in facts["images"]] == ["vmlinux", "wrong"]
    assert facts["images"][1]["agreements"] == [
        {
            "one": "orc",
            "two": "instructions",
            "compared": 1,
            "equal": 0,
            "differences": [
                {"address": BASE, "function": "f", "one": 400, "two": 16, "cause": "unexplained"}
            ],
        }
    ]
    outcome = run("frames", vmlinux, wrong, "--verify", "--csv")
    assert outcome.out.splitlines() == [
        "image,one,two,address,function,one_bytes,two_bytes,cause",
        f"wrong,orc,instructions,{BASE:#x},f,400,16,unexplained",
    ]
