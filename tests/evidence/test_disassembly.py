"""Frames read from objdump's text of every architecture equal what the compiler said of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest

from stackgauge.isa.objdump_patterns import DIALECTS, dialect_of
from tests.evidence.objdump_text import RECORDED, frames, listing

TEXTS = sorted(path.stem for path in RECORDED.glob("*.txt"))
DIFFERENCES = tomllib.loads((RECORDED / "differences.toml").read_text())["difference"]

# Without a compiler: the kernel has dropped them.
UNRECORDED = {"ia64", "sh64"}


def arch_of(name: str) -> str:
    return name.partition("-")[0]


def compiled(name: str) -> Iterator[tuple[str, int, bool]]:
    for line in (RECORDED / f"{name}.su").read_text().splitlines():
        function, size, kind = line.split("\t")
        yield function, int(size), kind == "dynamic"


def known(name: str, function: str, more: int, dynamic: bool) -> list[dict[str, Any]]:
    """The listed differences that explain one."""
    return [
        entry
        for entry in DIFFERENCES
        if fnmatch(name, entry["texts"])
        and any(fnmatch(function, pattern) for pattern in entry["functions"])
        and more in entry["more"]
        and dynamic == entry.get("dynamic", False)
    ]


def differences(name: str) -> Iterator[tuple[str, int, bool]]:
    """Functions whose frame is not the compiler's: by how much more, and whether in kind."""
    found = listing((RECORDED / f"{name}.txt").read_bytes(), arch_of(name))
    read = dict(zip(found.function, zip(found.frame, found.dynamic, strict=True), strict=True))
    for function, size, dynamic in compiled(name):
        frame, kind = read[function]
        if (frame, kind) != (size, dynamic):
            yield function, frame - size, kind != dynamic


@pytest.mark.parametrize("name", TEXTS)
def test_frames_are_the_compilers(name: str) -> None:
    assert [one for one in differences(name) if not known(name, *one)] == []


def test_every_listed_difference_is_needed() -> None:
    needed = [entry for name in TEXTS for one in differences(name) for entry in known(name, *one)]
    assert [entry for entry in DIFFERENCES if entry not in needed] == []


def test_every_architecture_is_recorded() -> None:
    recorded = {dialect_of(arch_of(name)).name for name in TEXTS}
    assert recorded == {dialect.name for dialect in DIALECTS} - UNRECORDED


@pytest.mark.parametrize("name", TEXTS)
def test_with_a_minimum_larger_frames_stay_exact(name: str) -> None:
    data, arch = (RECORDED / f"{name}.txt").read_bytes(), arch_of(name)
    exact, found = listing(data, arch), listing(data, arch, minimum=100)
    for function, frame, least in zip(exact.function, exact.frame, found.frame, strict=True):
        assert least == frame if frame > 100 else least <= 100, function


@pytest.mark.parametrize("name", TEXTS)
def test_instructions_without_their_bytes(name: str) -> None:
    data = (RECORDED / f"{name}.txt").read_bytes()
    bare = re.sub(rb"(?m)^( *[0-9a-f]+:)[\t ](?:[0-9a-f]{2,8} ?)+ *\t", rb"\1\t", data)
    bare = re.sub(rb"(?m)^ *[0-9a-f]+:[\t ](?:[0-9a-f]{2,8} ?)+ *\n", rb"", bare)
    assert bare != data
    arch = arch_of(name)
    assert listing(bare, arch) == listing(data, arch)


def test_the_cold_part_counts_as_its_parents() -> None:
    linked = frames((RECORDED / "x86_64-coldlinked.txt").read_bytes())
    apart = frames((RECORDED / "x86_64-cold.txt").read_bytes())
    assert linked.items() >= apart.items() == {"hot": 224, "wrap": 320, "small": 16}.items()
