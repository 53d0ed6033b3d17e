"""On every architecture the instructions give what the compiler's CFI says, on a Debian kernel."""

from __future__ import annotations

import pytest

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
