"""On every architecture the instructions give what the compiler's CFI says, on a Debian kernel."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.evidence.table import Base, known, no_rows, sample
from stackgauge.frames.measure import Measurer
from stackgauge.frames.verify import verify
from stackgauge.image.opening import open_images
from tests.kernels.conftest import fetched

pytestmark = [pytest.mark.kernels, pytest.mark.slow]

KERNELS = [
    ("armhf", "linux-image-armmp-dbg"),
    ("armel", "linux-image-rpi-dbg"),
    ("mipsel", "linux-image-4kc-malta-dbg"),
    ("mips64el", "linux-image-5kc-malta-dbg"),
    ("ppc64el", "linux-image-powerpc64le-dbg"),
    ("s390x", "linux-image-s390x-dbg"),
]


@pytest.mark.parametrize(("arch", "package"), KERNELS)
def test_instructions_are_cfi(arch: str, package: str) -> None:
    [image] = open_images(fetched(package, arch))
    found = verify(image)
    assert found.unexplained == 0
    assert found.settled["instructions"] > 0.995 * found.functions
    agreement = next(a for a in found.agreements if (a.one, a.two) == ("cfi", "instructions"))
    assert agreement.compared > 0.995 * found.settled["cfi"]
    assert agreement.equal > 0.999 * agreement.compared
    # Where they differ the instructions see more.
    assert all(one.two > one.one for one in agreement.differences)


@pytest.mark.parametrize(
    ("arch", "package", "suite"),
    [
        ("i386", "linux-image-686-pae-dbg", None),
        ("riscv64", "linux-image-riscv64-dbg", "sid"),
        ("loong64", "linux-image-loong64-dbg", "sid"),
    ],
)
def test_instructions_are_cfi_row_by_row(arch: str, package: str, suite: str | None) -> None:
    """Also where a frame pointer leaves CFI only the prologue to tell the frame from."""
    [image] = open_images(fetched(package, arch, suite))
    work = Measurer(image)
    functions, cfi = work.functions, work.cfi
    rows, read = work.instructions(np.ones(len(functions), bool), no_rows())
    cfi = cfi.take(known(cfi) & (cfi.base == Base.SP) & (cfi.depth > work.isa.entry_depth))
    function = functions.routine[np.searchsorted(functions.start, cfi.start, side="right") - 1]
    at = sample(rows, cfi.start)
    there = rows.take(np.maximum(at, 0))
    told = (at >= 0) & known(there) & read.settled[function]
    assert len(np.unique(function[told])) > 30_000
    assert told.sum() > 0.999 * len(cfi)
    assert not (told & (there.most < cfi.depth)).any()
    assert (told & (there.depth != cfi.depth)).sum() <= 2
