"""Frames of the corpus are the compilers' own figures, but for the differences listed here."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from stackgauge.evidence.table import NO_LIMIT
from stackgauge.frames.measure import measure
from stackgauge.image.opening import open_images
from tests.oracles.compare import Figure, disagreement, figures_of, pair
from tests.oracles.su import CLANG_LEAVES_OUT, Usage, parse_su

OBJECTS = Path(__file__).parents[1] / "corpus" / "objects"
FLAVOURS = sorted(path.stem for path in OBJECTS.glob("*.su"))
# Each with its cause; clang's apart.
LISTED = {
    clang: tomllib.loads(Path(__file__).with_name(f"corpus-differences{end}.toml").read_text())
    for clang, end in ((False, ""), (True, "-clang"))
}

UNLIMITED = (
    "alloca_in_loop", "alloca_on_one_path", "alloca_variable", "pointer_variable",
    "protector_variable", "vla_and_calls", "vla_loops_nested", "vla_loops_then_fixed", "vla_plain",
)  # fmt: skip


def figures(flavour: str) -> list[Figure]:
    [image] = open_images(OBJECTS / f"{flavour}.o")
    return figures_of(measure(image))


def is_clangs(flavour: str) -> bool:
    return "-clang-" in flavour


def usages(flavour: str) -> list[Usage]:
    found = parse_su((OBJECTS / f"{flavour}.su").read_text())
    if is_clangs(flavour):
        pushed = CLANG_LEAVES_OUT.get(flavour.partition("-")[0], 0)
        found = [replace(usage, bytes=usage.bytes + pushed) for usage in found]
    return found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_frames_are_the_compilers(flavour: str) -> None:
    pairs, unmatched = pair(usages(flavour), figures(flavour))
    assert not unmatched
    found = {usage.name: disagreement(usage, figure) for usage, figure in pairs}
    listed = {
        one["function"]: one["ours"]
        for one in LISTED[is_clangs(flavour)]["difference"]
        if any(fnmatch(flavour, pattern) for pattern in one["flavours"])
    }
    assert {name: what for name, what in found.items() if what} == listed


@pytest.mark.parametrize("flavour", ["x86_64-kernel-O2", "arm64-kernel-O2", "x86_64-user-O2"])
def test_a_limit_that_the_code_shows(flavour: str) -> None:
    [random] = [one for one in figures(flavour) if one.name == "random_offset"]
    # At most 0x3FF bytes, in units of 16 (x86-64 in the kernel: 8, and 15 more to align it).
    assert (random.least, random.most) == (16, 16 + 1024)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nothing_limits_a_variable_array(flavour: str) -> None:
    by_name = {one.name: one for one in figures(flavour)}
    for name in UNLIMITED:
        assert by_name[name].kind != "static"
        assert by_name[name].kind == "unknown" or by_name[name].most >= NO_LIMIT
