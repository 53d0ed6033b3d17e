"""The frames that a user asked for, with names and places, ready for any reporter."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import UNKNOWN, Evidence
from stackgauge.frames.functions import origin
from stackgauge.frames.measure import Frames, Kind, printed
from stackgauge.frames.source_lines import bodies_between, source_lines


class FrameRow(NamedTuple):
    """One function's frame; the names of the fields are those of every output format.

    Attributes:
        address: where it begins; in a relocatable object the offset in its section.
        frame: bytes that it can use at most, or at least where there is no limit; None where not
            known.
        least: bytes that it uses at least, or None where nothing is known.
        kind: ``static``, ``dynamic`` or ``unknown``.
        evidence: ``orc``, ``cfi``, ``ehabi``, ``instructions`` or ``none``.
        function: the name; empty for code that no symbol covers and debug information does not
            name.
        module: ``vmlinux``, or the module's or object's name.
        file, line: the source, empty and None where the image does not tell.
        aliases: other names of the same code.
        origin: the function that a clone was made from; empty for any other.
        object: the file's name as objdump prints it.
    """

    address: int
    frame: int | None
    least: int | None
    kind: str
    evidence: str
    function: str
    module: str
    file: str
    line: int | None
    aliases: tuple[str, ...]
    origin: str
    object: str


def list_frames(
    measured: list[Frames],
    *,
    minimum: int = 0,
    top: int | None = None,
    match: re.Pattern[str] | None = None,
    pieces: bool = False,
) -> list[FrameRow]:
    """Choose, sort and name frames.

    Args:
        measured: the frames of one or more images.
        minimum: the smallest frame to list, in bytes. A function whose frame is not known is
            listed whatever the minimum, since it may be larger.
        top: how many to list at most.
        match: what the function's name must match (anywhere in it).
        pieces: whether cold pieces are listed apart from their functions, each with the peak of
            its own code.

    Returns:
        The largest first; those that are not known have the place of what they use at least.
    """
    chosen = [_choose(frames, minimum, match, pieces) for frames in measured]
    which = np.repeat(np.arange(len(measured)), [len(rows) for rows in chosen])
    rows = np.concatenate([np.zeros(0, np.intp), *chosen])
    empty: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    pairs = list(zip(measured, chosen, strict=True))
    size = np.concatenate(empty + [_sizes(frames, pieces)[1][some] for frames, some in pairs])
    order = np.lexsort((rows, which, -size))[:top]
    which, rows = which[order], rows[order]
    result: list[FrameRow | None] = [None] * len(order)
    for index, frames in enumerate(measured):
        places = np.flatnonzero(which == index)
        named = _named(frames, rows[places], pieces)
        for place, row in zip(places.tolist(), named, strict=True):
            result[place] = row
    return [row for row in result if row is not None]


def frame_rows(frames: Frames, rows: NDArray[np.intp]) -> list[FrameRow]:
    """Some functions of one image, in the given order."""
    return _named(frames, rows, pieces=False)


def _choose(
    frames: Frames, minimum: int, match: re.Pattern[str] | None, pieces: bool
) -> NDArray[np.intp]:
    unknown = frames.kind[frames.functions.routine] == Kind.UNKNOWN
    wanted = (_sizes(frames, pieces)[1] >= minimum) | unknown
    if not pieces:
        wanted &= frames.functions.parent < 0
    rows = np.flatnonzero(wanted)
    if match is None:
        return rows
    names = frames.functions.names(rows)
    matching: NDArray[np.bool_] = np.array([bool(match.search(name)) for name in names], bool)
    return rows[matching]


def _sizes(frames: Frames, pieces: bool) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The least and the printed figure of each entry, as functions or as pieces of code."""
    if pieces:
        return frames.pieces.depth, printed(frames.pieces.depth, frames.pieces.most)
    return frames.least, frames.frame


def _named(frames: Frames, rows: NDArray[np.intp], pieces: bool) -> list[FrameRow]:
    """The rows of one image; a loop over the functions that are printed, for their strings."""
    if not len(rows):
        return []
    functions, image = frames.functions, frames.image
    start = functions.start[rows]
    end = functions.end[rows]
    names = _with_bodies(frames, functions.names(rows), start, end)
    sources = source_lines(image.elf, frames.contents, start, end - start)
    kinds = [kind.name.lower() for kind in Kind]
    evidence = [one.name.lower() for one in Evidence]
    least, size = _sizes(frames, pieces)
    proof = frames.pieces.evidence if pieces else frames.evidence
    columns = zip(
        functions.addresses(image.elf, rows).tolist(), size[rows].tolist(), least[rows].tolist(),
        frames.kind[functions.routine[rows]].tolist(), proof[rows].tolist(), names,
        sources.file, sources.line.tolist(), functions.aliases(rows), strict=True,
    )  # fmt: skip
    return [
        FrameRow(
            address=place,
            frame=frame if kind != Kind.UNKNOWN else None,
            least=least if least != UNKNOWN else None,
            kind=kinds[kind],
            evidence=evidence[shown],
            function=name,
            module=image.module,
            file=file,
            line=line or None,
            aliases=aliases,
            origin=origin(name),
            object=image.name,
        )
        for place, frame, least, kind, shown, name, file, line, aliases in columns
    ]


def _with_bodies(
    frames: Frames, names: list[str], start: NDArray[np.uint64], end: NDArray[np.uint64]
) -> list[str]:
    """The names, with those that debug information has for code that no symbol covers."""
    bare = np.array([place for place, name in enumerate(names) if not name], np.intp)
    bare = bare[np.argsort(start[bare], kind="stable")]
    found = bodies_between(frames.image.elf, frames.contents, start[bare], end[bare])
    # The first body of each, since the others would be functions of their own.
    for place, name in zip(bare[found.range][::-1].tolist(), found.name[::-1], strict=True):
        names[place] = name
    return names
