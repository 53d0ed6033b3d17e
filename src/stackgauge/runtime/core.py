"""A dump of a kernel's memory, by the addresses that the kernel has: drgn's, if of 64 bits."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from stackgauge.errors import InputError, StackgaugeError
from stackgauge.image.opening import Image
from stackgauge.image.source import map_file
from stackgauge.kernel.identity import build_id
from stackgauge.runtime.lowmem import Lowmem

# The note as the kernel keeps it in its memory (kernel/crash_core.c, "VMCOREINFO" in
# Documentation/admin-guide/kdump/vmcoreinfo.rst): a name of 11 bytes, the size, type 0.
_NOTE = re.compile(rb"VMCOREINFO\0\0(?=OSRELEASE=)")
_HEADER = 12
_MOST_INFO = 64 << 10

# Bytes of linux_banner that are compared.
_BANNER = 512


@dataclass(frozen=True)
class Core:
    """A dump.

    Attributes:
        read: gives so many bytes at a virtual address, or raises InputError.
        shift: what addresses of the image are less than those in memory (KASLR).
        path: the file.
    """

    read: Callable[[int, int], bytes]
    shift: int
    path: str


def open_core(path: str, image: Image) -> Core:
    """Open a dump: an ELF core of QEMU's or of kdump.

    Args:
        path: the dump.
        image: the kernel that ran.

    Raises:
        StackgaugeError: drgn is not installed.
        InputError: the dump cannot be read, or is not of that kernel.
    """
    if image.elf.bits == 32:
        core = Core(Lowmem(path, image).read, 0, path)
        _check_banner(core, image)
        return core
    try:
        import drgn
    except ImportError as error:
        raise StackgaugeError(
            "drgn is not installed: --core needs it (pip install 'stackgauge[core]')"
        ) from error
    found = _vmcoreinfo(path)
    raw = _assumed(path, image) if found is None else found
    try:
        program = drgn.Program(vmcoreinfo=raw)
        program.set_core_dump(path)
    # What libelf complains of comes as a plain Exception.
    except Exception as error:
        raise InputError(path, f"is no dump that drgn reads: {error}") from error
    info = dict(line.partition("=")[::2] for line in raw.decode("utf-8", "replace").splitlines())
    built, ran = build_id(image.elf), info.get("BUILD-ID")
    if built and ran and built != ran:
        raise InputError(path, f"is not of {image.path}: build ids {ran} and {built}")
    try:
        shift = int(info.get("KERNELOFFSET", "0"), 16)
    except ValueError as error:
        raise InputError(path, "has a VMCOREINFO that is broken") from error
    core = Core(partial(_read, program, path), shift, path)
    if found is None:
        _check_banner(core, image)
    return core


def _read(program: Any, path: str, address: int, size: int) -> bytes:
    import drgn

    try:
        return bytes(program.read(address, size))
    except (drgn.FaultError, OSError, OverflowError, ValueError, NotImplementedError) as error:
        raise InputError(path, f"has no memory at {address:#x}: {error}") from error


def _vmcoreinfo(path: str) -> bytes | None:
    """The kernel's VMCOREINFO, wherever in the dump it is: in a note, or in the guest's memory.

    None where the kernel was built without it (CRASH_CORE, since 6.9 VMCORE_INFO). QEMU makes a
    note of it only where the guest's firmware driver has said where it lies.
    """
    data = map_file(path).data
    if bytes(data[:4]) != b"\x7fELF":
        raise InputError(path, "is no dump of memory (an ELF core)")
    # The name begins behind its size, the size of what it describes, and the type.
    for found in _NOTE.finditer(data):
        at = found.start() - _HEADER
        if at < 0:
            continue
        for order in "<>":
            name, size, kind = struct.unpack_from(f"{order}III", data, at)
            if name == 11 and kind == 0 and 0 < size <= _MOST_INFO:
                return bytes(data[found.end() : found.end() + size]).rstrip(b"\0")
    return None


def _assumed(path: str, image: Image) -> bytes:
    """What VMCOREINFO would say of an x86-64 kernel that lies where it was linked to (nokaslr)."""
    tables = image.symbols.find("init_top_pgt")
    if tables is None:
        raise InputError(path, "has no VMCOREINFO (CONFIG_CRASH_CORE or VMCORE_INFO)")
    return (
        f"OSRELEASE=unknown\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)={tables:x}\nKERNELOFFSET=0\n"
        "NUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\n"
    ).encode()


def _check_banner(core: Core, image: Image) -> None:
    """See that the kernel in memory is the image, by its version's text."""
    at = image.symbols.find("linux_banner") or 0
    text = core.read(at, _BANNER).partition(b"\0")[0] if at else b""
    if not text or image.elf.at_addresses(at, at + len(text)).tobytes() != text:
        raise InputError(core.path, f"{image.path} is not the kernel in it, or lies elsewhere")
