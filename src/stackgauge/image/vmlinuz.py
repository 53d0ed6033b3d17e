"""What is inside a kernel image as distributions ship it: an ELF file, or a flat memory image.

Known by content: x86's bzImage, the flat ``Image`` of arm64, RISC-V and LoongArch, EFI zboot
around one of these, ARM's zImage, and any of them (or an ELF file) compressed as a whole. For
the rest every compressed stream in the file is tried, as the kernel's scripts/extract-vmlinux
does.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from stackgauge.errors import InputError
from stackgauge.image.decompress import COMPRESSIONS, Budget, Compression, compression
from stackgauge.image.elf import EM_AARCH64, is_elf
from stackgauge.image.source import Bytes

EM_S390 = 22
EM_ARM = 40
EM_RISCV = 243
EM_LOONGARCH = 258

# Layers of packing: gzip around zboot around zstd around Image would be three.
_DEPTH = 4

# Streams of each format that are tried in a file whose layout is not known; the code before the
# kernel in such a file holds a magic number's bytes by chance now and then.
_TRIES = 8


@dataclass(frozen=True, eq=False)
class Flat:
    """A kernel as it lies in memory, without sections; ``_text`` is its first byte.

    Attributes:
        data: its bytes, shape (size,).
        machine: the ELF number of its architecture.
        bits: 32 or 64.
        order: byte order, ``<`` or ``>``.
        memory: bytes that it takes in memory, ``.bss`` included; at least ``len(data)``.
    """

    data: Bytes
    machine: int
    bits: int
    order: str
    memory: int


def unpack(data: Bytes, where: object) -> Bytes | Flat:
    """The kernel in an image.

    Args:
        data: the file's bytes.
        where: what to call it in messages.

    Returns:
        The bytes of an ELF file, or a flat image.

    Raises:
        InputError: it is none of the kinds above, or what it holds is broken.
    """
    budget = Budget(len(data))
    for _ in range(_DEPTH):
        if is_elf(data):
            return data
        if flat := _flat(data):
            return flat
        stream = _payload(data, where)
        if stream is None:
            return _search(data, where, budget)
        kind = compression(stream)
        if kind is None:
            raise InputError(where, "holds a kernel that is packed in an unknown way")
        data = kind.decompress(stream, where, budget)
    raise InputError(where, "is packed too many times over")


def _number(data: Bytes, at: int, size: int, order: str = "<") -> int:
    return int.from_bytes(data[at : at + size].tobytes(), "little" if order == "<" else "big")


def _flat(data: Bytes) -> Flat | None:
    """A flat image that says so itself, at byte 56 of its header.

    arm64: Documentation/arm64/booting.rst; RISC-V: Documentation/riscv/boot-image-header.rst;
    LoongArch: arch/loongarch/kernel/head.S, its magic number being Linux' own in any EFI program,
    so that the EFI machine type decides. All three have the size in memory at byte 16; bit 0 of
    arm64's flags at byte 24 says big-endian code (the header is always little-endian).
    """
    magic = data[56:60].tobytes()
    efi = _number(data, 60, 4)
    order = "<"
    if magic == b"ARM\x64":
        machine = EM_AARCH64
        order = ">" if _number(data, 24, 8) & 1 else "<"
    elif magic == b"RSC\x05":
        machine = EM_RISCV
    elif magic == b"\xcd\x23\x82\x81" and data[efi : efi + 6].tobytes() == b"PE\0\0\x64\x62":
        machine = EM_LOONGARCH
    else:
        return None
    memory = _number(data, 16, 8)
    # No more memory than a kernel could use: the figure is only for naming addresses in .bss.
    memory = max(len(data), memory if memory < 1 << 31 else 0)
    return Flat(data, machine, 64, order, memory)


def _payload(data: Bytes, where: object) -> Bytes | None:
    """The compressed stream that a header points to, or that the file is; None if neither."""
    if data[0x202:0x206].tobytes() == b"HdrS" and _number(data, 0x206, 2) >= 0x208:
        # x86's boot protocol 2.08 (Documentation/x86/boot.rst): the payload's place counts from
        # the protected-mode code, which follows the boot sector and the setup sectors.
        start = ((_number(data, 0x1F1, 1) or 4) + 1) * 512 + _number(data, 0x248, 4)
        size = _number(data, 0x24C, 4)
    elif data[:2].tobytes() == b"MZ" and data[4:8].tobytes() == b"zimg":
        # drivers/firmware/efi/libstub/zboot-header.S
        start, size = _number(data, 8, 4), _number(data, 12, 4)
    elif compression(data):
        return data
    else:
        return None
    if not 0 < size <= len(data) - start:
        raise InputError(where, "is cut off: its compressed kernel reaches beyond its end")
    return data[start : start + size]


def _wrapper(data: Bytes) -> tuple[int, int, str] | None:
    """Machine, bits and byte order of a self-extracting image around a flat one."""
    for order in "<>":
        # arch/arm/boot/compressed/head.S: a magic number, and one that shows the byte order.
        if (_number(data, 0x24, 4, order), _number(data, 0x30, 4, order)) == (
            0x016F2818,
            0x04030201,
        ):
            return EM_ARM, 32, order
    if data[0x10008:0x1000E].tobytes() == b"S390EP":  # arch/s390/boot/head.S
        return EM_S390, 64, ">"
    return None


def _streams(data: Bytes) -> Iterator[tuple[int, Compression]]:
    """Where compressed streams may begin, in the file's order, at most _TRIES of a format."""

    def places(index: int) -> Iterator[tuple[int, int]]:
        pattern = re.compile(re.escape(COMPRESSIONS[index].magic))
        return ((match.start(), index) for match in islice(pattern.finditer(data.data), _TRIES))

    for at, index in heapq.merge(*map(places, range(len(COMPRESSIONS)))):
        yield at, COMPRESSIONS[index]


def _search(data: Bytes, where: object, budget: Budget) -> Bytes | Flat:
    """Look for a kernel in every compressed stream of a file."""
    wrapper = _wrapper(data)
    for at, kind in _streams(data):
        try:
            inner = kind.decompress(data[at:], where, budget)
        except InputError:
            if budget.left < 0:
                raise
            continue
        if is_elf(inner):
            return inner
        if flat := _flat(inner):
            return flat
        if wrapper and len(inner) > at:
            return Flat(inner, *wrapper, len(inner))
    raise InputError(where, "is not an ELF file, an archive or a kernel image")
