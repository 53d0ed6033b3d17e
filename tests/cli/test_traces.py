"""The verb traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.logs.test_recorded import RECORDED

TABLE = RECORDED / "stack_trace-6.1-amd64"


def test_without_an_image(run: Run) -> None:
    printed = run("traces", TABLE, "--csv").answered().splitlines()
    assert printed[:2] == [
        "depth,size,location,static,status", "2920,48,blake2s_compress+0x5/0xa0,,"
    ]  # fmt: skip
    assert len(printed) == 98
    text = run("traces", TABLE, RECORDED / "stack_max_size-6.1-amd64").answered()
    assert text.startswith("stack_max_size: 2920 bytes")
    assert "stack_trace: 29 lines" in text


def test_beside_an_image(run: Run, tmp_path: Path, vmlinux: Path) -> None:
    log = tmp_path / "stack_trace"
    log.write_text(
        "        Depth    Size   Location    (3 entries)\n"
        "        -----    ----   --------\n"
        "  0)      104      48   plain+0x1/0x3\n"
        "  1)       56      40   nowhere+0x1/0x3\n"
        "  2)       16      16   plain+0x2/0x3\n"
    )
    printed = run("traces", log, "--image", vmlinux, "--csv").answered().splitlines()
    assert printed[1:] == [
        "104,48,plain+0x1/0x3,,first line",
        "56,40,nowhere+0x1/0x3,,not found",
        "16,16,plain+0x2/0x3,,entry",
    ]
    said = json.loads(run("traces", log, "--image", vmlinux, "--json").answered())
    assert said["schema"] == "stackgauge.traces/1"
    assert said["statuses"] == {"first line": 1, "not found": 1, "entry": 1}
    assert said["traces"][0]["lines"][1]["location"] == "nowhere+0x1/0x3"
    text = run("traces", log, "--image", vmlinux).answered()
    counts = [line.split(maxsplit=3)[:3] for line in text.splitlines()[-3:]]
    assert counts[1] == ["1", "not", "found"]


@pytest.mark.parametrize("name", ["stack_trace-disabled", "vmstat-kstack"])
def test_no_trace(run: Run, name: str) -> None:
    assert run("traces", RECORDED / name).refused().endswith("has no stack trace and no call trace")
