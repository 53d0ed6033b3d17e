"""Branches of an object to what it does not define: a module's calls of its kernel's functions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import EM_386, EM_X86_64, Elf
from stackgauge.image.relocate import RELOCATIONS, Relocation, entries
from stackgauge.image.symbols import NO_SECTION, STT_SECTION, Symbols

# Of x86, whose instructions have no fields of some bits: PC32 and PLT32, in both ABIs.
_X86_DISTANCES = (2, 4)


class Outside(NamedTuple):
    """Columns of one length, by ascending address.

    Attributes:
        address: where the branch is, at or before its field; uint64.
        symbol: row of the symbol that it names, int64.
    """

    address: NDArray[np.uint64]
    symbol: NDArray[np.int64]


def branches_outside(elf: Elf, symbols: Symbols) -> Outside:
    """The relocations of branches against symbols that are not defined.

    Those of x86 may be of data as well: which instruction each is in says so.

    Args:
        elf: the object; a linked image has no such branches.
        symbols: those of its symbol table.

    Raises:
        InputError: a relocation names a symbol that does not exist.
    """
    kinds = RELOCATIONS.get(elf.machine, {}) if elf.relocatable else {}
    x86 = elf.machine in (EM_386, EM_X86_64)
    # By type, where the branch begins, in bytes from the relocation's place; else -1.
    ahead = np.full(512, -1, np.int64)
    for number, kind in kinds.items():
        if number in _X86_DISTANCES if x86 else _is_branch(kind):
            # The second of two instructions is the one that branches.
            ahead[number] = 4 if kind.size == 8 else 0
    undefined = (symbols.section == NO_SECTION) & (symbols.value == 0)
    undefined &= symbols.type != STT_SECTION
    addresses, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    # Loops over the sections of code, a few dozen at most of a module.
    for section in elf.executable.tolist() if kinds else []:
        for table in elf.relocation_tables.get(section, []):
            found = entries(elf, symbols, table)
            found = found.take(undefined[found.symbol] & (found.type < len(ahead)))
            found = found.take(ahead[found.type] >= 0)
            base = np.uint64(int(elf.headers["addr"][section]))
            addresses.append(base + found.place + ahead[found.type].astype(np.uint64))
            rows.append(found.symbol.astype(np.int64))
    address, row = np.concatenate(addresses), np.concatenate(rows)
    order = np.argsort(address, kind="stable")
    return Outside(address[order], row[order])


def _is_branch(kind: Relocation) -> bool:
    """Whether a relocation changes some bits of an instruction, as those of branches alone do."""
    return bool(kind.bits or kind.parts) and not kind.sign
