"""Where a kernel's structures have their members: by BTF, else by drgn's reading of DWARF."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from stackgauge.errors import InputError
from stackgauge.image.btf import Btf, BtfKind, read_btf
from stackgauge.image.opening import Image

# Anonymous structures lie in each other no deeper than this.
_DEPTH = 8


class Layouts(Protocol):
    """Answers where members are."""

    def offset(self, structure: str, member: str) -> int | None:
        """Bytes from where ``struct structure`` begins; None where it has no such member."""

    def size(self, structure: str) -> int | None:
        """Bytes of ``struct structure``; None where there is none."""


class BtfLayouts:
    """By the kernel's own types, which distributions ship in the image."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf

    def offset(self, structure: str, member: str) -> int | None:
        """As of ``Layouts``."""
        for row in self._btf.rows(BtfKind.STRUCT, structure):
            found = self._inside(row, member, _DEPTH)
            if found is not None:
                return found
        return None

    def size(self, structure: str) -> int | None:
        """As of ``Layouts``."""
        rows = self._btf.rows(BtfKind.STRUCT, structure)
        return int(self._btf.size[rows[0]]) if rows else None

    def _inside(self, row: int, member: str, depth: int) -> int | None:
        btf, listed = self._btf, self._btf.members
        # A loop over the members of one structure.
        for at in range(int(listed.first[row]), int(listed.first[row + 1])):
            name = btf.strings[int(listed.name[at])] if listed.name[at] else ""
            place = int(listed.bits[at]) // 8
            if name == member:
                return place
            inner = int(btf.plain[listed.type[at]])
            if not name and depth and btf.kind[inner] in (BtfKind.STRUCT, BtfKind.UNION):
                found = self._inside(inner, member, depth - 1)
                if found is not None:
                    return place + found
        return None


class DrgnLayouts:
    """By debug information that drgn has loaded."""

    def __init__(self, program: Any) -> None:
        self._program = program

    def offset(self, structure: str, member: str) -> int | None:
        """As of ``Layouts``."""
        import drgn

        try:
            return int(drgn.offsetof(self._program.type(f"struct {structure}"), member))
        except LookupError:
            return None

    def size(self, structure: str) -> int | None:
        """As of ``Layouts``."""
        import drgn

        try:
            return int(drgn.sizeof(self._program.type(f"struct {structure}")))
        except LookupError:
            return None


def find_layouts(image: Image) -> Layouts:
    """The layouts of an image's structures.

    Args:
        image: the kernel.

    Raises:
        InputError: the image has neither BTF nor debug information.
    """
    btf = read_btf(image.elf, image.elf.contents)
    if btf is not None and btf.rows(BtfKind.STRUCT, "task_struct"):
        return BtfLayouts(btf)
    import drgn

    program = drgn.Program()
    try:
        module = program.extra_module(image.path, create=True)
        module.try_file(image.path, force=True)
    except (OSError, ValueError, LookupError, drgn.BadDataError) as error:
        raise InputError(image.path, f"has types that drgn cannot read: {error}") from error
    layouts = DrgnLayouts(program)
    if layouts.size("task_struct") is None:
        raise InputError(image.path, "has no types: neither BTF nor debug information")
    return layouts


def word_type(bits: int, order: str) -> np.dtype[Any]:
    """The type of the kernel's ``unsigned long``."""
    return np.dtype(f"{order}u{bits // 8}")
