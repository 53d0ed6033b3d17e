"""Memory of 32-bit kernels, whose page tables drgn does not walk."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from stackgauge.errors import InputError
from stackgauge.image.opening import Image
from stackgauge.image.source import Bytes, map_file

EM_386, EM_ARM = 3, 40
_PT_LOAD = 1
_MOST_SEGMENTS = 64
_PAGE = 4096


@dataclass(frozen=True)
class Segment:
    """A piece of memory in a dump: where it was, how large it is, and where it stands."""

    address: int
    size: int
    offset: int


def read_segments(path: str, data: Bytes) -> list[Segment]:
    """The memory in an ELF core, of either class (System V ABI, "Program Header").

    Raises:
        InputError: it is broken, or has none.
    """
    wide = len(data) > 5 and int(data[4]) == 2
    order = ">" if len(data) > 5 and int(data[5]) == 2 else "<"
    try:
        place, size, count = struct.unpack_from(
            order + ("32xQ14xHH" if wide else "28xI10xHH"), data.data
        )
        found = []
        for at in range(place, place + size * min(count, _MOST_SEGMENTS), max(size, 1)):
            if wide:
                kind, offset, address, held = struct.unpack_from(order + "I4xQ8xQQ", data.data, at)
            else:
                kind, offset, address, held = struct.unpack_from(order + "II4xII", data.data, at)
            if kind == _PT_LOAD and 0 < held <= len(data) - offset:
                found.append(Segment(address, held, offset))
    except struct.error as error:
        raise InputError(path, "is cut off") from error
    if not found:
        raise InputError(path, "has no memory")
    return found


class Lowmem:
    """A 32-bit kernel's memory by its own addresses.

    Low memory lies at a fixed distance from where it is: the first memory of the machine at
    PAGE_OFFSET. On x86 all stacks are in it; on ARM they are mapped (VMAP_STACK) by page tables
    that lie in it.
    """

    def __init__(self, path: str, image: Image) -> None:
        """Find the memory.

        Raises:
            InputError: the dump is broken, or the kernel is of no kind that is known.
        """
        self._path = path
        self._order = image.elf.order
        self._data = map_file(path)
        self._segments = read_segments(path, self._data)
        text = image.symbols.find("_stext")
        if image.elf.machine not in (EM_386, EM_ARM) or text is None:
            raise InputError(image.path, "is of a kind whose memory cannot be read")
        # VMSPLIT_3G, 2G or 1G: a kernel begins in the first megabytes.
        self._offset = text & 0xF000_0000
        self._first = self._segments[0].address
        self._tables = image.symbols.find("swapper_pg_dir") if image.elf.machine == EM_ARM else None
        if image.elf.machine == EM_ARM and self._tables is None:
            raise InputError(image.path, "has no symbol swapper_pg_dir")

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a virtual address.

        Raises:
            InputError: the dump does not have them.
        """
        pieces = []
        while size > 0:  # a loop over pages, as each may lie elsewhere
            part = min(size, _PAGE - address % _PAGE)
            place = self._linear(address) if self._tables is None else self._walked(address)
            pieces.append(self._physical(place, part, address))
            address, size = address + part, size - part
        return b"".join(pieces)

    def _linear(self, address: int) -> int:
        return address - self._offset + self._first

    def _walked(self, address: int) -> int:
        """By ARM's short descriptors (Arm Architecture Reference Manual, "VMSAv7")."""
        assert self._tables is not None
        first = self._entry(self._linear(self._tables) + (address >> 20) * 4, address)
        if first & 3 == 2:
            kept = 0xFF_FFFF if first >> 18 & 1 else 0xF_FFFF
            return first & ~kept & 0xFFFF_FFFF | address & kept
        if first & 3 != 1:
            raise self._missing(address)
        second = self._entry((first & ~0x3FF) + (address >> 12 & 0xFF) * 4, address)
        if not second & 3:
            raise self._missing(address)
        kept = 0xFFF if second & 2 else 0xFFFF
        return second & ~kept & 0xFFFF_FFFF | address & kept

    def _entry(self, place: int, address: int) -> int:
        return int(struct.unpack(self._order + "I", self._physical(place, 4, address))[0])

    def _physical(self, place: int, size: int, address: int) -> bytes:
        for one in self._segments:
            if one.address <= place and place + size <= one.address + one.size:
                at = one.offset + place - one.address
                return self._data[at : at + size].tobytes()
        raise self._missing(address)

    def _missing(self, address: int) -> InputError:
        return InputError(self._path, f"has no memory at {address:#x}")
