"""Types as C writes them, their sizes, and what structures consist of (DWARF 5, chapter 5)."""

from __future__ import annotations

from typing import NamedTuple

from stackgauge.image.dwarf_entries import AT_NAME, AT_TYPE
from stackgauge.image.dwarf_tree import Entry

AT_BYTE_SIZE = 0x0B
_AT_COUNT = 0x37
_AT_DATA_MEMBER_LOCATION = 0x38
_AT_DATA_BIT_OFFSET = 0x6B
_AT_UPPER_BOUND = 0x2F

_ARRAY, _ENUMERATION, _MEMBER, _POINTER, _STRUCTURE = 0x01, 0x04, 0x0D, 0x0F, 0x13
_SUBROUTINE, _TYPEDEF, _UNION, _SUBRANGE, _CLASS = 0x15, 0x16, 0x17, 0x21, 0x02
_FORMAL_PARAMETER, _ENUMERATION_COUNT = 0x05, 0x28

_AGGREGATES = {_STRUCTURE: "struct", _UNION: "union", _CLASS: "class"}
_TAGGED = {**_AGGREGATES, _ENUMERATION: "enum"}
_QUALIFIERS = {0x26: "const", 0x35: "volatile", 0x37: "restrict", 0x47: "_Atomic"}
_REFERENCES = {_POINTER: "*", 0x10: "&", 0x42: "&&"}

# How far types are followed; no programmer nests them deeper.
_DEEPEST = 32
# No variable of a function, nor a structure's member, is as large as this.
_TOO_LARGE = 1 << 40
# DW_AT_upper_bound of an array without a length, in four bytes and in eight.
_NO_BOUNDS = (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF, -1)


class Member(NamedTuple):
    """A member of a structure.

    Attributes:
        name: empty for an anonymous structure or union.
        offset: bytes from the structure's beginning.
        size: bytes; None where not known. Of a bit-field, those that it shares.
        type: as C writes it.
    """

    name: str
    offset: int
    size: int | None
    type: str


def type_size(entry: Entry | None) -> int | None:
    """Bytes of a value of a type; None where that is not known, or not before run time."""
    factor = 1
    for _ in range(_DEEPEST):
        if entry is None:
            return None
        size = entry.number(AT_BYTE_SIZE)
        if size is None and entry.tag in _REFERENCES:
            size = entry.unit.tree.dwarf.width
        if size is not None:
            return size * factor if 0 <= size * factor < _TOO_LARGE else None
        if entry.tag == _ARRAY:
            for length in _lengths(entry):
                if length is None:
                    return None
                factor *= length
        entry = entry.reference(AT_TYPE)
    return None


def _lengths(array: Entry) -> list[int | None]:
    """How many elements each dimension has; None where the code decides or nothing says so."""
    lengths: list[int | None] = []
    for part in array.unit.children(array):
        if part.tag not in (_SUBRANGE, _ENUMERATION_COUNT):
            continue
        count, last = part.number(_AT_COUNT), part.number(_AT_UPPER_BOUND)
        if count is None and last is not None:
            count = 0 if last in _NO_BOUNDS else last + 1
        lengths.append(count)
    return lengths


def type_text(entry: Entry | None) -> str:
    """A type as C writes it; an anonymous structure is ``struct {...}``."""
    return _declared(entry, "", 0)


def _declared(entry: Entry | None, declarator: str, depth: int) -> str:
    """C's declaration of ``declarator``, which is empty, or what stands right of the type."""
    if entry is None:
        return _joined("void", declarator)
    if depth >= _DEEPEST:
        return _joined("...", declarator)
    target, deeper = entry.reference(AT_TYPE), depth + 1
    if entry.tag in _QUALIFIERS:
        word = _QUALIFIERS[entry.tag]
        if target is not None and target.tag in _REFERENCES:
            return _declared(target, _joined(word, declarator), deeper)
        return f"{word} {_declared(target, declarator, deeper)}"
    if entry.tag in _REFERENCES:
        pointer = _REFERENCES[entry.tag] + declarator
        if target is not None and target.tag in (_ARRAY, _SUBROUTINE):
            pointer = f"({pointer})"
        return _declared(target, pointer, deeper)
    if entry.tag == _ARRAY:
        bounds = "".join(f"[{length or ''}]" for length in _lengths(entry))
        return _declared(target, declarator + (bounds or "[]"), deeper)
    if entry.tag == _SUBROUTINE:
        # Parameters of a parameter are left out, so that the text stays bounded.
        parameters = [
            "..." if depth >= _DEEPEST // 2 else _declared(child, "", deeper + _DEEPEST // 2)
            for child in _parameters(entry)
        ]
        return _declared(target, f"{declarator}({', '.join(parameters) or 'void'})", deeper)
    name = entry.text(AT_NAME)
    if entry.tag in _TAGGED:
        name = f"{_TAGGED[entry.tag]} {name or '{...}'}"
    return _joined(name or "?", declarator)


def _parameters(function: Entry) -> list[Entry | None]:
    """The types of a function type's parameters."""
    children = function.unit.children(function)
    return [child.reference(AT_TYPE) for child in children if child.tag == _FORMAL_PARAMETER]


def _joined(base: str, declarator: str) -> str:
    if not declarator:
        return base
    return base + declarator if declarator[0] == "[" else f"{base} {declarator}"


def aggregate(entry: Entry | None) -> Entry | None:
    """The structure or union that a type is, or that the elements of an array are."""
    for _ in range(_DEEPEST):
        if entry is None or entry.tag in _AGGREGATES:
            return entry
        if entry.tag not in _QUALIFIERS and entry.tag not in (_TYPEDEF, _ARRAY):
            return None
        entry = entry.reference(AT_TYPE)
    return None


def members(structure: Entry) -> list[Member]:
    """The members of a structure or union, in its order."""
    found = []
    for part in structure.unit.children(structure):
        if part.tag != _MEMBER:
            continue
        offset = part.number(_AT_DATA_MEMBER_LOCATION)
        if offset is None:
            offset = (part.number(_AT_DATA_BIT_OFFSET) or 0) // 8
        kind = part.reference(AT_TYPE)
        found.append(Member(part.text(AT_NAME), offset, type_size(kind), type_text(kind)))
    return found
