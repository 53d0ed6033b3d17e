"""Frames that ORC and CFI do not settle, of Debian's kernels, are GCC's own figures.

The tables beside this file are what GCC says of them: see ``tests/oracles/debian_usage.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.fetch.apt import NotFoundError, UnreachableError
from stackgauge.fetch.debian import fetch_debian
from stackgauge.frames.measure import measure
from stackgauge.image.opening import open_images
from tests.oracles.compare import Figure, disagreement, figures_of
from tests.oracles.debian_usage import read_rows
from tests.oracles.su import Usage

# By Debian's architecture: the release that the table is of, how many functions that has at least,
# and one of them.
KERNELS = {
    "amd64": ("6.1.0-56-amd64", 200, "do_sys_poll"),
    "i386": ("6.1.0-50-686-pae", 3000, "do_sys_poll"),
    # __schedule, and most of its file, has a frame pointer.
    "armhf": ("6.1.0-50-armmp", 3000, "__schedule"),
    "armel": ("6.1.0-50-rpi", 3000, "__schedule"),
}
# Followed by code without a symbol, of an overridden weak function: stripped, that counts with it.
FOLLOWED = {"__ia32_sys_sigsuspend"}
# Some 700 MB to fetch for each but amd64, whose kernel other tests need as well.
PACKAGES = [
    pytest.param(
        arch, f"linux-image-{release}{suffix}", marks=[] if arch == "amd64" else pytest.mark.slow
    )
    for arch, (release, _, _) in KERNELS.items()
    for suffix in ("", "-dbg")
]


def table(arch: str, suffix: str = "") -> Path:
    return Path(__file__).with_name(f"su-debian-{KERNELS[arch][0]}{suffix}.tsv")


def figures(package: str, arch: str) -> dict[int, Figure]:
    try:
        fetched = fetch_debian(package, arch=arch)
    except (NotFoundError, UnreachableError) as error:
        pytest.skip(str(error))
    [image] = open_images(fetched.image)
    return {figure.address: figure for figure in figures_of(measure(image))}


@pytest.mark.parametrize("arch", KERNELS)
def test_the_table(arch: str) -> None:
    _, least, known = KERNELS[arch]
    rows = read_rows(table(arch))
    assert len(rows) >= least
    assert known in {row.function for row in rows}


@pytest.mark.kernels
@pytest.mark.parametrize(("arch", "package"), PACKAGES)
def test_frames_are_gccs(arch: str, package: str) -> None:
    ours, rows = figures(package, arch), read_rows(table(arch))
    stripped = not package.endswith("-dbg")
    found, unknown = set(), 0
    for row in rows:
        figure = ours[int(row.address, 16)]
        usage = Usage(row.file, row.file, 0, row.function, row.bytes, row.kind)
        what = disagreement(usage, figure)
        if stripped and what == "unknown":
            # Without its size a function may be cut in two at a label.
            unknown += 1
        elif stripped and what.endswith("more") and row.function in FOLLOWED:
            continue
        elif what:
            found.add((row.function, str(figure.least), str(row.bytes)))
    # Lines of function, ours, GCC's and cause.
    listed = {
        tuple(line.split("\t")[:3])
        for line in table(arch, "-differences").read_text().splitlines()[1:]
    }
    assert found <= listed
    assert len(listed) - len(found) <= unknown < 0.005 * len(rows)
