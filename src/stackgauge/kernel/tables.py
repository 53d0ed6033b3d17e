"""Control flow that stands in the kernel's tables instead of in its code.

A faulting instruction goes to its fixup (``__ex_table``, arch/*/include/asm/extable.h), a static
branch is a NOP that may become a jump (``__jump_table``, include/linux/jump_label.h), and
instructions may be replaced at boot (``.altinstructions``, asm/alternative.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import EM_386, EM_AARCH64, EM_RISCV, EM_X86_64, Elf, Section
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import Symbols
from stackgauge.kernel.hidden_jumps import hidden_jumps

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


def _is_kernel(elf: Elf) -> bool:
    return not elf.relocatable and elf.section(".init.text") is not None


def _self_relative(
    elf: Elf, raw: Bytes, address: int, size: int, fields: int
) -> NDArray[np.uint64]:
    """The first ``fields`` 32-bit words of each entry, each relative to its own address."""
    count = len(raw) // size
    entries = raw[: count * size].reshape(count, size)[:, : 4 * fields]
    words = np.ascontiguousarray(entries).view(elf.order + "i4")
    place = np.arange(count, dtype=np.int64)[:, None] * size + 4 * np.arange(fields)
    base = np.array(address, np.uint64).view(np.int64)
    with np.errstate(over="ignore"):
        return (words.astype(np.int64) + place + base).view(np.uint64)


class _Layout(NamedTuple):
    """How a table's entries begin: with two addresses, each relative to where it stands or not.

    Attributes:
        size: bytes of an entry.
        relative: whether the two are 32 bits relative to themselves, or else whole addresses.
    """

    size: int
    relative: bool


def _layouts(elf: Elf, name: str) -> list[_Layout]:
    """The layouts that a table may have.

    An entry of the exception table may have a handler or a type behind its two addresses, which
    x86 always has; one of static branches has a key (include/linux/jump_label.h).
    """
    word = elf.bits // 8
    if name == "__jump_table":
        return [_Layout(8 + word, relative=True), _Layout(3 * word, relative=False)]
    if elf.machine in (EM_X86_64, EM_386):
        return [_Layout(12, relative=True)]
    return [
        _Layout(8, relative=True),
        _Layout(12, relative=True),
        _Layout(2 * word, relative=False),
    ]


def _entries(elf: Elf, raw: Bytes, address: int, layout: _Layout) -> NDArray[np.uint64]:
    """The two addresses of each entry, (n, 2); none where the layout does not fit the table."""
    if len(raw) % layout.size:
        return np.zeros((0, 2), np.uint64)
    if layout.relative:
        return _self_relative(elf, raw, address, layout.size, 2)
    words = raw.view(f"{elf.order}u{elf.bits // 8}").reshape(-1, layout.size // (elf.bits // 8))
    return words[:, :2].astype(np.uint64)


def _in_code(elf: Elf, addresses: Addresses) -> NDArray[np.bool_]:
    """Which addresses lie in a section of code."""
    start = elf.headers["addr"][elf.executable].astype(np.uint64)
    end = start + elf.headers["size"][elf.executable].astype(np.uint64)
    at = np.searchsorted(start, addresses, side="right") - 1
    inside: NDArray[np.bool_] = (at >= 0) & (addresses < np.append(end, np.uint64(0))[at])
    return inside


def table_jumps(elf: Elf, symbols: Symbols, contents: Contents) -> Jumps:
    """The edges of the exception table and of the static branches.

    The tables' layouts differ between architectures and releases, so they are probed: a table has
    the one by which most of its entries lead from code to code.

    Args:
        elf: the image; ``contents`` gives a section's bytes, relocated where it is an object.
        symbols: used where the tables have no section of their own.
        contents: section name to bytes.

    Returns:
        Both tables' edges; none where the image has no such tables or they are not understood.
    """
    pairs = [
        _pairs(elf, symbols, contents, "__ex_table"),
        _pairs(elf, symbols, contents, "__jump_table"),
    ]
    source, target = np.concatenate(pairs).T
    return Jumps(np.ascontiguousarray(source), np.ascontiguousarray(target))


def faulting_places(elf: Elf, symbols: Symbols, contents: Contents) -> Addresses:
    """The instructions that may fault and go on at a fixup, by the exception table; (n,)."""
    return np.ascontiguousarray(_pairs(elf, symbols, contents, "__ex_table")[:, 0])


def _pairs(elf: Elf, symbols: Symbols, contents: Contents, name: str) -> NDArray[np.uint64]:
    """A table's edges, (n, 2), by the layout that fits it; none where there is no such."""
    raw, address = _table(elf, symbols, contents, name)
    if not len(raw) and name == "__jump_table" and _is_kernel(elf):
        return hidden_jumps(elf)
    # Two or three layouts each.
    for layout in _layouts(elf, name):
        pairs = _entries(elf, raw, address, layout)
        sound = _in_code(elf, pairs.reshape(-1)).reshape(-1, 2).all(axis=1)
        if 2 * int(sound.sum()) > len(pairs):
            return pairs[sound]
    return np.zeros((0, 2), np.uint64)


