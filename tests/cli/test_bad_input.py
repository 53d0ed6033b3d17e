"""Broken and foreign files: one clear line and exit code 2, or an answer; nothing else."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.image.containers import bzimage, write_archive
from tests.image.tiny_elf import ALLOC, ET_REL, EXEC, Section, write_elf
from tests.seeds import corpus, kernel

KNOWN = (62, 183)
UNKNOWN = (0, 2, 0xFFFF)


def _written(folder: Path, data: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _field(data: bytes, at: int, form: str, value: int) -> bytes:
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def _section_field(data: bytes, section: int, at: int, value: int, form: str = "<Q") -> bytes:
    """Set a field of a section header of a 64-bit file."""
    headers = struct.unpack_from("<Q", data, 40)[0]
    return _field(data, headers + 64 * section + at, form, value)


@pytest.mark.parametrize("seed", [kernel(), corpus("arm64-user-O2")], ids=["kernel", "object"])
def test_cut_off(run: Run, tmp_path: Path, seed: bytes) -> None:
    for length in range(1, len(seed), max(len(seed) // 60, 1)):
        run("frames", _written(tmp_path, seed[:length])).refused()


def test_a_cut_off_bzimage(run: Run, tmp_path: Path) -> None:
    image = bzimage(gzip.compress(kernel()))
    end = len(image) - 4000  # that of what is compressed
    for length in range(1, end, end // 60):
        run("frames", _written(tmp_path, image[:length])).refused()


def test_flipped_bits_of_headers(run: Run, tmp_path: Path) -> None:
    seed = kernel()
    headers = struct.unpack_from("<Q", seed, 40)[0]
    places = [*range(4, 64), *range(headers + 64, headers + 192)]
    for number, place in enumerate(places):
        broken = bytearray(seed)
        broken[place] ^= 1 << number % 8
        run("frames", _written(tmp_path, bytes(broken)), "--verify").answered_or_refused()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\0", "is not an ELF file, an archive or a kernel image"),
        (b"#!/bin/sh\nexit\n" * 100, "is not an ELF file, an archive or a kernel image"),
        (b"\x7fELF", "has an ELF class or byte order that does not exist"),
        (b"\x7fELF\3\1" + bytes(90), "has an ELF class or byte order that does not exist"),
        (b"\x7fELF\2\3" + bytes(90), "has an ELF class or byte order that does not exist"),
        (_field(kernel(), 40, "<Q", 1 << 40), "is cut off: its section headers begin at 0x1000000"),
        (_field(kernel(), 40, "<Q", (1 << 64) - 1), "is cut off: its section headers begin at"),
        (_field(kernel(), 60, "<H", 0xFEFF), "is cut off: 65279 section headers do not fit in it"),
        (_field(kernel(), 58, "<H", 63), "has section headers of 63 bytes"),
        (_section_field(kernel(), 1, 24, 1 << 40), "is cut off: section 1 reaches beyond its end"),
        (_section_field(kernel(), 1, 32, 1 << 20), "is cut off: section 1 reaches beyond its end"),
        (
            _section_field(kernel(), 1, 32, (1 << 64) - 1),
            "is broken: section 1 reaches beyond all addresses",
        ),
        (_section_field(kernel(), 2, 24, 64), "is broken: sections 1 and 2 overlap"),
        (
            _section_field(kernel(), 1, 8, ALLOC | EXEC | 0x800),
            "is broken: section 1 is compressed",
        ),
        (
            _section_field(corpus("x86_64-user-Os"), 1, 32, 1 << 50),
            "has a section whose size or alignment cannot be",
        ),
        (b"!<arch>\nnot a member", "is broken: no archive member begins at 0x8"),
        (
            write_archive({"a.o": kernel()})[:-100],
            "is cut off: the archive member at 0x84 is longer than it",
        ),
        (gzip.compress(b"nothing of interest"), "is not an ELF file, an archive or a kernel image"),
        (gzip.compress(kernel())[:-200], "cannot be unpacked (gzip): it is cut off"),
        (b"\x1f\x8b\x08" + bytes(100), "cannot be unpacked (gzip): "),
    ],
)
def test_what_is_wrong_is_said(run: Run, tmp_path: Path, data: bytes, message: str) -> None:
    path = _written(tmp_path, data)
    assert run("frames", path).refused().startswith(f"{path}: {message}")


def test_sections_that_share_code_addresses(run: Run, tmp_path: Path) -> None:
    # Nothing says which of the two is there when the other's functions are called.
    path = _written(tmp_path, _field(corpus("x86_64-user-O2"), 16, "<H", 2))
    assert run("frames", path).refused() == (
        f"{path}: has functions that share their addresses with others"
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("machine", [*KNOWN, *UNKNOWN])
def test_other_machines(run: Run, tmp_path: Path, machine: int, bits: int, order: str) -> None:
    code = Section(".text", bytes(range(256)), 0x1000, flags=ALLOC | EXEC)
    for kind in (ET_REL, 2):
        path = _written(tmp_path, write_elf([code], bits, order, machine, kind))
        outcome = run("frames", path, "--min", 0)
        outcome.answered_or_refused()
        if machine in UNKNOWN:
            said = outcome.refused()
            assert said == f"{path}: is of an architecture not known here (machine {machine})"


@pytest.mark.parametrize("verb", ["frames", "frames --config", "frames --system-map"])
def test_what_is_no_file(run: Run, vmlinux: Path, tmp_path: Path, verb: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    stripped = _written(tmp_path, write_elf([Section(".text", b"\xc3", 4096, flags=6)]), "stripped")
    before = ["frames"] if verb == "frames" else ["frames", stripped, verb.split()[1]]
    for path, why in (
        (tmp_path, "is a directory, not a kernel image"),
        (fifo, "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (tmp_path / "missing", "no such file or directory"),
        (vmlinux / "missing", "not a directory"),
        (tmp_path / ("x" * 300), "file name too long"),
    ):
        assert run(*before, path).refused() == f"{path}: {why}"


def test_a_loop_of_links(run: Run, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    assert run("frames", link).refused() == f"{link}: too many levels of symbolic links"


def test_no_permission(run: Run, vmlinux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In place of a file's mode, which does not keep root out.
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(vmlinux))

    monkeypatch.setattr("stackgauge.image.source.open", refuse, raising=False)
    assert run("frames", vmlinux).refused() == f"{vmlinux}: permission denied"


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "two  spaces", "\udcff", "a\u202eb"])
def test_names_of_files_cannot_disturb_a_terminal(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    said = run("frames", path).refused()
    assert said.isprintable()
    assert said.endswith(": no such file or directory")
    path.write_bytes(kernel())
    printed = run("frames", path, "--min", 0).answered()
    assert all(line.isprintable() for line in printed.splitlines())
    # As many lines as under a name that has nothing special.
    (tmp_path / "tame").write_bytes(kernel())
    tame = run("frames", tmp_path / "tame", "--min", 0).answered()
    assert printed.count("\n") == tame.count("\n")
    for option in ("--csv", "--json", "--summary", "--verify"):
        run("frames", path, option).answered().encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 100, ": is no kernel configuration: it sets no option"),
        (b"CONFIG_X", ": is no kernel configuration: it sets no option"),
        (b"\xff\xfe\n", ": is no kernel configuration: it sets no option"),
    ],
)
def test_broken_configurations(
    run: Run, vmlinux: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    path = _written(tmp_path, content, "config")
    assert run("frames", vmlinux, "--config", path).refused() == f"{path}{message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing\n", ":1: is not ADDRESS LETTER NAME: 'nothing'"),
        (b"ffffffff81000000 T\n", ":1: is not ADDRESS LETTER NAME: 'ffffffff81000000 T'"),
        (b"ffffffff81000000 T _text\n", ": is not of "),
        (b"\xff" * 100, ":1: is not ADDRESS LETTER NAME: "),
    ],
)
def test_broken_system_maps(run: Run, tmp_path: Path, content: bytes, message: str) -> None:
    stripped = _written(tmp_path, write_elf([Section(".text", b"\xc3", 4096, flags=6)]), "stripped")
    path = _written(tmp_path, content, "System.map")
    said = run("frames", stripped, "--system-map", path).refused()
    assert said.startswith(f"{path}{message}")
