"""The configuration that a kernel was built with: from a file, or out of the image itself."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import numpy as np

from stackgauge.errors import InputError
from stackgauge.image.elf import SHF_ALLOC, SHF_EXECINSTR, Elf
from stackgauge.image.source import map_file

# kernel/configs.c puts the compressed configuration between these (CONFIG_IKCONFIG).
_BEGIN = b"IKCFG_ST"

# A configuration is some 300 KiB; one that inflates to more than this is none.
_LARGEST = 16 << 20


def parse_config(text: str) -> dict[str, str]:
    """Options by name, without ``CONFIG_``; an option that is not set is not there.

    Args:
        text: lines as in ``.config``: ``CONFIG_NAME=value``, comments, blank lines.
    """
    options = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith("CONFIG_"):
            options[name.removeprefix("CONFIG_")] = value.strip('"')
    return options


def read_config(path: str | os.PathLike[str]) -> dict[str, str]:
    """The options of a ``.config`` or ``/boot/config-*`` file.

    Raises:
        InputError: the file cannot be read or sets no option.
    """
    options = parse_config(map_file(path).tobytes().decode("utf-8", "replace"))
    if not options:
        raise InputError(path, "is no kernel configuration: it sets no option")
    return options


def constants(elf: Elf) -> Iterator[bytes]:
    """The read-only data of an image; all of its data where no section says which that is."""
    headers = elf.headers
    named = elf.section(".rodata")
    data = (headers["flags"] & SHF_ALLOC != 0) & (headers["flags"] & SHF_EXECINSTR == 0)
    for index in [named.index] if named else np.flatnonzero(data).tolist():
        yield elf.contents(index).tobytes()


def embedded_config(elf: Elf) -> dict[str, str] | None:
    """The configuration inside an image built with CONFIG_IKCONFIG, else None."""
    for raw in constants(elf):
        at = raw.find(_BEGIN)
        if at < 0:
            continue
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            text = unpacker.decompress(memoryview(raw)[at + len(_BEGIN) :], _LARGEST)
        except zlib.error:
            return None
        return parse_config(text.decode("utf-8", "replace")) or None
    return None
