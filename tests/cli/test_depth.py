"""The verb depth."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.calls.depth_program import built
from tests.cli.conftest import Run
from tests.seeds import kernel


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    return built(tmp_path_factory.mktemp("program"))


def _rows(listing: str) -> dict[str, dict[str, str]]:
    return {row["function"]: row for row in csv.DictReader(io.StringIO(listing))}


def test_all_functions(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, su = program
    rows = _rows(run("depth", path, "--all", "--csv", "--chain").answered())
    assert set(rows) == set(su)
    use = su["use"]
    assert rows["use"]["depth"] == str(use)
    assert rows["use"]["status"] == "bounded"
    assert rows["both"]["frames"] == "4"
    assert rows["both"]["chain"] == (
        f"both:{su['both']};large:{su['large']};small:{su['small']};use:{use}"
    )
    assert rows["again"]["status"] == "unbounded"
    assert rows["again"]["reason"] == "recursion: again -> again"
    assert rows["ping"]["reason"] in (
        "recursion: ping -> pong -> ping",
        "recursion: pong -> ping -> pong",
    )
    assert rows["pointer"]["status"] == "at-least"
    assert rows["pointer"]["reason"] == "unresolved call through a pointer in pointer"
    assert rows["dynamic"]["reason"] == "dynamic stack without a limit in dynamic"
    for row in rows.values():
        assert int(row["depth"]) == sum(
            int(part.rsplit(":", 1)[1]) for part in row["chain"].split(";")
        )


def test_from_and_chain(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, su = program
    printed = run("depth", path, "--from", "jumps", "--chain").answered()
    depth = su["large"] + su["small"] + su["use"]
    lines = [line.split() for line in printed.splitlines()]
    assert lines[-5:] == [
        ["bytes", "total", "function"],
        ["0", "0", "jumps"],
        [str(su["large"]), str(su["large"]), "large"],
        [str(su["small"]), str(su["large"] + su["small"]), "small"],
        [str(su["use"]), str(depth), "use"],
    ]
    assert f"\njumps: {depth} bytes, bounded\n" in printed


def test_top_counts_all(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, su = program
    printed = run("depth", path, "--all", "--top", "1").answered().splitlines()
    assert any(line.startswith(f"{len(su)} depths: ") for line in printed)
    assert len(printed[printed.index("") + 2 :]) == 1


def test_to(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, su = program
    rows = _rows(
        run("depth", path, "--from", "both", "--to", "small", "--csv", "--chain").answered()
    )
    assert rows["both"]["chain"] == f"both:{su['both']};large:{su['large']};small:{su['small']}"
    assert rows["both"]["status"] == "bounded"
    printed = run("depth", path, "--from", "small", "--to", "large").answered()
    assert "0 depths\n" in printed


def test_annotations(run: Run, program: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    path, _ = program
    notes = tmp_path / "notes.toml"
    notes.write_text(
        '[[recursion]]\nfunction = "p?ng"\ntimes = 2\n'
        '[[recursion]]\nfunction = "again"\ntimes = 4\nwhy = "a.c:8: n"\n'
        '[[call]]\nedge = "pointer -> small"\n[[never]]\nedge = "main -> dynamic"\n'
    )
    given: tuple[object, ...] = ("--annotations", notes)
    facts = json.loads(run("depth", path, "--from", "main", *given, "--json").answered())
    (row,) = facts["depths"]
    assert row["status"] == "assumed"
    assert facts["statuses"] == {"bounded": 0, "assumed": 1, "at-least": 0, "unbounded": 0}
    assert "recursion: bounds known of 3 functions" in facts["notes"]
    assert "annotations: 1 calls added, 1 left out" in facts["notes"]
    assert "annotations" in row["reason"]
    assert "recursion: again at most 4 times (a.c:8)" in row["reason"][0]
    # Left out, they are not assumed.
    given += ("--without", "recursion")
    facts = json.loads(run("depth", path, "--from", "again", *given, "--json").answered())
    assert facts["depths"][0]["status"] == "unbounded"
    notes.write_text('[[never]]\nedge = "main -> mian"\n')
    refused = run("depth", path, "--all", "--annotations", notes).refused()
    assert refused == f"{notes}, line 1: no function is called 'mian'"


def test_flame_graphs(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, su = program
    printed = run("depth", path, "--from", "small", "--format", "collapsed").answered()
    assert printed == f"small {su['small']}\nsmall;use {su['use']}\n"
    printed = run("depth", path, "--from", "small", "--format", "speedscope").answered()
    assert json.loads(printed)["profiles"][0]["weights"] == [su["small"], su["use"]]


def test_what_is_refused(run: Run, vmlinux: Path, program: tuple[Path, dict[str, int]]) -> None:
    path, _ = program
    assert run("depth", path).refused() == (
        f"{path}: has no known entry points: use --from FUNC or --all"
    )
    assert run("depth", path, "--from", "nothing").refused() == "no function is called 'nothing'"
    assert run("depth", path, "--all", "--ignore", "x").refused() == (
        "no set is called 'x'; there is diagnostics"
    )
    assert run("depth", path, "--all", "--without", "x").refused().startswith("no layer is called")
    assert "not allowed with" in run("depth", path, "--all", "--from", "f").refused()
    assert run("depth", vmlinux, "--annotations", "missing.toml").refused() == (
        "missing.toml: cannot be read: No such file or directory"
    )


def test_a_small_kernel(run: Run, vmlinux: Path) -> None:
    rows = _rows(run("depth", vmlinux, "--all", "--csv").answered())
    assert rows["do_sys_poll"]["status"] == "bounded"
    assert rows["alloca"]["status"] == "at-least"


def test_broken_kernels(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    random = np.random.default_rng(5)
    for _ in range(60):
        broken = bytearray(kernel())
        for place in random.integers(64, len(broken), 4).tolist():
            broken[place] = int(random.integers(256))
        path.write_bytes(broken)
        run("depth", path, "--all", "--chain", "--ignore", "diagnostics").answered_or_refused()
        run("depth", path).answered_or_refused()
