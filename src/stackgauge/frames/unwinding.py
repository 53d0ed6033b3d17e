"""How one function's frame is unwound, instruction by instruction, registers and all.

The call frame information of the one function is executed here one instruction after the other,
with the rules of all registers; ``evidence.cfi`` does so for the CFA alone and all functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from stackgauge.errors import InputError
from stackgauge.evidence.cfi_entries import Entries, Place, Programs, read_entries
from stackgauge.evidence.cfi_programs import NO_REGISTER
from stackgauge.image.dwarf_bytes import Reader
from stackgauge.image.dwarf_cursor import BrokenError, Cursor
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes

_SECTIONS = (".debug_frame", ".eh_frame")

# Instructions of one function; thousands of times what any has.
_MOST_INSTRUCTIONS = 1 << 16


# The number under which a state keeps where the caller's stack pointer was saved.
CALLER_SP = -2


class Rule(NamedTuple):
    """Where a value was saved: ``offset`` from a register's value, or from the CFA."""

    register: int
    offset: int


@dataclass(frozen=True)
class State:
    """What holds from ``start`` to before ``end``.

    Attributes:
        register: DWARF number of the register that the CFA is counted from; NO_REGISTER where an
            expression tells the CFA, since the function has aligned its stack.
        offset: the CFA less that register.
        saved: by register, where its caller's value lies; a rule's register is NO_REGISTER where
            it counts from the CFA.
    """

    start: int
    end: int
    register: int
    offset: int
    saved: dict[int, Rule]


class Unwinding:
    """The call frame information of an image, of which one function after the other is asked."""

    def __init__(self, elf: Elf, contents: Callable[[str | int], Bytes]) -> None:
        """Take an image; ``contents`` gives a section's bytes, relocated in an object."""
        self._elf, self._contents = elf, contents
        self._sections: dict[str, Entries | None] = {}

    def states(self, pieces: list[tuple[int, int]]) -> list[State]:
        """The states of a function's code, by ascending address; none where nothing tells.

        Args:
            pieces: addresses of the function's stretches, (start, end).
        """
        for name in _SECTIONS:
            entries = self._entries(name)
            if entries is not None:
                found = [state for start, end in pieces for state in _of_range(entries, start, end)]
                if found:
                    return sorted(found, key=lambda state: state.start)
        return []

    def _entries(self, name: str) -> Entries | None:
        if name not in self._sections:
            self._sections[name] = self._read(name)
        return self._sections[name]

    def _read(self, name: str) -> Entries | None:
        """A section's entries; None where it is not there, or broken as a whole."""
        section = self._elf.section(name)
        try:
            raw = self._contents(name)
            if section is None or not len(raw):
                return None
            where, eh = f"{self._elf.where}: {name}", name == ".eh_frame"
            place = Place(where, section.address, self._elf.bits, eh)
            return read_entries(Reader(raw, self._elf.order), place)
        except InputError:
            return None


def _of_range(entries: Entries, start: int, end: int) -> list[State]:
    """The states of the FDEs in a range; of one that is broken none."""
    inside = (entries.start < np.uint64(end)) & (entries.end > np.uint64(start))
    states = []
    for index in np.flatnonzero(inside).tolist():
        try:
            states += _executed(entries, index)
        except BrokenError:
            continue
    return states


@dataclass
class _Machine:
    """The state while instructions are executed."""

    at: int
    register: int = NO_REGISTER
    offset: int = 0
    saved: dict[int, Rule] = field(default_factory=dict)
    initial: dict[int, Rule] = field(default_factory=dict)
    remembered: list[tuple[int, int, dict[int, Rule]]] = field(default_factory=list)


def _executed(entries: Entries, index: int) -> list[State]:
    """The states of one FDE."""
    cie, first, end = int(entries.cie[index]), int(entries.start[index]), int(entries.end[index])
    machine = _Machine(first)
    _execute(entries.cies, cie, machine)
    machine.at, machine.initial = first, dict(machine.saved)
    states = _execute(entries.fdes, index, machine)
    states.append(State(machine.at, end, machine.register, machine.offset, dict(machine.saved)))
    return [state for state in states if state.start < state.end <= end]


