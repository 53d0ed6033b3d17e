"""Debian's MIPS and PowerPC kernels: the instructions say what CFI says, without exception."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stackgauge.frames.verify import verify
from stackgauge.image.opening import open_images
from tests.kernels.conftest import fetched

pytestmark = [pytest.mark.kernels, pytest.mark.slow]


@dataclass(frozen=True)
class Kernel:
    """A package, and how many functions its kernel has at least."""

    arch: str
    package: str
    functions: int


KERNELS = [
    Kernel("mipsel", "linux-image-4kc-malta-dbg", 34_000),
    Kernel("mips64el", "linux-image-5kc-malta-dbg", 35_000),
    Kernel("mips64el", "linux-image-octeon-dbg", 35_000),
    Kernel("ppc64el", "linux-image-powerpc64le-dbg", 38_000),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.package)
def test_instructions_are_cfi_without_exception(kernel: Kernel) -> None:
    [image] = open_images(fetched(kernel.package, kernel.arch))
    found = verify(image)
    [agreement] = found.agreements
    assert agreement.compared > kernel.functions
    assert agreement.differences == ()
    # What is left is assembly: exceptions' entries, switches of the task, firmware calls.
    assert found.functions - found.settled["instructions"] < 100
