"""Calls that traces show: with ``--observed`` they are in the graph, and close nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.calls.graph import read_graph
from stackgauge.calls.model import Kind
from stackgauge.image.opening import open_images
from tests.calls.depth_program import built
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    return built(tmp_path_factory.mktemp("program"))


def trace(path: Path, folder: Path, *, shift: int = 0) -> Path:
    """ftrace's stack_trace of ``pointer`` calling ``large``."""
    graph = read_graph(open_images(path))
    pointer = int(graph.find("pointer")[0])
    sites = graph.sites
    [site] = [
        row
        for row in range(len(sites))
        if sites.function[row] == pointer and sites.kind[row] == Kind.INDIRECT_CALL
    ]
    offset = int(sites.end[site] - graph.frames[0].functions.start[pointer]) + shift
    log = folder / "stack_trace"
    log.write_text(
        "        Depth    Size   Location    (3 entries)\n"
        "        -----    ----   --------\n"
        "  0)      800     424   large+0x20/0x40\n"
        f"  1)      376     160   pointer+{offset:#x}/0x40\n"
        "  2)      216     216   top+0x20/0x40\n"
    )
    return log


def test_what_was_seen_is_called(
    run: Run, program: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    path, su = program
    plain = ("depth", path, "--from", "pointer", "--csv")
    alone = run(*plain).answered().splitlines()[1].split(",")
    seen = run(*plain, "--observed", trace(path, tmp_path)).answered().splitlines()[1].split(",")
    large = su["large"] + su["small"] + su["use"]
    assert int(alone[3]) == su["pointer"] + su["use"]
    assert int(seen[3]) == su["pointer"] + large
    assert alone[4] == seen[4] == "at-least"


def test_it_can_be_left_out(run: Run, program: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    path, su = program
    log = trace(path, tmp_path)
    row = run(
        "depth", path, "--from", "pointer", "--csv", "--observed", log, "--without", "observed"
    )
    assert row.answered().splitlines()[1].split(",")[3] == str(su["pointer"] + su["use"])


def test_a_place_that_does_not_call_says_nothing(
    run: Run, program: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    path, su = program
    row = run(
        "depth", path, "--from", "pointer", "--csv", "--observed", trace(path, tmp_path, shift=1)
    )
    assert row.answered().splitlines()[1].split(",")[3] == str(su["pointer"] + su["use"])
