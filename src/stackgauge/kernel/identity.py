"""What kernel an image is: version, architecture, stack size, compiler, build id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stackgauge.image.elf import SHT_NOTE, Elf
from stackgauge.image.opening import Image
from stackgauge.kernel.config import constants, embedded_config
from stackgauge.kernel.thread_size import from_config, from_symbols

# init/version.c: "Linux version RELEASE (user@host) (COMPILER, LINKER) #1 SMP ...".
_BANNER_BEGIN = b"Linux version "
_BANNER = re.compile(rb"Linux version (\S{1,200}) \(.{0,200}?\) \((.{1,500})\) #")

# A banner is one line; this many bytes hold the longest.
_BANNER_BYTES = 1024

# The linker follows the compiler after a comma outside of its parentheses.
_LINKER = re.compile(r", (?=[^,(]*\b(?:ld|LLD)\b)")

_NT_GNU_BUILD_ID = 3

# The longest hash that a linker makes (``--build-id=0x...`` may give any).
_LONGEST_ID = 64


@dataclass(frozen=True)
class Identity:
    """An image's identity; a field is None (or empty) where the image does not tell it.

    Attributes:
        architecture: as the kernel calls it, for example ``x86_64``.
        version: the release, for example ``6.1.0-56-amd64``.
        compiler: what compiled it.
        build_id: the linker's hash of the image, in hex.
        thread_size: bytes of a task's stack.
        red_zone: bytes below the stack pointer that each function may use besides its frame; 0 in
            a kernel, which is compiled without.
        symbols: where the names come from: ``symtab``, ``kallsyms``, ``system-map`` or ``none``.
    """

    architecture: str
    version: str | None
    compiler: str | None
    build_id: str | None
    thread_size: int | None
    red_zone: int
    symbols: str


def identify(
    image: Image, architecture: str, config: dict[str, str] | None = None, red_zone: int = 0
) -> Identity:
    """Read an image's identity.

    Args:
        image: the image.
        architecture: its architecture's name (``Isa.name``).
        config: the kernel's configuration, where the user gives one; else the image's own.
        red_zone: that of the architecture (``Isa.red_zone``).
    """
    version, compiler = _banner(image)
    vermagic = _vermagic(image.elf)
    thread_size = from_symbols(image.symbols)
    if thread_size is None:
        config = config or embedded_config(image.elf)
        thread_size = from_config(architecture, config) if config else None
    return Identity(
        architecture=architecture,
        version=version or vermagic,
        compiler=_comment(image.elf) or compiler,
        build_id=build_id(image.elf),
        thread_size=thread_size,
        red_zone=0 if version or vermagic else red_zone,
        symbols=image.symbols.source,
    )


def _banner(image: Image) -> tuple[str | None, str | None]:
    """Version and compiler from ``linux_banner``, by its symbol or by its text."""
    for raw in _banner_places(image):
        at = raw.find(_BANNER_BEGIN)
        found = _BANNER.match(raw, at) if at >= 0 else None
        if found:
            version, compiler = (part.decode("utf-8", "replace") for part in found.groups())
            return version, _LINKER.split(compiler)[0]
    return None, None


def _banner_places(image: Image) -> Iterator[bytes]:
    address = image.symbols.find("linux_banner")
    if address is not None:
        yield image.elf.at_addresses(address, address + _BANNER_BYTES).tobytes()
    yield from constants(image.elf)


def _vermagic(elf: Elf) -> str | None:
    """The release that a module is built for (include/linux/vermagic.h)."""
    found = re.search(rb"(?:^|\0)vermagic=(\S+)", elf.contents(".modinfo").tobytes())
    return found[1].decode("utf-8", "replace") if found else None


def _comment(elf: Elf) -> str | None:
    """The first compiler that left its name in ``.comment``."""
    first = elf.contents(".comment").tobytes().strip(b"\0").split(b"\0")[0]
    return first.decode("utf-8", "replace") or None


def build_id(elf: Elf) -> str | None:
    """The GNU build id (System V ABI, note sections; the linker's ``--build-id``), in hex."""
    order: Literal["little", "big"] = "little" if elf.order == "<" else "big"
    size, kind = (4).to_bytes(4, order), _NT_GNU_BUILD_ID.to_bytes(4, order)
    note = re.compile(size + b"(....)" + kind + b"GNU\0", re.DOTALL)
    for index in np.flatnonzero(elf.headers["type"] == SHT_NOTE).tolist():
        raw = elf.contents(index).tobytes()
        # Notes are aligned, so that what is found elsewhere is none.
        for found in note.finditer(raw):
            length = int.from_bytes(found[1], order)
            if found.start() % 4 == 0 and 0 < length <= _LONGEST_ID:
                return raw[found.end() : found.end() + length].hex()
    return None