def _execute(programs: Programs, index: int, machine: _Machine) -> list[State]:
    """Execute one program; the states that ended while it ran. A loop over one function's."""
    code = programs.bytes
    start, end = int(programs.start[index]), int(programs.end[index])
    read = Cursor(code.data.data, start, end, code.order)
    by, times = int(programs.code_factor[index]), int(programs.data_factor[index])
    states = []
    for _ in range(_MOST_INSTRUCTIONS):
        if not read.more:
            break
        op = read.byte()
        step = _advance(op, read)
        if step is None:
            _step(op, read, machine, times)
        elif step:
            after = machine.at + step * by
            states.append(
                State(machine.at, after, machine.register, machine.offset, dict(machine.saved))
            )
            machine.at = after
    return states


def _advance(op: int, read: Cursor) -> int | None:
    """How far an instruction advances; None of one that does something else (DWARF 5, 6.4.2.1)."""
    if op & 0xC0 == 0x40:
        return op & 0x3F
    size = {0x02: 1, 0x03: 2, 0x04: 4, 0x1D: 8}.get(op)
    return None if size is None else read.number(size)


def _step(op: int, read: Cursor, machine: _Machine, factor: int) -> None:
    saved = machine.saved
    if op >= 0xC0 or op == 0x06:  # restore, restore_extended
        register = op & 0x3F if op >= 0xC0 else read.leb()
        _set(saved, register, machine.initial.get(register))
    elif op >= 0x80:  # offset
        saved[op & 0x3F] = Rule(NO_REGISTER, read.leb() * factor)
    elif op in (0x05, 0x11, 0x2F):  # offset_extended, ..._sf, GNU_negative_offset_extended
        register, amount = read.leb(), read.leb(signed=op == 0x11)
        saved[register] = Rule(NO_REGISTER, amount * (-factor if op == 0x2F else factor))
    elif op in (0x07, 0x08):  # undefined, same_value
        _set(saved, read.leb(), None)
    elif op in (0x09, 0x14, 0x15):  # register, val_offset, val_offset_sf: not on the stack
        _set(saved, read.leb(), None)
        read.leb()
    elif op in (0x10, 0x16):  # expression, val_expression
        register, expression = read.leb(), read.block()
        _set(saved, register, _based(expression, read) if op == 0x10 else None)
    elif op == 0x0A:
        machine.remembered.append((machine.register, machine.offset, dict(saved)))
    elif op == 0x0B:
        if not machine.remembered:
            raise BrokenError
        machine.register, machine.offset, machine.saved = machine.remembered.pop()
    elif op == 0x0F:
        # GCC's, where it aligns the stack: the CFA was saved below the frame pointer.
        expression = read.block()
        machine.register = NO_REGISTER
        if expression.endswith(b"\x06"):
            _set(saved, CALLER_SP, _based(expression[:-1], read))
    else:
        _step_cfa(op, read, machine, factor)


def _step_cfa(op: int, read: Cursor, machine: _Machine, factor: int) -> None:
    if op in (0x0C, 0x12):  # def_cfa, def_cfa_sf
        machine.register = read.leb()
        machine.offset = read.leb() if op == 0x0C else read.leb(signed=True) * factor
    elif op == 0x0D:
        machine.register = read.leb()
    elif op in (0x0E, 0x13):  # def_cfa_offset, ..._sf
        machine.offset = read.leb() if op == 0x0E else read.leb(signed=True) * factor
    elif op == 0x2E:  # GNU_args_size
        read.leb()
    elif op not in (0x00, 0x2C, 0x2D):  # nop; AArch64's signing of return addresses
        raise BrokenError


def _set(saved: dict[int, Rule], register: int, rule: Rule | None) -> None:
    """Set a register's rule, or that it has none."""
    if rule is None:
        saved.pop(register, None)
    else:
        saved[register] = rule


def _based(expression: bytes, read: Cursor) -> Rule | None:
    """The rule of an expression that is one DW_OP_bregN."""
    inner = Cursor(expression, 0, len(expression), read.order)
    operation = inner.byte()
    if not 0x70 <= operation < 0x90:
        return None
    rule = Rule(operation - 0x70, inner.leb(signed=True))
    return None if inner.more else rule
