"""What all frames of an image come to: counts, the largest, how they are spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import Evidence
from stackgauge.frames.listing import FrameRow, list_frames
from stackgauge.frames.measure import Frames, Kind

# As many as stack_size, a script of 2003 for the kernel's stacks, printed.
LARGEST = 10


@dataclass(frozen=True)
class Summary:
    """Figures over all functions, cold pieces counted with their parents.

    Attributes:
        functions: how many there are.
        kinds: how many of each kind (``static``, ``dynamic``, ``unknown``).
        evidence: how many rest on each kind of evidence.
        largest: the largest frames, the largest last.
        histogram: (upper bound in bytes, how many frames are at most that and larger than the
            bound before); bounds are powers of two; frames that are not known are left out.
    """

    functions: int
    kinds: dict[str, int]
    evidence: dict[str, int]
    largest: tuple[FrameRow, ...]
    histogram: tuple[tuple[int, int], ...]


def summarize(measured: list[Frames]) -> Summary:
    """Sum the frames of one or more images up."""
    kind = _own(measured, "kind")
    evidence = _own(measured, "evidence")
    size = _own(measured, "frame")
    known = size[kind != Kind.UNKNOWN]
    # Which power of two is the first that is not smaller.
    power = np.ceil(np.log2(np.maximum(known, 1))).astype(np.int64)
    counts = np.bincount(power) if len(power) else np.zeros(0, np.int64)
    return Summary(
        functions=len(kind),
        kinds={one.name.lower(): int((kind == one).sum()) for one in Kind},
        evidence={
            one.name.lower(): int((evidence == one).sum())
            for one in Evidence
            if (evidence == one).any()
        },
        largest=tuple(reversed(_largest(measured))),
        histogram=tuple((1 << bit, count) for bit, count in enumerate(counts.tolist()) if count),
    )


def _own(measured: list[Frames], column: str) -> NDArray[np.int64]:
    """A column of all images' functions, without the cold pieces."""
    parts = [getattr(frames, column)[frames.functions.parent < 0] for frames in measured]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _largest(measured: list[Frames]) -> list[FrameRow]:
    """The largest known frames, the largest first."""
    unknown = sum(int((frames.kind == Kind.UNKNOWN).sum()) for frames in measured)
    rows = list_frames(measured, top=LARGEST + unknown)
    return [row for row in rows if row.frame is not None][:LARGEST]
