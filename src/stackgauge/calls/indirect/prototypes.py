"""Which prototype each function has, and which registers its arguments come in."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.layout import UNKNOWN, Layouts
from stackgauge.frames.functions import Functions
from stackgauge.image.btf import Btf, BtfKind
from stackgauge.image.symbols import STT_FUNC, Strings

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

_UNIT = np.uint64(0x9E3779B97F4A7C15)

# Pointers that a prototype is looked through.
_TURNS = 3

# Pointers to pointers; none of the kernel's go deeper.
_DEEPEST = 6

# An argument that does not fit into two registers is passed in memory (x86-64 psABI, 3.2.3; of
# arm64, where a pointer to it is passed, AAPCS64, 6.8.2, the kernel has none).
_TWO_REGISTERS = 16


def function_prototypes(btf: Btf, functions: Functions) -> Numbers:
    """The prototype of each function; UNKNOWN where its name or its aliases tell none or several.

    Names that several functions have tell nothing: BTF has one of them.
    """
    # Of a module those whose name is its own, and not among its kernel's strings.
    rows = np.flatnonzero((btf.kind == BtfKind.FUNC) & (btf.name >= btf.names_before))
    name = btf.name[rows] - btf.names_before
    symbols = functions.symbols
    some = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.section >= 0))
    place = np.minimum(np.searchsorted(functions.start, symbols.value[some]), len(functions) - 1)
    met = functions.start[place] == symbols.value[some]
    some, place = some[met], place[met]
    prints, symbol_prints = (
        _prints(strings, offset)
        for strings, offset in (
            (btf.strings, name),
            (symbols.strings, symbols.name[some]),
        )
    )
    # One prototype for a name, and one function.
    own, prototype = _one_each(prints, btf.type[rows])
    called, at = _one_each(symbol_prints, place)
    index = np.minimum(np.searchsorted(own, called), max(len(own) - 1, 0))
    same = np.flatnonzero(own[index] == called) if len(own) else np.zeros(0, np.intp)
    index, at = index[same], at[same]
    # A fingerprint is not quite the name: what looks alike is compared.
    _, first = np.unique(prints, return_index=True)
    _, symbol = np.unique(symbol_prints, return_index=True)
    texts = btf.strings.slices(name[first[index]])
    named = symbols.strings.slices(symbols.name[some[symbol[same]]])
    alike = np.array([a == b for a, b in zip(texts, named, strict=True)], bool)
    alike &= (at >= 0) & (prototype[index] > 0)
    at, found = at[alike], prototype[index[alike]]
    # The function's aliases must agree.
    least, most = np.full(len(functions), 1 << 60), np.zeros(len(functions), np.int64)
    np.minimum.at(least, at, found)
    np.maximum.at(most, at, found)
    return np.where(least == most, most, UNKNOWN)


def _prints(strings: Strings, offset: Numbers) -> NDArray[np.uint64]:
    """Numbers that are equal for equal strings, and hardly ever for others."""
    raw = np.frombuffer(strings.raw + b"\0" * 8, np.uint8)
    words = np.ndarray(len(raw) - 7, np.dtype("<u8"), raw.data, 0, (1,))
    left = strings.ends(offset) - offset
    value, at, live = left.astype(np.uint64), offset.copy(), np.arange(len(offset))
    # One round for every eight bytes of the longest name.
    while len(live):
        cut = (8 - np.minimum(left[live], 8)).astype(np.uint64) * np.uint64(8)
        word = words[at[live]] << np.minimum(cut, np.uint64(63))
        value[live] = mixed(value[live] + word)
        at[live] += 8
        left[live] -= 8
        live = live[left[live] > 0]
    return value


def _one_each(key: NDArray[np.uint64], value: Numbers) -> tuple[NDArray[np.uint64], Numbers]:
    """The distinct keys, ascending, and the value of each; -1 where it has several."""
    distinct, of = np.unique(key, return_inverse=True)
    least, most = np.full(len(distinct), 1 << 60), np.full(len(distinct), -1)
    np.minimum.at(least, of, value)
    np.maximum.at(most, of, value)
    return distinct, np.where(least == most, least, -1)


class Prototypes:
    """Looks arguments and results up in prototypes."""

    def __init__(self, layouts: Layouts) -> None:
        """Take types."""
        self.layouts = layouts
        self.btf = layouts.btf

    def result(self, prototype: Numbers) -> Numbers:
        """What the pointer that each prototype returns leads to; UNKNOWN where it returns none."""
        btf = self.btf
        returned = btf.plain[btf.type[np.where(self._is(prototype), prototype, 0)]]
        return self._pointee(returned)

    def argument(self, prototype: Numbers, register: Numbers) -> Numbers:
        """What the pointer in an argument's register leads to; UNKNOWN where it is no pointer.

        Args:
            prototype: FUNC_PROTO types, or UNKNOWN.
            register: which of the argument registers, from 0 on.
        """
        key, pointee = self._arguments
        wanted = prototype * 16 + register
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        if not len(key):
            return np.zeros(len(prototype), np.int64)
        return np.where((key[at] == wanted) & (prototype > 0), pointee[at], UNKNOWN)

    def _is(self, type_: Numbers) -> NDArray[np.bool_]:
        is_one: NDArray[np.bool_] = self.btf.kind[type_] == BtfKind.FUNC_PROTO
        return is_one

    def _pointee(self, plain: Numbers) -> Numbers:
        btf = self.btf
        return np.where(btf.kind[plain] == BtfKind.PTR, btf.plain[btf.type[plain]], UNKNOWN)

    @cached_property
    def _arguments(self) -> tuple[Numbers, Numbers]:
        """Pointers among the arguments: prototype and register as one ascending number, pointee."""
        btf, parameters = self.btf, self.btf.parameters
        owner = np.repeat(np.arange(len(btf)), np.diff(parameters.first))
        plain = btf.plain[parameters.type]
        size = self.layouts.size[plain]
        registers = np.where(size > _TWO_REGISTERS, 0, np.where(size > 8, 2, 1))
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(registers)])
        register = before[:-1] - before[parameters.first[owner]]
        kept = (btf.kind[plain] == BtfKind.PTR) & (register < 16)
        key = owner * 16 + register
        return key[kept], self._pointee(plain)[kept]

    @cached_property
    def turns(self) -> list[NDArray[np.uint64]]:
        """What each type amounts to: by itself, and looked at one pointer further each turn.

        Structures are told by name, pointers by what they lead to, prototypes by their arguments
        and results; qualifiers are left out. What the last turn does not see is left out as well:
        that tells more than kCFI's hashes need.
        """
        btf, plain = self.btf, self.btf.plain
        value = mixed(self.layouts.first_named[plain].astype(np.uint64))
        pointers = np.flatnonzero(btf.kind == BtfKind.PTR)
        rows = np.flatnonzero(btf.kind == BtfKind.FUNC_PROTO)
        result = [value]
        for _ in range(_TURNS):
            value = value.copy()
            value[pointers] = of_pointers(value[plain[btf.type[pointers]]])
            arguments = self._of_arguments(value)[rows]
            value[rows] = of_prototypes(arguments, value[plain[btf.type[rows]]])
            result.append(value)
        return result

    @cached_property
    def by_name(self) -> dict[tuple[int, bytes], int]:
        """The first type of each kind and name; a declaration alone counts as a structure."""
        btf = self.btf
        named = np.flatnonzero((btf.name > 0) & ~np.isin(btf.kind, (BtfKind.FUNC, BtfKind.VAR)))
        rows = named[self.layouts.first_named[named] == named]
        kind = np.where(btf.kind[rows] == BtfKind.FWD, BtfKind.STRUCT, btf.kind[rows])
        # Names have to be compared whole.
        keys = zip(kind.tolist(), btf.strings.slices(btf.name[rows]), strict=True)
        return dict(zip(keys, rows.tolist(), strict=True))

    @cached_property
    def shape(self) -> Numbers:
        """A number for each prototype, equal for those that C would call alike; of others 0."""
        return self._numbers(self.turns[-1])

    @cached_property
    def coarse(self) -> Numbers:
        """The same by what debug information tells of arguments as well: see ``coarse_shapes``."""
        btf, plain = self.btf, self.btf.plain
        here, depth = plain.copy(), np.zeros(len(btf), np.int64)
        for _ in range(_DEEPEST):
            through = btf.kind[here] == BtfKind.PTR
            depth += through
            here = np.where(through, plain[btf.type[here]], here)
        value = coarse_values(
            (btf.kind[here] == BtfKind.STRUCT) | (btf.kind[here] == BtfKind.UNION),
            btf.kind[here] == BtfKind.FUNC_PROTO, depth, self.layouts.first_named[here],
        )  # fmt: skip
        return self._numbers(self._of_arguments(value))

    def _of_arguments(self, value: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """What the types of each type's arguments amount to, given a number for each type."""
        btf, parameters = self.btf, self.btf.parameters
        owner = np.repeat(np.arange(len(btf)), np.diff(parameters.first))
        place = np.arange(len(owner)) - parameters.first[owner]
        return sum_of_arguments(owner, place, value[btf.plain[parameters.type]], len(btf))

    def _numbers(self, value: NDArray[np.uint64]) -> Numbers:
        return np.where(self.btf.kind == BtfKind.FUNC_PROTO, as_number(value), 0)


