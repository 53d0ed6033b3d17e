"""The variables of one function that take stack, read from its debug entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from stackgauge.errors import InputError
from stackgauge.frames.source_files import SourceFiles
from stackgauge.frames.variables import Found, Inlined, Span, Variable
from stackgauge.image.dwarf_bytes import Dwarf
from stackgauge.image.dwarf_cursor import BrokenError
from stackgauge.image.dwarf_entries import (
    AT_ABSTRACT_ORIGIN,
    AT_DECL_FILE,
    AT_DECL_LINE,
    AT_FRAME_BASE,
    AT_NAME,
    AT_SPECIFICATION,
    AT_TYPE,
)
from stackgauge.image.dwarf_function import function_entry
from stackgauge.image.dwarf_locations import locations
from stackgauge.image.dwarf_operations import Evaluator
from stackgauge.image.dwarf_tree import Entry, OneUnit
from stackgauge.image.dwarf_types import aggregate, type_size, type_text

AT_LOCATION = 0x02
AT_CALL_FILE = 0x58
AT_CALL_LINE = 0x59
AT_CALL_RETURN_PC = 0x7D

TAG_FORMAL_PARAMETER = 0x05
TAG_INLINED_SUBROUTINE = 0x1D
TAG_SUBPROGRAM = 0x2E
TAG_VARIABLE = 0x34
# DW_TAG_call_site and its parameters, of DWARF 5 and as GNU had them before.
TAG_CALL_SITES = (0x48, 0x4109)
TAG_CALL_SITE_PARAMETERS = (0x49, 0x410A)

# A clone, its origin, a method's declaration.
_LONGEST_CHAIN = 4


Registers = Callable[[int, int | None], int | None]


def find_variables(dwarf: Dwarf, start: int, end: int, registers: Registers) -> Found:
    """The variables of one function.

    Args:
        dwarf: the image's debug sections.
        start, end: the function's addresses.
        registers: by a register's DWARF number and an address of the code, or None for the
            function's body as a whole: its distance from the CFA there; None: not known.
    """
    try:
        entry, missing = function_entry(dwarf, start, end)
        if entry is None:
            return Found(missing=missing)
        return _Reader(dwarf, entry, registers).all()
    except InputError as error:  # a section that cannot be decompressed or relocated
        return Found(missing=str(error))
    except BrokenError:
        return Found(missing="the debug information of its unit is broken")


@dataclass
class _Draft:
    """A variable while its files are still numbers: (unit, number) pairs in ``files``."""

    name: str
    type: Entry | None
    file: int
    line: int | None
    parameter: bool
    fixed: bool
    inlined: tuple[tuple[str, int, int | None], ...]
    homes: dict[Span, None] = field(default_factory=dict)
    spills: dict[Span, None] = field(default_factory=dict)


class _Reader:
    """Reads the entries below one function's."""

    def __init__(self, dwarf: Dwarf, entry: Entry, registers: Registers) -> None:
        self._dwarf, self._entry, self._registers = dwarf, entry, registers
        self._files: dict[tuple[OneUnit, int], int] = {}
        self._evaluators: dict[int | None, Evaluator] = {}

    def all(self) -> Found:
        """Everything that takes stack."""
        drafts: list[_Draft] = []
        arguments: dict[Span, None] = {}
        missing = ""
        try:
            for entry, inlined, call in self._entries():
                if entry.tag in TAG_CALL_SITE_PARAMETERS:
                    arguments.update(dict.fromkeys(self._argument(entry, call)))
                else:
                    drafts += self._draft(entry, inlined)
        except BrokenError:
            missing = "its debug information is broken: only the first of it could be read"
        names = self._file_names()
        variables = tuple(_variable(draft, names) for draft in drafts)
        return Found(variables, tuple(arguments), missing)

    def _entries(
        self,
    ) -> Iterator[tuple[Entry, tuple[tuple[str, int, int | None], ...], int | None]]:
        """Variables, and arguments of calls: each with what is inlined around it, and the call.

        A loop over the entries of one function, some thousand at most.
        """
        # By depth: what is inlined around entries there, and the call that they are part of.
        around: list[tuple[tuple[tuple[str, int, int | None], ...], int | None]] = [((), None)]
        skipped = -1  # the depth of a nested function's or a type's entry
        for depth, entry in self._entry.unit.below(self._entry):
            if 0 <= skipped < depth:
                continue
            skipped = -1
            del around[depth + 1 :]
            inlined, call = around[depth]
            if entry.tag in (TAG_VARIABLE, TAG_FORMAL_PARAMETER, *TAG_CALL_SITE_PARAMETERS):
                yield entry, inlined, call
            elif entry.tag == TAG_INLINED_SUBROUTINE:
                inlined = (*inlined, self._inlined(entry))
            elif entry.tag in TAG_CALL_SITES:
                call = entry.number(AT_CALL_RETURN_PC) or entry.number(0x11)
            elif entry.tag == TAG_SUBPROGRAM:
                skipped = depth
            around.append((inlined, call))

    def _inlined(self, entry: Entry) -> tuple[str, int, int | None]:
        name = next((each.text(AT_NAME) for each in _origins(entry) if AT_NAME in each.values), "")
        return name, self._file(entry, AT_CALL_FILE), entry.number(AT_CALL_LINE)

    def _file(self, entry: Entry, attribute: int) -> int:
        """Which of the files noted an attribute names; -1 for none."""
        number = entry.number(attribute)
        if number is None:
            return -1
        return self._files.setdefault((entry.unit, number), len(self._files))

    def _file_names(self) -> list[str]:
        source = SourceFiles(self._dwarf)
        names = [""] * len(self._files)
        for unit in {unit for unit, _ in self._files}:
            numbers = {number: at for (of, number), at in self._files.items() if of is unit}
            column = np.minimum(np.array(list(numbers), np.float64), 2**32).astype(np.int64)
            paths = source.of_numbers(unit.units, np.zeros(len(column), np.int64), column)
            for at, path in zip(numbers.values(), paths, strict=True):
                names[at] = path
        return names

    def _draft(
        self, entry: Entry, inlined: tuple[tuple[str, int, int | None], ...]
    ) -> Iterator[_Draft]:
        """The variable of an entry, if it is on the stack at some time."""
        places = [
            place
            for start, end, expression in locations(entry, AT_LOCATION)
            if start is None or start != end
            for place in self._evaluator(start).places(expression)
        ]
        wanders = not places and entry.tag == TAG_VARIABLE and _by_register(entry)
        if not places and not wanders:
            return
        origins = list(_origins(entry))

        def first(attribute: int) -> Entry | None:
            return next((each for each in origins if attribute in each.values), None)

        named, typed, filed, lined = map(first, (AT_NAME, AT_TYPE, AT_DECL_FILE, AT_DECL_LINE))
        kind = typed.reference(AT_TYPE) if typed else None
        draft = _Draft(
            named.text(AT_NAME) if named else "",
            kind,
            self._file(filed, AT_DECL_FILE) if filed else -1,
            lined.number(AT_DECL_LINE) if lined else None,
            entry.tag == TAG_FORMAL_PARAMETER,
            entry.block(AT_LOCATION) is not None,
            inlined,
        )
        size = type_size(kind)
        for place in places:
            bytes_there = size if place.size is None else place.size
            if bytes_there:
                spans = draft.homes if place.home else draft.spills
                spans[Span(place.offset, bytes_there)] = None
        if draft.homes or draft.spills or wanders:
            yield draft

    def _argument(self, entry: Entry, call: int | None) -> Iterator[Span]:
        """Where a call's argument is put, if that is on the stack."""
        if call is None:
            return
        word = self._dwarf.width
        # In front of the call's return address the stack is as it is at the call.
        for _, _, expression in locations(entry, AT_LOCATION):
            for place in self._evaluator(call - 1).places(expression):
                if place.home:
                    yield Span(place.offset, word)

    def _evaluator(self, at: int | None) -> Evaluator:
        if at not in self._evaluators:
            self._evaluators[at] = self._make_evaluator(at)
        return self._evaluators[at]

    def _make_evaluator(self, at: int | None) -> Evaluator:
        def register(number: int) -> int | None:
            return self._registers(number, at)

        order, width = self._dwarf.order, self._dwarf.width
        base = None
        for start, end, expression in locations(self._entry, AT_FRAME_BASE):
            if start is None or end is None or (at is not None and start <= at < end):
                base = Evaluator(order, width, None, register).address(expression)
        return Evaluator(order, width, base, register)


