"""Every frame of a whole kernel built here is GCC's own figure, or another for a listed cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.fetch.apt import UnreachableError
from stackgauge.frames.measure import measure
from stackgauge.image.opening import open_images
from tests.oracles.compare import disagreement, figures_of, pair
from tests.oracles.kernel_build import FLAVOURS, trimmed_kernel
from tests.oracles.su import read_joined


@pytest.mark.kernels
@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_whole_kernel(flavour: str) -> None:
    try:
        built = trimmed_kernel(flavour)
    except (UnreachableError, FileNotFoundError) as error:
        pytest.skip(str(error))
    [image] = open_images(built.vmlinux)
    pairs, unmatched = pair(read_joined(built.usage), figures_of(measure(image)))
    assert not unmatched
    assert len(pairs) > 10_000
    found = {
        (figure.name, str(figure.least), str(usage.bytes))
        for usage, figure in pairs
        if disagreement(usage, figure)
    }
    # Lines of function, ours, GCC's and cause.
    listed = Path(__file__).with_name(f"su-trimmed-{flavour}-differences.tsv").read_text()
    assert found == {tuple(line.split("\t")[:3]) for line in listed.splitlines()[1:]}
