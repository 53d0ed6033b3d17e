"""Paths of source files begin at the top of the source tree, where that can be told."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.frames.source_paths import SourceTree
from stackgauge.image.dwarf_bytes import Dwarf
from stackgauge.image.source import Bytes


def tree(**sections: bytes) -> SourceTree:
    def contents(name: str) -> Bytes:
        return np.frombuffer(sections.get(name.removeprefix(".debug_"), b""), np.uint8)

    return SourceTree(Dwarf("<", 8, contents))


DEBIAN = "/build/linux-6.1.192/debian/build/build_amd64_none_amd64"


@pytest.mark.parametrize(
    ("compilation", "directory", "name", "path"),
    [
        ("/src/linux", "", "fs/select.c", "fs/select.c"),
        ("/src/linux", "fs", "select.c", "fs/select.c"),
        ("/src/linux", "./include/generated", "utsrelease.h", "include/generated/utsrelease.h"),
        ("/src/linux", "kernel/sched/../../io_uring", "io-wq.h", "io_uring/io-wq.h"),
        ("/src/linux", "/src/linux/fs", "select.c", "fs/select.c"),
        ("/src/linux/build", "../fs", "select.c", "fs/select.c"),
        ("/src/linux", "fs", "/src/linux/mm/slub.c", "mm/slub.c"),
        ("debian/build/build_amd64", "init", "main.c", "init/main.c"),
        (DEBIAN, "/build/linux-6.1.192/arch/x86/lib", "memset_64.S", "arch/x86/lib/memset_64.S"),
        ("/home/me/program", "/usr/include", "stdio.h", "/usr/include/stdio.h"),
        ("program", "/usr/include", "stdio.h", "/usr/include/stdio.h"),
        ("", "/usr/include", "stdio.h", "/usr/include/stdio.h"),
        ("/", "/usr/include", "stdio.h", "/usr/include/stdio.h"),
        ("/src", "", "", ""),
    ],
)
def test_paths(compilation: str, directory: str, name: str, path: str) -> None:
    assert tree().path(compilation, directory, name) == path


@pytest.mark.parametrize(
    "sections",
    [
        {"line_str": b"/objects\0/home/me/linux/include/linux\0"},
        {"str": b"x\0/home/me/linux/init/main.c\0"},
    ],
)
def test_objects_in_another_folder(sections: dict[str, bytes]) -> None:
    kernel = tree(**sections)
    assert kernel.path("/objects", "/home/me/linux/fs", "select.c") == "fs/select.c"
    assert kernel.path("/objects", "/home/me/other", "a.c") == "/home/me/other/a.c"
