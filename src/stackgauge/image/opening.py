"""From a path to images: whatever kind of file it is, an ELF view and its symbols."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stackgauge.errors import InputError
from stackgauge.image.archive import archive_members, is_archive
from stackgauge.image.descriptors import described
from stackgauge.image.elf import SHF_ALLOC, Elf, is_elf, parse_elf
from stackgauge.image.source import Bytes, map_file
from stackgauge.image.symbols import NO_SECTION, Symbols, elf_symbols, no_symbols

if TYPE_CHECKING:
    from stackgauge.image.vmlinuz import Flat

_PACKED = (".gz", ".xz", ".zst", ".lz4", ".lzo", ".bz2", ".lzma")


@dataclass(frozen=True, eq=False)
class Image:
    """One object to measure.

    Attributes:
        path: the file, as the user gave it.
        member: the archive member that it is; empty where the file is the object itself.
        name: the object's short name, as ``objdump -d`` prints it.
        module: ``vmlinux`` for a kernel, a loadable module's own name, else the name's stem.
        elf: the object; a flat kernel is seen as one.
        symbols: its symbols, from the best source there is: ``.symtab``, a given System.map, the
            kernel's kallsyms, none. ``section`` is filled in, whatever the source.
    """

    path: str
    member: str
    name: str
    module: str
    elf: Elf
    symbols: Symbols


def open_images(
    path: str | os.PathLike[str], *, system_map: str | os.PathLike[str] | None = None
) -> list[Image]:
    """Every object in a file, whose kind is told by its content and never by its name.

    Args:
        path: an ELF file (program, kernel, module, object), a ``vmlinuz`` of any kind that
            ``vmlinuz.unpack`` knows, any of them compressed, or an archive of objects.
        system_map: the kernel's System.map or a saved /proc/kallsyms, for a kernel without a
            symbol table; its own kallsyms is used where none is given.

    Raises:
        InputError: the file is missing, broken or of another kind, or the map is not the kernel's.
    """
    data = map_file(path)
    if is_archive(data):
        return list(_members(data, path, system_map))
    return [_image(data, path, "", system_map)]


def _members(
    data: Bytes, path: str | os.PathLike[str], system_map: str | os.PathLike[str] | None
) -> Iterator[Image]:
    # A loop over files, each parsed by itself.
    for member, contents in archive_members(data, path):
        yield _image(contents, path, member, system_map)


def _image(
    data: Bytes,
    path: str | os.PathLike[str],
    member: str,
    system_map: str | os.PathLike[str] | None,
) -> Image:
    where = f"{os.fspath(path)}({member})" if member else path
    inner: Bytes | Flat = data
    if not member and not is_elf(data):
        # Imported where needed alone: a plain ELF file is the case that must begin quickly.
        from stackgauge.image.vmlinuz import unpack

        inner = unpack(data, where)
    if isinstance(inner, np.ndarray):
        elf = parse_elf(inner, where)
        symbols = described(elf, elf_symbols(elf))
        if not len(symbols) and not elf.relocatable:
            symbols = _placed(_other_symbols(elf, system_map), elf)
    else:
        elf, symbols = _flat(inner, where, system_map)
    if symbols.source == "system-map":
        _check_map(elf, symbols, system_map)
    name = os.path.basename(member or path)
    while name.endswith(_PACKED):
        name = os.path.splitext(name)[0]
    return Image(os.fspath(path), member, name, _module(elf, name), elf, symbols)


def _other_symbols(elf: Elf, system_map: str | os.PathLike[str] | None) -> Symbols:
    """The symbols of a kernel whose symbol table was stripped."""
    if system_map is not None:
        from stackgauge.image.system_map import read_system_map

        return read_system_map(system_map)
    tables = elf.section(".rodata")
    if tables is None:
        return no_symbols()
    from stackgauge.image.kallsyms import kallsyms_symbols

    found = kallsyms_symbols(
        elf.contents(tables), elf.bits, elf.order, tables.address, elf.contents(".rela.dyn")
    )
    return found or no_symbols()


def _flat(
    flat: Flat, where: object, system_map: str | os.PathLike[str] | None
) -> tuple[Elf, Symbols]:
    from stackgauge.image.flat import flat_elf

    if system_map is not None:
        from stackgauge.image.system_map import read_system_map

        symbols = read_system_map(system_map)
    else:
        from stackgauge.image.kallsyms import kallsyms_symbols

        found = kallsyms_symbols(flat.data, flat.bits, flat.order, None, flat.data)
        symbols = found or no_symbols()
    elf, symbols = flat_elf(flat, symbols, where)
    return elf, _placed(symbols, elf)


def _placed(symbols: Symbols, elf: Elf) -> Symbols:
    """The symbols, each in the section that holds its address."""
    headers = elf.headers
    held = np.flatnonzero((headers["flags"] & SHF_ALLOC != 0) & (headers["size"] > 0))
    if not len(held):
        return symbols
    held = held[np.argsort(headers["addr"][held], kind="stable")]
    starts = headers["addr"][held].astype(np.uint64)
    at = np.searchsorted(starts, symbols.value, "right") - 1
    inside = (at >= 0) & (symbols.value - starts[at] < headers["size"][held][at])
    return replace(symbols, section=np.where(inside, held[at], NO_SECTION).astype(np.int32))


def _check_map(elf: Elf, symbols: Symbols, system_map: object) -> None:
    """Refuse another kernel's System.map, which would put wrong names to everything.

    ``linux_banner`` is the text of /proc/version (init/version.c) in every kernel.
    """
    banner = symbols.find("linux_banner")
    text = b"Linux version "
    if banner is None or elf.at_addresses(banner, banner + len(text)).tobytes() != text:
        raise InputError(system_map, f"is not of {elf.where}: linux_banner is not where it says")


def _module(elf: Elf, name: str) -> str:
    """What the kernel calls the module that an object is; else the object's stem."""
    stem = os.path.splitext(name)[0]
    if not elf.relocatable:
        return "vmlinux" if elf.section(".init.text") else stem
    this_module = elf.contents(".gnu.linkonce.this_module")
    if not len(this_module):
        return stem
    # modpost writes it (scripts/mod/modpost.c, "add_header"); before 4.16 it did not.
    for entry in elf.contents(".modinfo").tobytes().split(b"\0"):
        if entry.startswith(b"name="):
            return entry[5:].decode("utf-8", "replace")
    # KBUILD_MODNAME (scripts/Makefile.lib)
    return stem.replace("-", "_")
