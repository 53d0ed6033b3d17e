"""Frames of other architectures, from the CFA alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frames.explained import WORK, build, explained, part, whole

COMPILERS = {
    "arm64": "aarch64-linux-gnu-gcc",
    "arm": "arm-linux-gnueabihf-gcc",
    "riscv64": "riscv64-linux-gnu-gcc",
    "s390x": "s390x-linux-gnu-gcc",
    "powerpc64le": "powerpc64le-linux-gnu-gcc",
    "mips": "mips-linux-gnu-gcc",
}
# Their calls leave the return address in a register, which each saves in its own frame; these
# two in their callers'.
ABOVE = ("s390x", "powerpc64le")
LINKAGE = {"s390x": 160, "powerpc64le": 32, "mips": 16}


@pytest.fixture(params=COMPILERS)
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_byte_is_counted_once(machine: str, tmp_path: Path) -> None:
    one = explained(build(tmp_path, WORK, "-O2", "-g", compiler=COMPILERS[machine]))
    whole(one)
    word = 4 if machine in ("arm", "mips") else 8
    assert part(one, "scratch").bytes == 300
    assert part(one, "big").bytes == 184 + (8 if word == 8 else 0)
    assert one.totals["return address"] == (0 if machine in ABOVE else word)
    assert one.totals["linkage area"] == LINKAGE.get(machine, 0)
    assert one.totals["outgoing argument"] > 0
    assert one.totals["unnamed"] < one.size // 5


CANARIES = {
    "arm64": ("aarch64-linux-gnu-gcc",),
    "arm": ("arm-linux-gnueabi-gcc", "-marm"),
    "powerpc64le": ("powerpc64le-linux-gnu-gcc",),
    "powerpc64": ("powerpc64-linux-gnu-gcc",),
    "x86": ("gcc",),
    "x86, in the kernel's way": (
        "gcc", "-mstack-protector-guard=tls", "-mstack-protector-guard-reg=gs",
        "-mstack-protector-guard-symbol=guard",
    ),
}  # fmt: skip


@pytest.mark.parametrize("options", CANARIES.values(), ids=CANARIES)
@pytest.mark.parametrize("level", ["-O2", "-Os", "-O0"])
def test_the_stack_protector_has_one_slot(
    options: tuple[str, ...], level: str, tmp_path: Path
) -> None:
    compiler, *more = options
    path = build(tmp_path, WORK, level, "-g", "-fstack-protector-strong", *more, compiler=compiler)
    one = explained(path)
    whole(one)
    [canary] = [each for each in one.parts if each.what == "canary"]
    assert canary.bytes == (4 if compiler.startswith("arm-") else 8)
    assert canary.offset > part(one, "scratch").offset
