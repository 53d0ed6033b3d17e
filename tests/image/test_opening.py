from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.image.opening import Image, open_images
from stackgauge.image.symbols import NO_SECTION, STT_FUNC
from tests.image.containers import bzimage, write_archive, zboot
from tests.image.kallsyms_writer import LAYOUTS, Layout, write_tables
from tests.image.tiny_elf import (
    ALLOC,
    ET_REL,
    EXEC,
    NOBITS,
    WRITE,
    Section,
    write_elf,
    write_symbols,
)

TEXT, RODATA, INIT, BSS = (
    0xFFFFFFFF81000000,
    0xFFFFFFFF82000000,
    0xFFFFFFFF83000000,
    0xFFFFFFFF84000000,
)
CODE = np.random.default_rng(3).bytes(0x4000)
BANNER = b"Linux version 6.15.0 (someone@somewhere) (gcc) #1\n\0".ljust(64, b"\0")


def kernel_symbols() -> list[tuple[int, str, str]]:
    rows = [(TEXT, "T", "_text"), (TEXT, "T", "_stext")]
    rows += [(TEXT + 16 * n, "t", f"function_{n}") for n in range(600)]
    rows += [(TEXT + len(CODE), "T", "_etext"), (RODATA, "D", "linux_banner")]
    rows += [(INIT + 8, "t", "start_kernel"), (BSS + 4, "b", "counter"), (BSS + 99, "B", "_end")]
    return rows


def stripped_vmlinux() -> bytes:
    """As objcopy leaves it inside a bzImage: sections, and no symbol table."""
    tables = write_tables(kernel_symbols(), LAYOUTS["6.15-x86"], RODATA + len(BANNER))
    return write_elf(
        [
            Section(".text", CODE, TEXT, flags=ALLOC | EXEC),
            Section(".rodata", BANNER + tables, RODATA),
            Section(".init.text", b"\xc3" * 64, INIT, flags=ALLOC | EXEC),
            Section(".bss", b"\0" * 99, BSS, type=NOBITS, flags=ALLOC | WRITE),
        ]
    )


def system_map() -> str:
    return "".join(
        f"{address:016x} {letter} {name}\n" for address, letter, name in kernel_symbols()
    )


def module(name: str | None = "snd_hda") -> bytes:
    modinfo = b"license=GPL\0depends=\0" + (f"name={name}\0".encode() if name else b"")
    return write_elf(
        [
            Section(".text", b"\xc3" * 32, flags=ALLOC | EXEC),
            Section(".modinfo", modinfo),
            Section(".gnu.linkonce.this_module", bytes(256)),
            *write_symbols([("init", 0, 1, 0x12), ("printk", 0, 0, 0x10)], 5),
        ],
        kind=ET_REL,
    )


def only(path: Path, map_path: Path | None = None) -> Image:
    (image,) = open_images(path, system_map=map_path)
    assert (image.path, image.member) == (str(path), "")
    return image


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def rows_of(image: Image) -> list[tuple[int, str]]:
    symbols = image.symbols
    names = [symbols.strings[at] for at in symbols.name.tolist()]
    return list(zip(symbols.value.tolist(), names, strict=True))


def section_of(image: Image, name: str) -> str | None:
    row = [text for _, text in rows_of(image)].index(name)
    index = int(image.symbols.section[row])
    return None if index == NO_SECTION else image.elf.names[index]


