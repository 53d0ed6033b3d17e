"""One clear line for each way that fetching can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stackgauge.errors import StackgaugeError
from stackgauge.fetch.apt import NotFoundError, UnreachableError
from stackgauge.fetch.debian import fetch_debian

from .conftest import Archive

# As apt 2.2 to 3.0 write them.
NO_NAME = (
    "W: Failed to fetch http://mirror.example/debian/dists/bookworm/InRelease  "
    "Temporary failure resolving 'mirror.example'\n"
    "E: Some index files failed to download. They have been ignored, or old ones used instead."
)
REFUSED = (
    "E: Failed to fetch http://mirror.example/pool/a.deb  Could not connect to "
    "mirror.example:80 (192.0.2.1). - connect (111: Connection refused)"
)
NO_RELEASE = (
    "E: The repository 'http://mirror.example/debian x Release' does not have a Release file."
)
NO_SPACE = "E: Write error - write (28: No space left on device)"


@pytest.mark.parametrize("said", [NO_NAME, REFUSED])
def test_no_network(archive: Archive, said: str) -> None:
    archive.fail(update=said)
    with pytest.raises(UnreachableError, match=r"^the package archive is out of reach: .*mirror"):
        fetch_debian()


def test_no_network_for_the_package_itself(archive: Archive) -> None:
    archive.fail(download=REFUSED)
    with pytest.raises(UnreachableError, match=r"out of reach"):
        fetch_debian()


def test_unknown_package(archive: Archive) -> None:
    with pytest.raises(NotFoundError, match=r"^bookworm has no package 'linux-image-9' for amd64$"):
        fetch_debian("linux-image-9")


def test_unknown_architecture(archive: Archive) -> None:
    with pytest.raises(NotFoundError, match=r"^bookworm has no architecture 'vax'$"):
        fetch_debian(arch="vax")


def test_unknown_suite(archive: Archive) -> None:
    archive.fail(update=NO_RELEASE)
    with pytest.raises(NotFoundError, match=r"no suite that fits: .*does not have a Release file"):
        fetch_debian(suite="nosuch")


@pytest.mark.parametrize("verb", ["update", "download"])
def test_full_disk(archive: Archive, verb: str) -> None:
    archive.fail(**{verb: NO_SPACE})
    with pytest.raises(StackgaugeError, match=r"^the disk is full: "):
        fetch_debian()


def test_whatever_else_apt_says(archive: Archive) -> None:
    archive.fail(update="W: a warning\nE: Something new\nE: and more")
    with pytest.raises(StackgaugeError, match=r"^apt-get failed: Something new$"):
        fetch_debian()


@pytest.mark.parametrize("tool", ["apt-get", "dpkg-deb"])
def test_not_debian(archive: Archive, tool: str) -> None:
    found = shutil.which(tool)
    assert found is not None
    Path(found).unlink()
    with pytest.raises(StackgaugeError, match=rf"^{tool} is not installed"):
        fetch_debian()


def test_another_distribution(archive: Archive) -> None:
    (archive.folder / "sources.list").write_text("deb http://mirror.example/ubuntu noble main\n")
    with pytest.raises(StackgaugeError, match=r"not set up with Debian's archive"):
        fetch_debian()


def test_a_cache_that_cannot_be(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StackgaugeError, match=r"not a directory"):
        fetch_debian()
