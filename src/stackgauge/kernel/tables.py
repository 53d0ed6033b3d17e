"""Control flow that stands in the kernel's tables instead of in its code.

A faulting instruction goes to its fixup (``__ex_table``, arch/*/include/asm/extable.h), a static
branch is a NOP that may become a jump (``__jump_table``, include/linux/jump_label.h), and an x86
instruction may be replaced at boot (``.altinstructions``, arch/x86/include/asm/alternative.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import EM_386, EM_X86_64, Elf
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import Symbols

Addresses = NDArray[np.uint64]
Contents = Callable[[str], Bytes]


class Jumps(NamedTuple):
    """Edges from a table: with the stack as it is at ``source``, to ``target``; (n,) uint64.

    A jump that stands at a ``source`` may be a NOP at run time, so control may also go on there.
    """

    source: Addresses
    target: Addresses


class Replacements(NamedTuple):
    """Alternatives: the code at ``start``..``end`` may stand at ``site`` instead; (n,) uint64.

    One that is empty replaces what is at ``site`` by NOPs.
    """

    site: Addresses
    start: Addresses
    end: Addresses


NO_JUMPS = Jumps(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
NO_REPLACEMENTS = Replacements(*(np.zeros(0, np.uint64),) * 3)


def _table(elf: Elf, symbols: Symbols, contents: Contents, name: str) -> tuple[Bytes, int]:
    """A table's bytes and address: a section's, or those between ``__start_`` and ``__stop_``."""
    section = elf.section(name)
    if section is not None:
        return contents(name), section.address
    start, stop = symbols.find(f"__start_{name}"), symbols.find(f"__stop_{name}")
    if start is None or stop is None or stop <= start:
        return elf.data[:0], 0
    return elf.at_addresses(start, stop), start


def _self_relative(elf: Elf, raw: Bytes, address: int, size: int, fields: int) -> NDArray[Any]:
    """The first ``fields`` 32-bit words of each entry, each relative to its own address."""
    count = len(raw) // size
    words = raw[: count * size].view(elf.order + "i4").reshape(count, size // 4)[:, :fields]
    place = np.arange(count, dtype=np.int64)[:, None] * size + 4 * np.arange(fields)
    base = np.array(address, np.uint64).view(np.int64)
    with np.errstate(over="ignore"):
        return (words.astype(np.int64) + place + base).view(np.uint64)


def table_jumps(elf: Elf, symbols: Symbols, contents: Contents) -> Jumps:
    """The edges of the exception table and of the static branches.

    Args:
        elf: the image; ``contents`` gives a section's bytes, relocated where it is an object.
        symbols: used where the tables have no section of their own.
        contents: section name to bytes.

    Returns:
        Both tables' edges; none where the image has no such tables or where their layout is that
        of an architecture with absolute entries.
    """
    edges = []
    # Both tables' entries are 12 (extable) and 16 bytes (jump_entry with a 64-bit key).
    sizes = {"__ex_table": 12, "__jump_table": 16 if elf.bits == 64 else 12}
    for name, size in sizes.items():
        raw, address = _table(elf, symbols, contents, name)
        if len(raw) >= size and len(raw) % size == 0:
            edges.append(_self_relative(elf, raw, address, size, 2))
    if not edges:
        return NO_JUMPS
    pairs = np.concatenate(edges)
    return Jumps(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))


# Bytes of a struct alt_instr, and where its replacement's length stands in it: since 6.3 with
# 32 bits of feature and flags, before with 16, before 5.13 with a length of padding.
_ALTERNATIVES = ((14, 13), (12, 11), (13, 11))


def replacements(elf: Elf, contents: Contents) -> Replacements:
    """The alternatives of an x86 image; none elsewhere.

    The layout is probed: it is the one by which every entry's replacement lies in
    ``.altinstr_replacement``.
    """
    raw = contents(".altinstructions")
    table, pool = elf.section(".altinstructions"), elf.section(".altinstr_replacement")
    if elf.machine not in (EM_X86_64, EM_386) or table is None or pool is None:
        return NO_REPLACEMENTS
    for size, length_at in _ALTERNATIVES:
        if not len(raw) or len(raw) % size:
            continue
        entries = raw.reshape(-1, size)
        words = np.ascontiguousarray(entries[:, :8]).view(elf.order + "i4").astype(np.int64)
        place = table.address + np.arange(len(entries), dtype=np.uint64) * np.uint64(size)
        with np.errstate(over="ignore"):
            site = place + words[:, 0].view(np.uint64)
            start = place + np.uint64(4) + words[:, 1].astype(np.int64).view(np.uint64)
        end = start + entries[:, length_at]
        inside = (start >= pool.address) & (end <= np.uint64(pool.address + pool.size))
        # A replacement of no bytes (NOPs alone) may have its address anywhere.
        if inside[end > start].all():
            return Replacements(site, start, end)
    return NO_REPLACEMENTS
