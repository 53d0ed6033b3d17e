"""``explain --callers``: who calls the function from deepest."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.calls.depth_program import built
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    return built(tmp_path_factory.mktemp("program"))


def test_callers(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, su = program
    text = run("explain", path, "large", "--callers", "9", "--json").answered()
    [large] = json.loads(text)["functions"]
    found = {one["function"]: one["depth"] for one in large["callers"]}
    depths = [one["depth"] for one in large["callers"]]
    assert set(found) == {"jumps", "both", "ping"}
    assert depths == sorted(depths, reverse=True)
    listing = run("depth", path, "--all", "--to", "large", "--csv").answered()
    deepest = max(int(row["depth"]) for row in csv.DictReader(io.StringIO(listing)))
    assert depths[0] == deepest - su["large"]
    assert "deepest callers:" in run("explain", path, "large", "--callers", "1").answered()


def test_nobody_calls_main(run: Run, program: tuple[Path, dict[str, int]]) -> None:
    path, _ = program
    [main] = json.loads(run("explain", path, "main", "--callers", "9", "--json").answered())[
        "functions"
    ]
    assert main["callers"] == []
