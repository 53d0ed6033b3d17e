"""Our frames beside GCC's, function by function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stackgauge.frames.measure import Frames, Kind
from stackgauge.image.symbols import NO_SECTION, STB_LOCAL, STT_FILE, STT_FUNC
from tests.oracles.su import Usage, name_in_su


@dataclass(frozen=True, slots=True)
class Figure:
    """Our frame of one function.

    Attributes:
        unit: the source file that was compiled, of a static function; else empty.
        name: the function's symbol.
        address: where it begins.
        least, most: bytes, as in ``Frames``.
        kind: ``static``, ``dynamic`` or ``unknown``.
    """

    unit: str
    name: str
    address: int
    least: int
    most: int
    kind: str


def figures_of(frames: Frames) -> list[Figure]:
    """The frames of all functions that have a symbol, one entry a symbol, aliases included."""
    functions = frames.functions
    symbols = functions.symbols
    rows = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.section != NO_SECTION))
    at = np.searchsorted(functions.start, symbols.value[rows])
    at[at == len(functions)] = 0
    found = (functions.start[at] == symbols.value[rows]) & (functions.parent[at] < 0)
    rows, at = rows[found], at[found]
    # The symbols of one object file follow its STT_FILE symbol; the global ones come last.
    files = np.flatnonzero(symbols.type == STT_FILE)
    holder = np.searchsorted(files, rows, side="right") - 1
    local = (symbols.binding[rows] == STB_LOCAL) & (holder >= 0)
    units = [symbols.strings[int(offset)] for offset in symbols.name[files]]
    return [
        Figure(
            unit=units[file] if is_local else "",
            name=symbols.strings[int(symbols.name[row])],
            address=int(functions.start[index]),
            least=int(frames.least[index]),
            most=int(frames.most[index]),
            kind=Kind(int(frames.kind[index])).name.lower(),
        )
        for row, index, file, is_local in zip(
            rows.tolist(), at.tolist(), holder.tolist(), local.tolist(), strict=True
        )
    ]


def pair(
    usages: Iterable[Usage], figures: Iterable[Figure]
) -> tuple[list[tuple[Usage, Figure]], list[Usage]]:
    """Bring together what the two sides say of one function.

    A ``.su`` file does not number clones, and a symbol table tells files by their last part
    alone: where that leaves several functions of one name, the figures are paired by size.

    Returns:
        The pairs, and what GCC compiled but no function of the image answers to.
    """
    static: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    others: dict[str, list[Figure]] = defaultdict(list)
    for figure in figures:
        for name in {figure.name, name_in_su(figure.name)}:
            if figure.unit:
                static[figure.unit, name].append(figure)
            else:
                others[name].append(figure)
    groups: dict[tuple[str, str], list[Usage]] = defaultdict(list)
    for usage in usages:
        groups[usage.unit, usage.name].append(usage)
    pairs: list[tuple[Usage, Figure]] = []
    unmatched: list[Usage] = []
    for (unit, name), group in groups.items():
        found = static[unit, name]
        if len(found) < len(group):
            found = found + others[name]
        if len(found) == len(group):
            group.sort(key=lambda usage: usage.bytes)
            found = sorted(found, key=lambda figure: figure.most)
            pairs += zip(group, found, strict=True)
        else:
            unmatched += group
    return pairs, unmatched


def disagreement(usage: Usage, figure: Figure) -> str:
    """In what our frame differs from GCC's; empty where it does not.

    Where the stack is realigned GCC's figure is that for one of the places that the caller may
    have left the stack at, so it has to lie in our range. Where the frame is dynamic GCC's figure
    is what of it is fixed, which is to be our least.

    Returns:
        ``8 more``, ``8 less`` (ours), ``unknown``, or the kind that is ours and not GCC's.
    """
    if figure.kind == "unknown":
        return "unknown"
    if figure.kind != ("dynamic" if usage.kind == "dynamic" else "static"):
        return figure.kind
    if figure.least > usage.bytes:
        return f"{figure.least - usage.bytes} more"
    ours = figure.least if figure.kind == "dynamic" else figure.most
    return f"{usage.bytes - ours} less" if ours < usage.bytes else ""
