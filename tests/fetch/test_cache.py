"""The cache folder: where it is, one process at a time, nothing half."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stackgauge.errors import StackgaugeError
from stackgauge.fetch.cache import cache_folder, explained, locked, unfinished


def test_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder("debian") == Path("/somewhere/stackgauge/debian")


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_falls_back_to_home(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/stackgauge")


def test_waits_for_another_process(tmp_path: Path) -> None:
    holder = "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.flock(f, fcntl.LOCK_EX)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{holder}; print(flush=True); input()", str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        waited = []

        def waiting() -> None:
            waited.append(True)
            process.communicate(b"\n")

        with locked(tmp_path, waiting):
            assert process.returncode == 0
    assert waited == [True]


def test_does_not_wait_for_nobody(tmp_path: Path) -> None:
    with locked(tmp_path / "new", lambda: pytest.fail("waited")):
        assert (tmp_path / "new").is_dir()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "unfinished" / "image").mkdir(parents=True)
    with unfinished(tmp_path) as work:
        assert list(work.iterdir()) == []
        (work / "half").write_text("")
    assert not work.exists()


def test_says_what_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(StackgaugeError, match="no space left on device"), explained(tmp_path):
        raise OSError(28, "No space left on device")
    with (
        pytest.raises(StackgaugeError, match="missing/x: no such file"),
        explained(tmp_path),
        open(tmp_path / "missing" / "x", "wb"),
    ):
        pass