EXPECTED = [(address, name) for address, _, name in kernel_symbols()]


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        lambda elf: bzimage(zstandard.compress(elf)),
        lambda elf: lzma.compress(bzimage(gzip.compress(elf))),
    ],
)
def test_a_kernel_without_symbols_has_those_of_kallsyms(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    image = only(write(tmp_path / "vmlinuz-6.15", pack(stripped_vmlinux())))
    assert (image.name, image.module) == ("vmlinuz-6.15", "vmlinux")
    assert image.symbols.source == "kallsyms"
    assert rows_of(image) == EXPECTED
    assert section_of(image, "function_7") == ".text"
    assert section_of(image, "start_kernel") == ".init.text"
    assert section_of(image, "linux_banner") == ".rodata"
    assert section_of(image, "counter") == ".bss"
    assert section_of(image, "_etext") is None
    assert section_of(image, "_end") is None
    text = image.elf.section(".text")
    assert text is not None
    assert image.elf.contents(text).tobytes() == CODE


def test_a_given_map_is_used_where_there_is_no_symbol_table(tmp_path: Path) -> None:
    map_path = write(tmp_path / "System.map", system_map())
    image = only(write(tmp_path / "vmlinuz", bzimage(gzip.compress(stripped_vmlinux()))), map_path)
    assert image.symbols.source == "system-map"
    assert rows_of(image) == EXPECTED
    assert section_of(image, "function_7") == ".text"


def test_another_kernels_map_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "vmlinux", stripped_vmlinux())
    moved = system_map().replace(
        f"{RODATA:016x} D linux_banner", f"{RODATA + 8:016x} D linux_banner"
    )
    for text in (moved, system_map().replace("linux_banner", "other")):
        map_path = write(tmp_path / "System.map", text)
        with pytest.raises(InputError, match=r"System\.map: is not of .*vmlinux: linux_banner"):
            open_images(path, system_map=map_path)


def test_a_program_without_symbols_has_none(tmp_path: Path) -> None:
    elf = write_elf([Section(".text", CODE, 0x1000, flags=ALLOC | EXEC)])
    image = only(write(tmp_path / "firmware.elf", elf))
    assert (image.name, image.module) == ("firmware.elf", "firmware")
    assert (image.symbols.source, len(image.symbols)) == ("none", 0)


def test_a_symbol_table_comes_first(tmp_path: Path) -> None:
    symbols = write_symbols([("_text", TEXT, 1, 0x10), ("main", TEXT + 4, 1, 0x12)], 3)
    sections = [Section(".text", CODE, TEXT, flags=ALLOC | EXEC), *symbols]
    image = only(write(tmp_path / "program", write_elf(sections)))
    assert image.symbols.source == "symtab"
    assert section_of(image, "main") == ".text"
    assert image.symbols.type.tolist() == [0, 0, STT_FUNC]


@pytest.mark.parametrize(
    ("file_name", "data", "name", "module_name"),
    [
        ("snd-hda.ko", module(), "snd-hda.ko", "snd_hda"),
        ("snd-hda.ko.xz", lzma.compress(module()), "snd-hda.ko", "snd_hda"),
        ("snd-hda.ko.zst", zstandard.compress(module()), "snd-hda.ko", "snd_hda"),
        ("snd-hda.ko.gz", gzip.compress(module()), "snd-hda.ko", "snd_hda"),
        ("renamed", bz2.compress(module()), "renamed", "snd_hda"),
        ("nf-nat.ko", module(None), "nf-nat.ko", "nf_nat"),
    ],
)
def test_a_module_has_its_own_name(
    tmp_path: Path, file_name: str, data: bytes, name: str, module_name: str
) -> None:
    image = only(write(tmp_path / file_name, data))
    assert (image.name, image.module) == (name, module_name)
    assert image.elf.relocatable
    assert [text for _, text in rows_of(image)] == ["", "init", "printk"]


def test_members_of_an_archive_are_images(tmp_path: Path) -> None:
    object_file = write_elf([Section(".text", CODE, flags=ALLOC | EXEC)], kind=ET_REL)
    path = write(tmp_path / "lib.a", write_archive({"net/a-b.o": object_file, "c.o": object_file}))
    images = open_images(path)
    assert [(i.path, i.member, i.name, i.module) for i in images] == [
        (str(path), "net/a-b.o", "a-b.o", "a-b"),
        (str(path), "c.o", "c.o", "c"),
    ]
    write(path, write_archive({"readme": b"text"}))
    with pytest.raises(InputError, match=r"lib\.a\(readme\): is not an ELF file"):
        open_images(path)


FLAT = 0xFFFF800080000000


