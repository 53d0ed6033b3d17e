"""What is told of a function's variables that take stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stackgauge.image.dwarf_tree import Entry


class Inlined(NamedTuple):
    """A function that was inlined, and the line that calls it."""

    function: str
    file: str
    line: int | None


class Span(NamedTuple):
    """Bytes of the frame; ``offset`` is from the CFA."""

    offset: int
    size: int


@dataclass(frozen=True)
class Variable:
    """A variable or a parameter of which some bytes are on the stack at some time.

    Attributes:
        name: empty where it has none.
        type: as C writes it.
        size: bytes of the type; None where that is not known before run time.
        structure: the entry of its type, where that is a structure or union, or an array of one.
        file, line: where it is declared; empty and None where not told.
        parameter: whether it is one of the function's, or of an inlined function's, parameters.
        inlined: the inlined functions that it is in, from the outermost on.
        fixed: whether it lies in one place all the time.
        homes: where it lies, at one time or another. None, but a size, where it lies in the frame
            at a place that only the running code knows, since it is aligned more than the stack.
        spills: where what it is computed from was saved.
    """

    name: str
    type: str
    size: int | None
    structure: Entry | None
    file: str
    line: int | None
    parameter: bool
    inlined: tuple[Inlined, ...]
    fixed: bool
    homes: tuple[Span, ...]
    spills: tuple[Span, ...]


@dataclass(frozen=True)
class Found:
    """What debug information says of one function's stack.

    Attributes:
        variables: those that take stack.
        arguments: where arguments of the functions that it calls are put.
        missing: why there is nothing, or less than there could be; empty where all was read.
    """

    variables: tuple[Variable, ...] = ()
    arguments: tuple[Span, ...] = ()
    missing: str = ""
