"""Gathers the stack steps that a reader finds, class by class, and puts them in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Effect, Flow, Steps

_FIELDS = ("start", "end", "effect", "slot", "value", "flow", "target")
_TYPES = (np.int64, np.int64, np.uint8, np.uint8, np.int32, np.uint8, np.uint64)


class Collector:
    """Columns under construction; offsets become addresses at the end, all at once."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.generic], ...]] = []

    def add(
        self,
        start: NDArray[np.intp],
        end: NDArray[np.intp],
        *,
        effect: Effect | NDArray[np.uint8] = Effect.NONE,
        value: int | NDArray[np.int32] = 0,
        slot: int | NDArray[np.uint8] = 0,
        flow: Flow | NDArray[np.uint8] = Flow.NEXT,
        target: NDArray[np.uint64] | None = None,
    ) -> None:
        """Add instructions; ``start`` and ``end`` are offsets."""
        if not len(start):
            return
        columns = (start, end, effect, slot, value, flow, 0 if target is None else target)
        self._parts.append(
            tuple(
                np.broadcast_to(np.asarray(column).astype(kind, copy=False), start.shape)
                for column, kind in zip(columns, _TYPES, strict=True)
            )
        )

    def steps(
        self, addresses: Callable[[NDArray[np.intp]], NDArray[np.uint64]]
    ) -> tuple[Steps, NDArray[np.intp]]:
        """All that was added, by ascending address; of one instruction, in the order of adding.

        Args:
            addresses: turns offsets of instructions into addresses.

        Returns:
            The steps, and the offset of each.
        """
        columns = {
            name: np.concatenate([part[i] for part in self._parts] or [np.zeros(0, kind)])
            for i, (name, kind) in enumerate(zip(_FIELDS, _TYPES, strict=True))
        }
        order = np.argsort(columns["start"], kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
        offsets = columns["start"]
        length = (columns["end"] - offsets).astype(np.uint64)
        columns["start"] = addresses(offsets)
        columns["end"] = columns["start"] + length
        return Steps(**columns), offsets
