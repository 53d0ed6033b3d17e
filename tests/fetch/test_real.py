"""A kernel as Debian ships it."""

from __future__ import annotations

import pytest

from stackgauge.fetch.apt import UnreachableError
from stackgauge.fetch.debian import fetch_debian


@pytest.mark.kernels
def test_the_small_kernel() -> None:
    try:
        fetched = fetch_debian(arch="amd64")
    except UnreachableError as error:
        pytest.skip(str(error))
    # "HdrS" stands at offset 0x202 of every bzImage (Documentation/arch/x86/boot.rst).
    assert fetched.image.read_bytes()[0x202:0x206] == b"HdrS"
    assert any(path.name.startswith("config-") for path in fetched.paths)
    assert fetch_debian(arch="amd64") == fetched
