"""Kernels of other releases, whose kallsyms and ORC have other layouts, as distributed."""

from __future__ import annotations

import pytest

from stackgauge.frames.measure import Kind, measure
from stackgauge.frames.verify import verify
from stackgauge.image.opening import open_images
from stackgauge.isa import isa_of
from stackgauge.kernel.identity import identify
from tests.kernels.conftest import fetched

pytestmark = [pytest.mark.kernels, pytest.mark.slow]

# 5.10 has the first layout of ORC; 6.12 the one since 6.4; 7.x numbers the registers anew.
SUITES = [("bullseye-security", "5.10."), ("trixie", "6.12."), ("trixie-backports", "7.")]


@pytest.mark.parametrize(("suite", "release"), SUITES)
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_kernel_as_distributed(suite: str, release: str, arch: str) -> None:
    [image] = open_images(fetched(f"linux-image-cloud-{arch}", arch, suite))
    # 5.10's flat arm64 image does not tell its version.
    version = identify(image, isa_of(image.elf).name).version
    assert version is None or version.startswith(release)
    frames = measure(image)
    own = frames.functions.parent < 0
    assert own.sum() > 35_000
    assert (frames.kind[own] == Kind.UNKNOWN).sum() < 0.005 * own.sum()
    [poll] = [at for at in range(len(own)) if frames.functions.name(at) == "do_sys_poll"]
    assert 500 < frames.least[poll] < 1500


@pytest.mark.parametrize("suite", [suite for suite, _ in SUITES])
def test_orc_and_instructions_agree(suite: str) -> None:
    [image] = open_images(fetched("linux-image-cloud-amd64", "amd64", suite))
    found = verify(image)
    assert found.unexplained == 0
    [agreement] = found.agreements
    assert agreement.compared > 0.99 * found.settled["orc"]
    assert agreement.equal > 0.995 * agreement.compared
