"""Where the output goes: a file that is never overwritten unasked, and appears whole or not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.cli.conftest import Run


def test_to_a_file(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    printed = run("frames", vmlinux, "--csv").answered()
    target = tmp_path / "frames.csv"
    assert run("frames", vmlinux, "--csv", "-o", target).answered() == ""
    assert target.read_text() == printed
    assert sorted(os.listdir(tmp_path)) == ["frames.csv", "vmlinux"]


def test_an_existing_file_stays(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    target = tmp_path / "notes"
    target.write_text("mine")
    said = run("frames", vmlinux, "-o", target).refused()
    assert said == f"{target}: exists already; -f overwrites it"
    assert target.read_text() == "mine"
    said = run("frames", vmlinux, "-o", vmlinux).refused()
    assert "exists already" in said
    assert run("frames", vmlinux, "-f", "-o", target).answered() == ""
    assert target.read_text().startswith("vmlinux: Linux 6.12.9")


def test_after_an_error_there_is_no_file(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "target"
    run("frames", tmp_path / "nothing", "-o", target).refused()
    assert os.listdir(tmp_path) == []
    target.write_text("mine")
    run("frames", tmp_path / "nothing", "-f", "-o", target).refused()
    assert target.read_text() == "mine"


def test_places_that_cannot_be_written(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    for target, why in (
        (tmp_path / "missing" / "file", "cannot be written: No such file or directory"),
        (vmlinux / "file", "cannot be written: Not a directory"),
        (tmp_path / ("x" * 300), "cannot be written: File name too long"),
        (tmp_path, "is a directory"),
        ("", "is a directory"),
        ("/dev/full", "cannot be written: No space left on device"),
    ):
        for force in ([], ["-f"]):
            said = run("frames", vmlinux, *force, "-o", target).refused()
            assert said == f"{target or '.'}: {why}"
    assert os.listdir(tmp_path) == ["vmlinux"]


def test_a_device_is_not_replaced(run: Run, vmlinux: Path) -> None:
    for force in ([], ["-f"]):
        assert run("frames", vmlinux, *force, "-o", "/dev/null").answered() == ""
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_is_followed(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to(target)
    run("frames", vmlinux, "-o", link).refused()
    run("frames", vmlinux, "-f", "-o", link).answered()
    assert link.is_symlink()
    assert target.read_text().startswith("vmlinux: ")
