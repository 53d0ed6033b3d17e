"""Files out of packages, hostile and broken ones among them."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from stackgauge.errors import InputError
from stackgauge.fetch.unpack import Part, check_deb, unpack_deb

ALL = Part("all", re.compile(r".*"))
IMAGE = Part("image", re.compile(r"boot/.*"), last=re.compile(r"boot/vmlinuz"))


def write_tool(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a ``dpkg-deb`` in PATH that takes any arguments."""
    tool = folder / "bin" / "dpkg-deb"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")


def write_tar(path: Path, names: list[str], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "/etc/passwd"
            member.size = len(name) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(name.encode()))
    return path


def unpacked(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_each_part_has_its_folder(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tool(monkeypatch, tmp_path, 'exec cat "$2"')
    modules = Part("modules", re.compile(r"lib/.*\.ko"))
    deb = write_tar(tmp_path / "a.deb", ["./boot/vmlinuz", "./lib/a.ko", "./lib/order"])
    unpack_deb(deb, [IMAGE, modules], out)
    assert unpacked(out) == ["image/boot/vmlinuz", "modules/lib/a.ko"]
    assert (out / "modules/lib/a.ko").read_text() == "./lib/a.ko"


def test_reads_no_further_than_the_last(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tool(monkeypatch, tmp_path, 'cat "$2"; exec sleep 60')
    names = ["./boot/config", "./boot/vmlinuz", *(f"./boot/zzz{i}" for i in range(9000))]
    unpack_deb(write_tar(tmp_path / "a.deb", names), [IMAGE], out)
    assert unpacked(out) == ["image/boot/config", "image/boot/vmlinuz"]


@pytest.mark.parametrize("name", ["/absolute", "../outside", "./a/../../outside"])
def test_nothing_is_written_outside(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_tool(monkeypatch, tmp_path, 'exec cat "$2"')
    unpack_deb(write_tar(tmp_path / "a.deb", [name, "./good"]), [ALL], out)
    assert unpacked(tmp_path) == ["a.deb", "bin/dpkg-deb", "out/all/good"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_only_regular_files_are_written(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    write_tool(monkeypatch, tmp_path, 'exec cat "$2"')
    unpack_deb(write_tar(tmp_path / "a.deb", ["./link"], kind), [ALL], out)
    assert unpacked(out) == []


@pytest.mark.parametrize("script", ['head -c 700 "$2"', "echo no tar", 'cat "$2"; exit 2'])
def test_a_broken_package_is_refused(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    write_tool(monkeypatch, tmp_path, script)
    deb = write_tar(tmp_path / "a.deb", ["./" + "long" * 20, "./b"])
    with pytest.raises(InputError, match=r"a\.deb: cannot be unpacked"):
        unpack_deb(deb, [ALL], out)


def test_another_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tool(monkeypatch, tmp_path, "echo Package: linux; echo Version: 1")
    check_deb(tmp_path / "a.deb", "linux", "1")
    with pytest.raises(InputError, match="not the Debian package that was asked for"):
        check_deb(tmp_path / "a.deb", "linux", "2")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_a_package_as_dpkg_builds_it(tmp_path: Path, out: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("DEBIAN/control", "boot/config-1", "boot/vmlinuz-1", "usr/doc"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("a")
    (tree / "DEBIAN/control").write_text(
        "Package: kernel\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.example>\n"
        "Description: a\n"
    )
    deb = tmp_path / "kernel.deb"
    subprocess.run(["dpkg-deb", "--build", tree, deb], check=True, stdout=subprocess.DEVNULL)
    check_deb(deb, "kernel", "1")
    unpack_deb(deb, [Part("image", re.compile("boot/.*"), re.compile(".*/vmlinuz-1"))], out)
    assert unpacked(out) == ["image/boot/config-1", "image/boot/vmlinuz-1"]
