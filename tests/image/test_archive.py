from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.image.archive import archive_members, is_archive
from tests.image.containers import ar_header, write_archive

MEMBERS = {
    "a.o": b"odd",
    "fifteen_chars.o": b"x" * 100,
    "sixteen_chars_.o": b"even",
    "a_name_that_is_longer_than_the_header_has_room_for.o": b"y" * 33,
}


def members(data: bytes, path: str | Path = "built-in.a") -> dict[str, bytes]:
    array = np.frombuffer(data, np.uint8)
    assert is_archive(array)
    return {name: found.tobytes() for name, found in archive_members(array, path)}


def write_members(folder: Path) -> None:
    for name, data in MEMBERS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_members_of_an_archive() -> None:
    assert members(write_archive(MEMBERS)) == MEMBERS
    assert members(b"!<arch>\n") == {}


def test_members_of_a_thin_archive_are_files_beside_it(tmp_path: Path) -> None:
    write_members(tmp_path / "drivers")
    nested = {f"drivers/{name}": data for name, data in MEMBERS.items()}
    assert members(write_archive(nested, thin=True), tmp_path / "built-in.a") == nested


def test_a_thin_archive_without_its_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.o: no such file"):
        members(write_archive(MEMBERS, thin=True), tmp_path / "built-in.a")
    os.mkfifo(tmp_path / "a.o")
    with pytest.raises(InputError, match=r"a\.o: is not a regular file"):
        members(write_archive(MEMBERS, thin=True), tmp_path / "built-in.a")


@pytest.mark.skipif(not shutil.which("ar"), reason="ar (binutils) is missing")
@pytest.mark.parametrize("options", ["rc", "rcT", "rcST", "rcDPT"])
def test_what_ar_writes(tmp_path: Path, options: str) -> None:
    write_members(tmp_path)
    subprocess.run(["ar", options, "lib.a", *MEMBERS], cwd=tmp_path, check=True)
    path = tmp_path / "lib.a"
    assert members(path.read_bytes(), path) == MEMBERS


@pytest.mark.skipif(not shutil.which("ar"), reason="ar (binutils) is missing")
def test_a_thin_archive_of_thin_archives(tmp_path: Path) -> None:
    write_members(tmp_path / "net" / "core")
    names = [f"core/{name}" for name in MEMBERS]
    subprocess.run(["ar", "rcDPST", "built-in.a", *names], cwd=tmp_path / "net", check=True)
    subprocess.run(["ar", "rcDPST", "built-in.a", "net/built-in.a"], cwd=tmp_path, check=True)
    path = tmp_path / "built-in.a"
    assert members(path.read_bytes(), path) == {
        f"net/core/{name}": data for name, data in MEMBERS.items()
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"!<arch>\n" + b"junk" * 30, "is broken: no archive member begins at 0x8"),
        (b"!<arch>\n" + ar_header("a.o/", 4)[:50], "is broken: no archive member begins at 0x8"),
        (b"!<arch>\n" + ar_header("a.o/", 5) + b"four", "is cut off: the archive member at 0x8"),
        (
            b"!<arch>\n" + ar_header("a.o/", 4).replace(b"4     ", b"-4    ") + b"four",
            "is broken: the archive member at 0x8 has no size",
        ),
        (b"!<arch>\n" + ar_header("/99", 4) + b"four", "is broken: .* has no name"),
        (b"!<arch>\n" + ar_header("", 4) + b"four", "is broken: .* has no name"),
    ],
)
def test_a_broken_archive_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^built-in.a: {message}"):
        members(data)


@given(st.data())
def test_broken_archives_raise_nothing_else(data: st.DataObject) -> None:
    archive = bytearray(write_archive(MEMBERS))
    for _ in range(data.draw(st.integers(1, 5))):
        archive[data.draw(st.integers(8, len(archive) - 1))] = data.draw(st.integers(0, 255))
    del archive[data.draw(st.integers(8, len(archive))) :]
    with contextlib.suppress(InputError):
        members(bytes(archive))
