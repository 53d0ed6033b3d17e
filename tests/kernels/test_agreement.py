"""All evidence of whole Debian kernels agrees, but for what has a known cause."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from stackgauge.frames.verify import ALTERNATIVE, ASSEMBLY, Agreement, Verified, verify
from stackgauge.image.opening import open_images

pytestmark = pytest.mark.kernels


def verified(path: Path) -> Verified:
    [image] = open_images(path)
    return verify(image)


def agreement(found: Verified, one: str, two: str) -> Agreement:
    return next(a for a in found.agreements if (a.one, a.two) == (one, two))


@pytest.fixture(scope="module")
def amd64(amd64_vmlinux: Path) -> Verified:
    return verified(amd64_vmlinux)


@pytest.fixture(scope="module")
def arm64(arm64_vmlinux: Path) -> Verified:
    return verified(arm64_vmlinux)


def test_no_difference_is_unexplained(amd64: Verified, arm64: Verified) -> None:
    assert amd64.unexplained == 0
    assert arm64.unexplained == 0


def test_orc_is_cfi_and_what_cfi_does_not_see(amd64: Verified) -> None:
    found = agreement(amd64, "orc", "cfi")
    assert found.compared > 44_000
    assert len(found.differences) < 0.01 * found.compared
    assert {one.cause for one in found.differences} <= {ALTERNATIVE, ASSEMBLY}
    assert all(one.one > one.two for one in found.differences)


def test_instructions_are_cfi_and_what_cfi_does_not_see(amd64: Verified) -> None:
    found = agreement(amd64, "cfi", "instructions")
    assert found.compared > 0.999 * amd64.settled["cfi"]
    assert {one.cause for one in found.differences} <= {ALTERNATIVE, ASSEMBLY}
    assert all(one.two > one.one for one in found.differences)


def test_instructions_are_orc_in_999_of_1000(amd64: Verified) -> None:
    found = agreement(amd64, "orc", "instructions")
    assert found.compared > 0.99 * amd64.settled["orc"]
    assert found.equal > 0.999 * found.compared


def test_arm64_instructions_are_cfi_without_exception(arm64: Verified) -> None:
    found = agreement(arm64, "cfi", "instructions")
    assert found.compared > 0.999 * arm64.settled["cfi"]
    assert found.differences == ()


def test_the_instructions_settle_all_but_assembly(amd64: Verified, arm64: Verified) -> None:
    assert amd64.settled["instructions"] > 0.99 * amd64.functions
    assert arm64.settled["instructions"] > 0.99 * arm64.functions


def test_causes_are_few(amd64: Verified) -> None:
    causes = Counter(one.cause for a in amd64.agreements for one in a.differences)
    assert len(causes) <= 8
