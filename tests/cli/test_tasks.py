"""The verb tasks, of logs."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run, run_limited
from tests.logs.test_recorded import RECORDED
from tests.seeds import kernel

SEED = RECORDED / "sysrq-t-elinux-2011"
MEASURED = RECORDED / "sysrq-t-6.1-amd64-measured"


def test_csv(run: Run) -> None:
    printed = run("tasks", SEED, "--csv").answered()
    assert printed.splitlines()[:2] == [
        "pid,tgid,comm,kthread,cgroup,state,free,used,stack_size,source",
        "1,,init,0,,S,932,,,sysrq-t",
    ]
    assert len(list(csv.DictReader(io.StringIO(printed)))) == 25


def test_the_size_is_told_by_options(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("CONFIG_X86_64=y\n")
    for option in (("--thread-size", 16384), ("--config", config)):
        printed = run("tasks", MEASURED, "--csv", *option).answered()
        rows = list(csv.DictReader(io.StringIO(printed)))
        assert {row["stack_size"] for row in rows} == {"16384"}
        assert all(int(row["used"]) + int(row["free"]) == 16384 for row in rows)
        assert [int(row["used"]) for row in rows] == sorted(
            (int(row["used"]) for row in rows), reverse=True
        )


def test_a_mark_above_the_size_gives_nothing(run: Run) -> None:
    printed = run("tasks", MEASURED, "--csv", "--thread-size", 8192).answered()
    assert {row["used"] for row in csv.DictReader(io.StringIO(printed))} == {""}


def test_text(run: Run) -> None:
    printed = run("tasks", MEASURED, "--thread-size", 16384).answered().splitlines()
    assert printed[0] == "26 tasks, 26 with a mark"
    assert printed[3].split() == [
        "used", "free", "stack", "share", "pid", "state", "kind", "task"
    ]  # fmt: skip
    assert printed[4].split() == ["2272", "14112", "16384", "14", "%", "1", "R", "user", "init"]
    assert "no log tells the stacks' size" in run("tasks", SEED).answered()


def test_not_measured_is_said(run: Run) -> None:
    printed = run("tasks", RECORDED / "sysrq-t-6.1-amd64.dmesg").answered()
    assert "CONFIG_DEBUG_STACK_USAGE" in printed
    assert "24 tasks, 0 with a mark" in printed


def test_reports_and_counters(run: Run) -> None:
    printed = run("tasks", RECORDED / "overflow-formats", RECORDED / "vmstat-kstack").answered()
    assert "overflow in sh (98), stack of 16384 bytes: Insufficient stack space" in printed
    assert "up to 4 KiB 11391" in printed
    assert "more" not in printed


def test_json(run: Run) -> None:
    said = json.loads(run("tasks", MEASURED, RECORDED / "vmstat-kstack", "--json").answered())
    assert said["schema"] == "stackgauge.tasks/1"
    assert said["exited"]["1k"] == 3
    assert said["overflows"] == []
    assert said["tasks"][0] == {
        "pid": 1, "tgid": None, "comm": "init", "kthread": False, "cgroup": None, "state": "R",
        "free": 14112, "used": None, "stack_size": None, "source": "sysrq-t",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"nothing of stacks\n", "has no sysrq-t, no mark and no report of a stack"),
        (kernel(), "is binary, not a log"),
        (bytes(range(256)) * 40, "is binary, not a log"),
    ],
)
def test_no_log(run: Run, tmp_path: Path, content: bytes, said: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert run("tasks", log).refused() == f"{log}: {said}"


def test_no_file(run: Run, tmp_path: Path) -> None:
    assert "no such file" in run("tasks", tmp_path / "none").refused()
    run("tasks", tmp_path).refused()
    os.mkfifo(tmp_path / "fifo")
    run("tasks", tmp_path / "fifo").refused()


@pytest.mark.parametrize("size", [0, 4095, 12288, 1 << 21])
def test_no_size(run: Run, size: int) -> None:
    assert "power of two" in run("tasks", SEED, "--thread-size", size).refused()


def test_an_image_tells_the_size(run: Run, vmlinux: Path) -> None:
    printed = run("tasks", MEASURED, "--image", vmlinux, "--csv").answered()
    assert {row["stack_size"] for row in csv.DictReader(io.StringIO(printed))} == {"16384"}


def test_a_configuration_without_the_size(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("CONFIG_M68K=y\n")
    said = run("tasks", SEED, "--config", tmp_path / "config").refused()
    assert said.endswith("does not tell the size of a task's stack: --thread-size does")


def test_a_large_log_takes_little(tmp_path: Path) -> None:
    """Some 20 MB, within the limits of a process of its own."""
    log = tmp_path / "log"
    log.write_bytes(MEASURED.read_bytes() * 2000)
    assert run_limited("tasks", log).answered().startswith("26 tasks")


def test_a_line_without_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"stack task:" * 2_000_000 + b"\n" + SEED.read_bytes())
    assert run_limited("tasks", log).answered().startswith("25 tasks")