def flat_kernel(layout: Layout, *, every: bool) -> tuple[bytes, list[tuple[int, str, str]]]:
    """An arm64 Image; ``every``: with data symbols, as CONFIG_KALLSYMS_ALL has them."""
    stext, etext, sinit, einit = (FLAT + at for at in (0x10000, 0x14000, 0x30000, 0x30100))
    rows = [(stext, "T", "_stext"), *((stext + 16 * n, "t", f"function_{n}") for n in range(600))]
    rows += [(etext, "T", "_etext"), (sinit, "T", "_sinittext"), (einit, "T", "_einittext")]
    if every:
        tramp = FLAT + 0x20000
        rows += [(FLAT, "T", "_text"), (FLAT + 0x40000, "B", "_end")]
        rows += [(tramp, "T", "__entry_tramp_text_start")]
        rows += [(tramp + 0x80, "T", "__entry_tramp_text_end")]
    rows.sort()
    image = bytearray(0x38000)
    image[16:24] = struct.pack("<Q", 0x40000)
    image[56:60] = b"ARM\x64"
    image[0x10000:0x14000] = CODE
    tables = write_tables(rows, replace(layout, text=FLAT), FLAT + 0x18000)
    image[0x18000 : 0x18000 + len(tables)] = tables
    image[0x32000:0x32008] = struct.pack("<Q", FLAT + 0x10000)  # a pointer in .data
    return bytes(image), rows


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("name", ["5.10-arm64", "6.15-x86", "7.0-x86"])
def test_a_flat_kernel_is_seen_as_sections(tmp_path: Path, name: str, every: bool) -> None:
    data, rows = flat_kernel(LAYOUTS[name], every=every)
    for packed in (data, gzip.compress(data), zboot(zstandard.compress(data), b"zstd22")):
        image = only(write(tmp_path / "vmlinuz", packed))
        assert (image.module, image.elf.machine) == ("vmlinux", 183)
        assert rows_of(image) == [(address, text) for address, _, text in rows]
        headers = zip(image.elf.names, image.elf.headers["addr"].tolist(), strict=True)
        code = [(text, address - FLAT) for text, address in headers if "text" in text]
        assert code == [
            (".head.text", 0),
            (".text", 0x10000),
            *([(".rodata.text", 0x20000)] if every else []),
            (".init.text", 0x30000),
        ]
        assert [image.elf.names[at] for at in image.elf.executable] == [text for text, _ in code]
        assert image.elf.contents(".text").tobytes() == CODE
        assert section_of(image, "function_9") == ".text"
        bss = image.elf.section(".bss")
        assert bss is not None
        assert (bss.address - FLAT, bss.size) == (0x38000, 0x8000)


def test_a_flat_kernel_with_a_map_needs_no_kallsyms(tmp_path: Path) -> None:
    data, _ = flat_kernel(LAYOUTS["7.0-x86"], every=True)
    image_bytes = bytearray(data[:0x18000].ljust(0x38000, b"\0"))
    image_bytes[0x16000 : 0x16000 + len(BANNER)] = BANNER
    path = write(tmp_path / "Image", bytes(image_bytes))
    with pytest.raises(InputError, match=r"Image: has no symbol that says where it lies"):
        open_images(path)
    text = "".join(
        f"{FLAT + at:016x} T {name}\n"
        for at, name in [
            (0, "_text"),
            (0x10000, "_stext"),
            (0x14000, "_etext"),
            (0x16000, "linux_banner"),
        ]
    )
    image = only(path, write(tmp_path / "System.map", text))
    assert image.elf.contents(".text").tobytes() == CODE
    without_end = write(tmp_path / "System.map", text.replace("_etext", "_ftext"))
    with pytest.raises(InputError, match=r"no symbols that say where its code lies"):
        open_images(path, system_map=without_end)


@pytest.mark.parametrize("data", [b"x", b"\x7fELF", b"MZ", b"!<arch>", b"\x1f\x8b\x08"])
def test_a_stub_of_any_kind_is_an_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"^.*/file: "):
        open_images(write(tmp_path / "file", data))


SEEDS = {
    "bzimage": bzimage(gzip.compress(stripped_vmlinux(), 1)),
    "elf": stripped_vmlinux(),
    "module": module(),
    "flat": flat_kernel(LAYOUTS["7.0-x86"], every=True)[0],
    "archive": write_archive({"a.o": module()}),
}


@given(st.sampled_from(sorted(SEEDS)), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_broken_files_raise_nothing_else(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    contents = bytearray(SEEDS[kind])
    headers = st.integers(0, 700) | st.integers(1, 400).map(lambda at: len(contents) - at)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(headers | st.integers(0, len(contents) - 1)) % len(contents)
        contents[at] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]))
    with contextlib.suppress(InputError):
        for image in open_images(write(tmp_path / "file", bytes(contents))):
            rows_of(image)
