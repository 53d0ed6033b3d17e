"""The common table: where the stack pointer is at every instruction, whatever says it.

Each kind of evidence makes rows; frames and call depths are computed from rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

# ``depth`` of a row whose evidence cannot say it, and ``most`` of one without a limit.
UNKNOWN = -1
NO_LIMIT = 1 << 30


class Base(IntEnum):
    """From what a row's depth is counted."""

    SP = 0
    """Evidence ties the depth to the stack pointer itself, so it is exact at every instruction."""
    OTHER = 1
    """The evidence follows another register: ``depth`` says only where the caller's frame is."""
    REGISTERS = 2
    """An entry from user or interrupt: ``depth`` reaches to the end of its saved registers."""


class Evidence(IntEnum):
    """What a row rests on; the names are the ones that users see, in lower case."""

    NONE = 0
    CFI = 1
    ORC = 2
    EHABI = 3
    INSTRUCTIONS = 4


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows sorted by ``start``, without overlap inside a function; gaps are rows of UNKNOWN.

    Attributes:
        start: first address, uint64.
        end: the address after the last, uint64.
        depth: bytes on the stack, at least, from the caller's stack pointer before the call down
            to the stack pointer; UNKNOWN where not known; int32.
        most: the same, at most; equal to ``depth`` where the stack is static, NO_LIMIT where it
            is dynamic and no limit is known; int32.
        base: Base, uint8.
        evidence: Evidence, uint8.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    depth: NDArray[np.int32]
    most: NDArray[np.int32]
    base: NDArray[np.uint8]
    evidence: NDArray[np.uint8]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.start)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rows:
        """The rows at an index, a mask or a slice."""
        return Rows(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


def no_rows() -> Rows:
    """A table without a row."""
    return make_rows(
        np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int32), Evidence.NONE
    )


def make_rows(
    start: NDArray[np.uint64],
    end: NDArray[np.uint64],
    depth: NDArray[np.int32],
    evidence: Evidence,
    *,
    most: NDArray[np.int32] | None = None,
    base: NDArray[np.uint8] | None = None,
) -> Rows:
    """Rows of one kind of evidence; static and SP-based unless told otherwise."""
    return Rows(
        start=start,
        end=end,
        depth=depth,
        most=depth if most is None else most,
        base=np.full(len(start), Base.SP, np.uint8) if base is None else base,
        evidence=np.full(len(start), evidence, np.uint8),
    )
