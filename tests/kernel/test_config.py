"""The configuration, from a file and out of an image."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stackgauge.errors import InputError
from stackgauge.kernel.config import embedded_config, parse_config, read_config
from tests.image.tiny_elf import ALLOC, EXEC, WRITE, Section
from tests.kernel.images import image

CONFIG = """\
#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14) 12.2.0"
CONFIG_64BIT=y
# CONFIG_KASAN is not set
CONFIG_NET=m
CONFIG_THREAD_SHIFT=14

CONFIG_CMDLINE="a=b c"
"""

OPTIONS = {
    "CC_VERSION_TEXT": "gcc-12 (Debian 12.2.0-14) 12.2.0",
    "64BIT": "y",
    "NET": "m",
    "THREAD_SHIFT": "14",
    "CMDLINE": "a=b c",
}


def test_options_that_are_set() -> None:
    assert parse_config(CONFIG) == OPTIONS
    assert parse_config(CONFIG.replace("\n", "\r\n")) == OPTIONS
    assert parse_config("") == parse_config("y=1\nCONFIG_X\n# CONFIG_Y=y") == {}


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "config-6.1"
    path.write_text(CONFIG)
    assert read_config(path) == OPTIONS
    path.write_bytes(b"# none\n\xff\n")
    with pytest.raises(InputError, match=r"config-6\.1: is no kernel configuration"):
        read_config(path)


def embedded(packed: bytes, name: str = ".rodata", flags: int = ALLOC) -> dict[str, str] | None:
    """What is found in a section with such data between the marks of kernel/configs.c."""
    raw = bytes(999) + b"IKCFG_ST" + packed + b"IKCFG_ED" + bytes(999)
    return embedded_config(image(Section(name, raw, 0x2000, flags=flags)).elf)


def test_out_of_an_image() -> None:
    packed = gzip.compress(CONFIG.encode())
    assert embedded(packed) == OPTIONS
    # A flat image has no section of that name.
    assert embedded(packed, ".data", ALLOC | WRITE) == OPTIONS
    assert embedded(packed, ".text", ALLOC | EXEC) is None
    assert embedded_config(image(Section(".rodata", bytes(99), 0x2000)).elf) is None


def test_what_is_none() -> None:
    packed = gzip.compress(CONFIG.encode())
    assert embedded(b"") is None
    assert embedded(b"not packed") is None
    assert embedded(gzip.compress(b"nothing is set")) is None
    assert embedded(packed[:10] + b"\xff" * 99) is None
    # What is cut off says what it says.
    assert embedded(gzip.compress((CONFIG + "#" * 9999).encode())[:-9]) is not None


def test_a_bomb_is_not_unpacked_whole() -> None:
    packed = gzip.compress(b"CONFIG_A=y\n" + b"#" * (64 << 20), 1)
    assert embedded(packed) == {"A": "y"}
