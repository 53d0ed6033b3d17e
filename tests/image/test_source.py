"""Bytes of files: mapped or read, and what is no file refused before it is opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from stackgauge.errors import InputError
from stackgauge.image.source import map_file


@pytest.mark.parametrize("size", [1, 4096, (1 << 20) - 1, 1 << 20, 3_000_000])
def test_the_bytes_of_a_file(tmp_path: Path, size: int) -> None:
    contents = np.random.default_rng(size).bytes(size)
    path = tmp_path / "file"
    path.write_bytes(contents)
    for place in (path, str(path)):
        data = map_file(place)
        assert data.dtype == np.uint8
        assert data.shape == (size,)
        assert data.tobytes() == contents
        with pytest.raises(ValueError, match="read-only"):
            data[0] = 1


def test_a_link_leads_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    assert map_file(link).tobytes() == b"abc"


def test_thousands_of_small_files_at_once(tmp_path: Path) -> None:
    # A thin archive's members; more than a process may have open.
    path = tmp_path / "file"
    path.write_bytes(b"member")
    kept = [map_file(path) for _ in range(5000)]
    assert all(data[0] == ord("m") for data in kept)


def test_what_is_no_file(tmp_path: Path) -> None:
    fifo, sock = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(sock))
    empty = tmp_path / "empty"
    empty.touch()
    for path, message in (
        (tmp_path, "is a directory, not a kernel image"),
        (fifo, "is not a regular file"),
        (sock, "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (empty, "is empty"),
        (tmp_path / "missing", "no such file or directory"),
        (empty / "more", "not a directory"),
        ("", "no such file or directory"),
    ):
        with pytest.raises(InputError) as caught:
            map_file(path)
        assert str(caught.value) == f"{path}: {message}"
    with pytest.raises(InputError, match="null"):
        map_file("a\0b")
