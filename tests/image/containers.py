"""Writers of the files that kernels and objects come in, for tests."""

from __future__ import annotations

import struct


def bzimage(payload: bytes, setup_sectors: int = 27, prefix: int = 3000) -> bytes:
    """Boot sector and setup, the decompressor's code, the payload, the rest of the decompressor."""
    image = bytearray(((setup_sectors or 4) + 1) * 512)
    image[0:2] = b"MZ"
    image[0x38:0x3C] = struct.pack("<I", 0x818223CD)  # as newer EFI stubs have it
    image[0x1F1] = setup_sectors
    image[0x1FE:0x206] = b"\x55\xaa\xeb\x66HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<II", image, 0x248, prefix, len(payload))
    return bytes(image) + b"\x90" * prefix + payload + b"\xcc" * 4000


def zboot(payload: bytes, kind: bytes) -> bytes:
    header = b"MZ\0\0zimg" + struct.pack("<II", 0x1000, len(payload)) + bytes(8) + kind
    return header.ljust(0x1000, b"\0") + payload + bytes(512)


def ar_header(name: str, size: int) -> bytes:
    return f"{name:16}{0:<12}{0:<6}{0:<6}{644:<8}{size:<10}`\n".encode()


def write_archive(members: dict[str, bytes], thin: bool = False) -> bytes:
    """As GNU ar does: an index, long names in a table, short ones in the header."""
    out = b"!<thin>\n" if thin else b"!<arch>\n"
    out += ar_header("/", 4) + bytes(4)
    table, fields = b"", {}
    for name in members:
        fields[name] = f"{name}/"
        if thin or len(name) > 15:
            fields[name] = f"/{len(table)}"
            table += name.encode() + b"/\n"
    out += ar_header("//", len(table)) + table + b"\n" * (len(table) % 2)
    for name, data in members.items():
        out += ar_header(fields[name], len(data))
        out += b"" if thin else data + b"\n" * (len(data) % 2)
    return out