def of_pointers(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What pointers to types amount to."""
    return mixed(value + _UNIT)


def of_prototypes(
    arguments: NDArray[np.uint64], returned: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """What prototypes amount to, by what their arguments and results do."""
    return mixed(arguments + returned)


def as_number(value: NDArray[np.uint64]) -> Numbers:
    """Numbers above 0."""
    number: Numbers = (value >> np.uint64(1)).astype(np.int64) | 1
    return number


def coarse_values(
    composite: NDArray[np.bool_], function: NDArray[np.bool_], depth: Numbers, type_: Numbers
) -> NDArray[np.uint64]:
    """A number for each type of an argument, from what debug information and BTF both tell.

    Args:
        composite: whether it is a structure or union, or pointers to one.
        function: whether it is pointers to a function.
        depth: how many pointers.
        type_: the structure's first like-named type.
    """
    value = np.where(composite, type_ + 2, np.where(function, 1, 0)) * 64 + depth
    return mixed(value.astype(np.uint64))


def sum_of_arguments(
    owner: Indices, place: Numbers, value: NDArray[np.uint64], count: int
) -> NDArray[np.uint64]:
    """One number for the arguments of each of ``count`` functions, whatever their order here."""
    total = np.zeros(count, np.uint64)
    np.add.at(total, owner, mixed(value + (place.astype(np.uint64) + np.uint64(1)) * _UNIT))
    return total


def mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Well-spread 64-bit numbers, equal for equal ones (the finalizer of MurmurHash3)."""
    value = (value ^ value >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ value >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ value >> np.uint64(33)