def _by_register(entry: Entry) -> bool:
    """Whether a variable lies where some register points to, all the time."""
    expression = entry.block(AT_LOCATION) or b"\0"
    return 0x70 <= expression[0] < 0x90 and len(expression) == 2


def _origins(entry: Entry) -> Iterator[Entry]:
    """An entry, and those that say the rest of it (DWARF 5, sections 3.3.8.2 and 2.13.2)."""
    following: Entry | None = entry
    for _ in range(_LONGEST_CHAIN):
        if following is None:
            return
        yield following
        following = following.reference(AT_ABSTRACT_ORIGIN) or following.reference(AT_SPECIFICATION)


def _variable(draft: _Draft, files: list[str]) -> Variable:
    """A variable with the names of files, and its type as text."""

    def name(index: int) -> str:
        return files[index] if index >= 0 else ""

    return Variable(
        name=draft.name,
        type=type_text(draft.type),
        size=type_size(draft.type),
        structure=aggregate(draft.type),
        file=name(draft.file),
        line=draft.line or None,
        parameter=draft.parameter,
        inlined=tuple(Inlined(one, name(file), line or None) for one, file, line in draft.inlined),
        fixed=draft.fixed,
        homes=tuple(draft.homes),
        spills=tuple(draft.spills),
    )
