"""Recorded stack traces beside Debian's kernels that printed them, line by line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from stackgauge.calls.traced import compare_traces
from stackgauge.image.opening import open_images
from stackgauge.kernel.identity import identify
from stackgauge.logs.reading import read_chains
from tests.kernels.conftest import fetched
from tests.logs.test_recorded import RECORDED

pytestmark = pytest.mark.kernels

RELEASE = "6.1.0-56-cloud-"


def _statuses(image: Path, name: str, isa: str) -> Counter[str]:
    images = list(open_images(image))
    version = identify(images[0], isa).version or ""
    if not version.startswith(RELEASE):
        pytest.skip(f"recorded of {RELEASE}*, not {version}")
    traces = read_chains([str(RECORDED / name)]).traces
    return Counter(line.status for lines in compare_traces(traces, images) for line in lines)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "stack_trace-6.1-amd64",
            {"equal": 78, "entry": 6, "first line": 5, "aligned": 5, "older copy": 2,
             "interrupted": 1},
        ),
        (
            "stack_trace-6.1-amd64-random-offset",
            {"equal": 94, "entry": 9, "first line": 7, "random offset": 7, "aligned": 4,
             "older copy": 2, "interrupted": 2},
        ),
    ],
)  # fmt: skip
def test_amd64(name: str, expected: dict[str, int]) -> None:
    image = fetched("linux-image-cloud-amd64", "amd64")
    assert _statuses(image, name, "x86_64") == expected


def test_arm64(arm64_vmlinux: Path) -> None:
    """Three lines above an interrupted leaf cannot be told from a difference.

    Its caller is on no line, so that the copies that the tracer met do not add up again.
    """
    stripped = fetched("linux-image-cloud-arm64", "arm64")
    for image in (arm64_vmlinux, stripped):
        assert _statuses(image, "stack_trace-6.1-arm64", "arm64") == {
            "equal": 108, "older copy": 24, "entry": 16, "first line": 6, "interrupted": 5,
            "differs": 3,
        }  # fmt: skip
