"""A Debian i386 kernel: it uses frame pointers, so the instructions say nearly all frames."""

from __future__ import annotations

import pytest

from stackgauge.frames.verify import ASSEMBLY, verify
from stackgauge.image.opening import open_images
from tests.kernels.conftest import fetched

pytestmark = [pytest.mark.kernels, pytest.mark.slow]


def test_instructions_settle_what_cfi_cannot() -> None:
    [image] = open_images(fetched("linux-image-686-pae-dbg", "i386"))
    found = verify(image)
    assert found.functions > 40_000
    assert found.settled["instructions"] > 0.998 * found.functions
    assert found.settled["cfi"] < 0.02 * found.functions
    assert {one.cause for one in found.agreements[0].differences} <= {ASSEMBLY}
