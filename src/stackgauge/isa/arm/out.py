"""Steps under construction, from instructions given by their index in a listing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.followed import Rows
from stackgauge.isa.model import Effect, Flow, Steps
from stackgauge.isa.steps import Collector
from stackgauge.isa.words import Indices


class Out:
    """Gathers the steps of one listing."""

    def __init__(self, listing: Listing) -> None:
        """Begin with none."""
        self._listing = listing
        self._collector = Collector()

    def add(
        self,
        at: Indices,
        *,
        effect: Effect = Effect.NONE,
        value: int | NDArray[np.int64] = 0,
        slot: int | NDArray[np.uint8] = 0,
        flow: Flow | NDArray[np.uint8] = Flow.NEXT,
        target: NDArray[np.uint64] | None = None,
    ) -> None:
        """Add what some instructions do."""
        start, end = self._listing.start(at), self._listing.end(at)
        self._collector.add(
            start, end, effect=effect, value=np.asarray(value, np.int32), slot=slot, flow=flow,
            target=target,
        )  # fmt: skip

    def stops(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        """Add places where no path goes on, which are no instructions, by their offsets."""
        self._collector.add(start, end, flow=Flow.STOP)

    def effects(self, at: int, effects: list[tuple[Effect, int]]) -> None:
        """What one instruction does, in this order."""
        for effect, value in effects:
            self.add(np.array([at]), effect=effect, value=value)

    def added(self, at: Indices, value: NDArray[np.int64]) -> None:
        """Additions to the stack pointer, those with a condition too."""
        always = e.condition(self._listing.text.words[at]) >= e.ALWAYS
        # Given back perhaps: all the least, and as much more at most.
        shrinks = always | (value > 0)
        self.add(at[shrinks], effect=Effect.ADD, value=value[shrinks])
        self.add(at[~always], effect=Effect.DYNAMIC, value=np.abs(value[~always]))

    def rows(self, rows: Rows) -> None:
        """Steps of copies."""
        start, end = self._listing.start(rows.at), self._listing.end(rows.at)
        self._collector.add(
            start, end, effect=rows.effect, value=rows.value.astype(np.int32), slot=rows.slot
        )

    def address(self, offset: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The addresses at some offsets, of 32 bits."""
        address = offset + self._listing.text.address & 0xFFFFFFFF
        return address.astype(np.uint64)

    def steps(self) -> Steps:
        """All that was added."""
        return self._collector.steps(self.address)[0]
