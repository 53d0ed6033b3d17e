"""An initramfs: cpio's ``newc`` format (Documentation/driver-api/early-userspace/buffer-format)."""

from __future__ import annotations

import stat
from typing import BinaryIO

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Archive:
    """Writes files one after another; all belong to root and have no time."""

    def __init__(self, out: BinaryIO) -> None:
        """Begin an archive.

        Args:
            out: where to.
        """
        self._out = out
        self._entries = 0

    def folder(self, name: str) -> None:
        """A folder, ``name`` without a leading slash; those above it come first."""
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, *, executable: bool = False) -> None:
        """A regular file."""
        self._entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def character_device(self, name: str, major: int, minor: int) -> None:
        """A node of a character device."""
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def end(self) -> None:
        """Write what ends it."""
        self._entry(_TRAILER, 0)

    def _entry(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        raw = name.encode() + b"\0"
        self._entries += 1
        fields = (
            self._entries, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0
        )  # fmt: skip
        head = _MAGIC + b"".join(b"%08X" % field for field in fields) + raw
        # The header with the name and the data each end at a multiple of four bytes.
        self._out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))
