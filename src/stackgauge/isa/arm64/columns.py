"""Gathers steps of instructions of one width, kind by kind, and puts them in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.model import Effect, Flow, Steps
from stackgauge.isa.words import WORD, Indices, Text

_FIELDS = {
    "at": np.int64,
    "effect": np.uint8,
    "slot": np.uint8,
    "value": np.int32,
    "flow": np.uint8,
    "target": np.uint64,
}


class Columns:
    """Steps under construction; an instruction is the index of its word."""

    def __init__(self) -> None:
        self._parts: list[list[NDArray[Any]]] = []

    def add(
        self,
        at: Indices,
        *,
        effect: Effect | NDArray[Any] = Effect.NONE,
        slot: int | NDArray[Any] = 0,
        value: int | NDArray[Any] = 0,
        flow: Flow | NDArray[Any] = Flow.NEXT,
        target: int | NDArray[Any] = 0,
    ) -> None:
        """Add instructions; each argument is of all of them or an array of their length."""
        columns = (at, effect, slot, value, flow, target)
        self._parts.append(
            [
                np.broadcast_to(np.asarray(column).astype(kind, copy=False), at.shape)
                for column, kind in zip(columns, _FIELDS.values(), strict=True)
            ]
        )

    def steps(self, text: Text) -> Steps:
        """All that was added, by ascending address; of one instruction, in the order of adding."""
        merged = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        order = np.argsort(merged[0], kind="stable")
        at, effect, slot, value, flow, target = (column[order] for column in merged)
        start = text.addresses(at)
        return Steps(start, start + np.uint64(WORD), effect, slot, value, flow, target)
