"""The initramfs, read back by cpio and by hand."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.runtime.cpio import Archive
from stackgauge.runtime.initramfs import Guest, read_modules, write_initramfs


def _entries(raw: bytes) -> list[tuple[str, int, bytes]]:
    """Names, modes and data, by the format's description."""
    found: list[tuple[str, int, bytes]] = []
    at = 0
    while True:
        assert raw[at : at + 6] == b"070701"
        fields = [int(raw[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = raw[at + 110 : at + 110 + name_size - 1].decode()
        begin = at + -(-(110 + name_size) // 4) * 4
        if name == "TRAILER!!!":
            assert begin == len(raw)
            return found
        found.append((name, fields[1], raw[begin : begin + size]))
        at = begin + -(-size // 4) * 4


@given(st.lists(st.tuples(st.text("abc/-", min_size=1, max_size=9), st.binary(max_size=9))))
def test_files_come_back(files: list[tuple[str, bytes]]) -> None:
    out = io.BytesIO()
    archive = Archive(out)
    for name, data in files:
        archive.file(name, data)
    archive.end()
    assert _entries(out.getvalue()) == [(name, 0o100644, data) for name, data in files]


def test_a_guest() -> None:
    out = io.BytesIO()
    write_initramfs(out, Guest(b"box", {"a.ko": b"module"}, b"#!/bin/sh\n", True, False))
    found = {name: (mode, data) for name, mode, data in _entries(out.getvalue())}
    assert found["bin/busybox"] == (0o100755, b"box")
    assert found["init"][1].startswith(b"#!/bin/busybox sh\n")
    assert found["stackgauge/settings"][1] == b"TRACE=1\nCORE=0\n"
    assert found["stackgauge/user"] == (0o100755, b"#!/bin/sh\n")
    assert found["modules/a.ko"][1] == b"module"
    assert found["dev/console"][0] == 0o020600


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_it() -> None:
    out = io.BytesIO()
    write_initramfs(out, Guest(b"box", {}, None, False, False))
    done = subprocess.run(
        ["cpio", "-tv"], input=out.getvalue(), capture_output=True, check=True, timeout=60
    )
    assert b" bin/busybox\n" in done.stdout
    assert b"crw-------" in done.stdout


@pytest.mark.parametrize("name", ["init.sh", "workload.sh"])
def test_scripts_are_a_shells(name: str) -> None:
    from stackgauge.runtime import initramfs

    script = Path(initramfs.__file__).with_name(name)
    subprocess.run(["sh", "-n", script], check=True, timeout=60)


def test_modules(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.ko").write_bytes(b"plain")
    (tmp_path / "b.ko.gz").write_bytes(gzip.compress(b"packed"))
    assert read_modules(tmp_path) == {"a.ko": b"plain", "b.ko": b"packed"}
