"""Source files by their numbers in a unit, and units by their own, as paths."""

from __future__ import annotations

import numpy as np

from stackgauge.frames.source_paths import SourceTree
from stackgauge.image.dwarf_bytes import Dwarf, Positions
from stackgauge.image.dwarf_declared import Declared
from stackgauge.image.dwarf_entries import AT_COMP_DIR, AT_NAME, AT_STMT_LIST
from stackgauge.image.dwarf_files import FileTable, read_file_table
from stackgauge.image.dwarf_units import Units

_LARGEST_NUMBER = (1 << 32) - 1


class SourceFiles:
    """Names files; keeps the tables that it has read."""

    def __init__(self, dwarf: Dwarf) -> None:
        """Speak of the source files of one image."""
        self._dwarf = dwarf
        self._tree = SourceTree(dwarf)
        self._tables: dict[int, FileTable | None] = {}
        # Tables do not overlap: in a section that is not broken, this is enough for all of them.
        self._unread = len(dwarf.line)

    def of_units(self, units: Units, which: Positions) -> list[str]:
        """The file that each unit was compiled from; empty for -1."""
        unique, of = np.unique(which, return_inverse=True)
        inside = unique[unique >= 0]
        compilations, names = (units.root_texts(a, inside) for a in (AT_COMP_DIR, AT_NAME))
        paths = [""] * (len(unique) - len(inside))
        paths += [
            self._tree.path(compilation, "", name)
            for compilation, name in zip(compilations, names, strict=True)
        ]
        return [paths[index] for index in of.tolist()]

    def of_functions(self, told: Declared) -> list[str]:
        """The file that each function is declared in; empty where not known."""
        return self.of_numbers(told.units, told.file_unit, told.file)

    def of_numbers(self, units: Units, unit: Positions, file: Positions) -> list[str]:
        """The files of some numbers in some units' tables; empty for a unit of -1."""
        pairs = (unit << 32) + np.clip(file, 0, _LARGEST_NUMBER)
        unique, of = np.unique(pairs, return_inverse=True)
        known = unique[unique >= 0]
        inside, of_unit = np.unique(known >> 32, return_inverse=True)
        compilations = units.root_texts(AT_COMP_DIR, inside)
        lines = units.roots[AT_STMT_LIST].take(inside)
        at, there = lines.value.tolist(), lines.there.tolist()
        paths = [""] * (len(unique) - len(known))
        # One look-up for each file of a unit that has a function.
        for row, number in zip(of_unit.tolist(), (known & _LARGEST_NUMBER).tolist(), strict=True):
            table = self._table(at[row]) if there[row] else None
            directory, name = table.name(number) if table else ("", "")
            paths.append(self._tree.path(compilations[row], directory, name))
        return [paths[index] for index in of.tolist()]

    def _table(self, at: int) -> FileTable | None:
        if at not in self._tables:
            table = read_file_table(self._dwarf, at, self._unread)
            self._tables[at] = table
            self._unread -= table.size if table else 0
        return self._tables[at]
