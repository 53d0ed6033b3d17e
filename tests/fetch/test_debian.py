"""From a package's name to the paths of a kernel, against a fake archive."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from stackgauge.errors import UsageError
from stackgauge.fetch.apt import NotFoundError
from stackgauge.fetch.debian import fetch_debian

from .conftest import KERNEL, VERSION, Archive

DOWNLOAD = "apt-get download"


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_the_default_is_what_the_cloud_metapackage_depends_on(archive: Archive) -> None:
    fetched = fetch_debian()
    assert fetched.package == f"linux-image-{VERSION}"
    assert fetched.version == "6.1.1-1"
    assert fetched.image.read_text() == "the image"
    # The System.map of one line is no System.map.
    assert names(fetched.paths) == [f"vmlinuz-{VERSION}", f"config-{VERSION}"]


def test_lies_in_the_cache_folder(archive: Archive, tmp_path: Path) -> None:
    assert fetch_debian().image.is_relative_to(tmp_path / "cache" / "stackgauge" / "debian")


def test_is_not_downloaded_again(archive: Archive) -> None:
    first = fetch_debian()
    assert DOWNLOAD in archive.calls()
    archive.fail(update="E: no network", download="E: no network")
    assert fetch_debian() == first
    assert not {"apt-get update", DOWNLOAD} & set(archive.calls())


def test_refresh_finds_a_newer_one(archive: Archive) -> None:
    fetch_debian()
    archive.publish(**{f"linux-image-{VERSION}": KERNEL | {"Version": "6.1.2-1"}})
    assert fetch_debian().version == "6.1.1-1"
    assert fetch_debian(refresh=True).version == "6.1.2-1"


def test_lists_that_are_out_of_date_are_renewed(archive: Archive) -> None:
    fetch_debian()
    archive.publish(linux_image_6_new=KERNEL)
    assert fetch_debian("linux-image-6-new").package == "linux-image-6-new"


def test_a_version_that_is_gone_is_looked_up_again(archive: Archive, tmp_path: Path) -> None:
    archive.publish(linux_image_6_new=KERNEL)
    fetch_debian()
    archive.publish(linux_image_6_new=KERNEL | {"Version": "6.1.9-1"})
    assert fetch_debian("linux-image-6-new").version == "6.1.9-1"


def test_modules_come_when_asked_for(archive: Archive) -> None:
    image = fetch_debian()
    both = fetch_debian(modules=True)
    assert names(both.paths) == [*names(image.paths), "a.ko"]
    assert both.image == image.image


def test_pieces_in_packages_of_their_own(archive: Archive) -> None:
    pieces: dict[str, Any] = {
        "linux_image_7.0": {"Depends": "linux-binary-7.0, linux-base-7.0, linux-modules-7.0"},
        "linux_binary_7.0": {"files": {"usr/lib/modules/7.0/vmlinuz": "seven"}},
        "linux_base_7.0": {"files": {"usr/lib/modules/7.0/config": "CONFIG"}},
        "linux_modules_7.0": {"files": {"usr/lib/modules/7.0/kernel/b.ko.xz": "module"}},
    }
    archive.publish(**{n: {"Version": "7.0", "files": {}} | p for n, p in pieces.items()})
    fetched = fetch_debian("linux-image-7.0")
    assert fetched.image.read_text() == "seven"
    assert names(fetched.paths) == ["vmlinuz", "config"]
    assert names(fetch_debian("linux-image-7.0", modules=True).paths)[-1] == "b.ko.xz"


def test_debug_information_has_an_image_and_a_real_system_map(archive: Archive) -> None:
    files = {
        "usr/lib/debug/boot/System.map-6": "ffffffff81000000 T _text\n" * 100,
        "usr/lib/debug/boot/vmlinux-6": "with debug information",
    }
    archive.publish(linux_image_6_dbg=KERNEL | {"files": files})
    assert names(fetch_debian("linux-image-6-dbg").paths) == ["vmlinux-6", "System.map-6"]


def test_another_architecture_has_lists_of_its_own(archive: Archive) -> None:
    archive.publish(linux_image_cloud_arm64=KERNEL)
    fetch_debian()
    archive.calls()
    assert fetch_debian(arch="arm64").package == "linux-image-cloud-arm64"
    assert "apt-get update" in archive.calls()


def test_a_stopped_download_leaves_nothing(archive: Archive, tmp_path: Path) -> None:
    fetch_debian()
    archive.publish(linux_image_6_new=KERNEL)
    archive.fail(unpack="killed")
    with pytest.raises(Exception, match="cannot be unpacked"):
        fetch_debian("linux-image-6-new")
    cache = tmp_path / "cache" / "stackgauge" / "debian"
    assert not list(cache.glob("linux-image-6-new*"))
    assert not (cache / "unfinished").exists()
    archive.fail()
    assert fetch_debian("linux-image-6-new").image.read_text() == "the image"


def test_a_package_without_a_kernel(archive: Archive) -> None:
    archive.publish(bash={"Version": "1", "files": {"bin/bash": "a shell"}})
    with pytest.raises(NotFoundError, match="bash holds no kernel image"):
        fetch_debian("bash")


@pytest.mark.parametrize("name", ["-x", "a", "a b", "../a", "A", "a=1", "a/b", ""])
def test_names_that_cannot_be(archive: Archive, name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a Debian package"):
        fetch_debian(name)
    if name != "a":
        with pytest.raises(UsageError, match="not the name of a Debian suite"):
            fetch_debian(suite=name)
    assert archive.calls() == []


def test_says_what_it_does(archive: Archive) -> None:
    log = io.StringIO()
    fetch_debian(log=log)
    assert [line.split()[0] for line in log.getvalue().splitlines()] == [
        "reading",
        "downloading",
        "unpacking",
    ]
