"""Frames that ORC and CFI do not settle, of a Debian kernel, are GCC's own figures.

The table beside this file is what GCC says of them: see ``tests/oracles/debian_usage.py``.
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

RELEASE = "6.1.0-56-amd64"
ROWS = read_rows(Path(__file__).with_name(f"su-debian-{RELEASE}.tsv"))
# Lines of function, ours, GCC's and cause.
LISTED = Path(__file__).with_name(f"su-debian-{RELEASE}-differences.tsv")


def figures(package: str) -> dict[int, Figure]:
    try:
        fetched = fetch_debian(package, arch="amd64")
    except (NotFoundError, UnreachableError) as error:
        pytest.skip(str(error))
    [image] = open_images(fetched.image)
    return {figure.address: figure for figure in figures_of(measure(image))}


def test_the_table() -> None:
    assert len(ROWS) >= 200
    assert "do_sys_poll" in {row.function for row in ROWS}


@pytest.mark.kernels
@pytest.mark.parametrize("package", [f"linux-image-{RELEASE}", f"linux-image-{RELEASE}-dbg"])
def test_unsettled_frames(package: str) -> None:
    ours = figures(package)
    found = set()
    for row in ROWS:
        figure = ours[int(row.address, 16)]
        usage = Usage(row.file, row.file, 0, row.function, row.bytes, row.kind)
        if disagreement(usage, figure):
            found.add((row.function, str(figure.least), str(row.bytes)))
    listed = {tuple(line.split("\t")[:3]) for line in LISTED.read_text().splitlines()[1:]}
    assert found == listed