# Bytes of a struct alt_instr, and where its replacement's length stands in it: since 6.3 with
# 32 bits of feature and flags, before with 16, before 5.13 with a length of padding.
_ALTERNATIVES = ((14, 13), (12, 11), (13, 11))


def replacements(elf: Elf, contents: Contents) -> Replacements:
    """The alternatives of an x86, arm64 or RISC-V image; none elsewhere."""
    name = ".alternative" if elf.machine == EM_RISCV else ".altinstructions"
    raw, table = contents(name), elf.section(name)
    if table is None or not len(raw):
        return NO_REPLACEMENTS
    if elf.machine in (EM_X86_64, EM_386):
        return _x86_replacements(elf, raw, table)
    if elf.machine == EM_AARCH64:
        return _arm64_callbacks(elf, raw, table)
    if elf.machine == EM_RISCV:
        return _riscv_replacements(elf, raw, table)
    return NO_REPLACEMENTS


def _x86_replacements(elf: Elf, raw: Bytes, table: Section) -> Replacements:
    """The layout is probed: that by which all replacements lie in ``.altinstr_replacement``."""
    pool = elf.section(".altinstr_replacement")
    for size, length_at in _ALTERNATIVES:
        if len(raw) % size or pool is None:
            continue
        words = _self_relative(elf, raw, table.address, size, 2)
        site, start = words[:, 0], words[:, 1]
        end = start + raw.reshape(-1, size)[:, length_at]
        inside = (start >= pool.address) & (end <= np.uint64(pool.address + pool.size))
        # A replacement of no bytes (NOPs alone) may have its address anywhere.
        if inside[end > start].all():
            return Replacements(site, start, end)
    return NO_REPLACEMENTS


def _arm64_callbacks(elf: Elf, raw: Bytes, table: Section) -> Replacements:
    """Where a callback patches an arm64 image: it may make a branch a NOP.

    struct alt_instr of arch/arm64/include/asm/alternative.h; a replacement of no bytes stands for
    a callback. The others never touch the stack: they are barriers, system registers and PAC.
    """
    size, length_at = 12, 11
    if len(raw) % size:
        return NO_REPLACEMENTS
    callback = raw.reshape(-1, size)[:, length_at] == 0
    site = _self_relative(elf, raw, table.address, size, 1)[callback, 0]
    return Replacements(site, site, site)


def _riscv_replacements(elf: Elf, raw: Bytes, table: Section) -> Replacements:
    """Struct alt_entry of arch/riscv/include/asm/alternative.h, since 6.3.

    The replacements stand behind the functions of each source file; many a one is a jump.
    """
    size, length_at = 16, 10
    if len(raw) % size:
        return NO_REPLACEMENTS
    words = _self_relative(elf, raw, table.address, size, 2)
    lengths = raw.view(elf.order + "u2").reshape(-1, size // 2)[:, length_at // 2]
    # Code that runs before the kernel is mapped (``.init.pi``) may lie among data.
    sound = _in_code(elf, words.reshape(-1)).reshape(-1, 2).all(axis=1)
    site, start = words[sound].T
    return Replacements(site, start, start + lengths[sound])
