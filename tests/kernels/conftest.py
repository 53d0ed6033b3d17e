"""Debian's kernels, fetched into the cache; a test is skipped where one cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.fetch.apt import NotFoundError, UnreachableError
from stackgauge.fetch.debian import fetch_debian


def fetched(package: str, arch: str, suite: str | None = None) -> Path:
    """A kernel's image, or the end of the test with the reason."""
    try:
        image = fetch_debian(package, arch=arch, suite=suite).image
    except (UnreachableError, NotFoundError) as error:
        pytest.skip(str(error))
    return Path(image)


@pytest.fixture(scope="session")
def amd64_vmlinux() -> Path:
    """The amd64 kernel with debug information."""
    return fetched("linux-image-amd64-dbg", "amd64")


@pytest.fixture(scope="session")
def amd64_vmlinuz() -> Path:
    """The same build as distributed."""
    return fetched("linux-image-amd64", "amd64")


@pytest.fixture(scope="session")
def arm64_vmlinux() -> Path:
    """The arm64 cloud kernel with debug information."""
    return fetched("linux-image-cloud-arm64-dbg", "arm64")


@pytest.fixture(scope="session")
def arm64_vmlinuz() -> Path:
    """The same build as distributed: a flat image."""
    return fetched("linux-image-cloud-arm64", "arm64")
