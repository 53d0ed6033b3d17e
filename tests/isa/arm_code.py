"""Small pieces of Arm code, read with or without mapping symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.mapping import MappingSymbols, Marks
from stackgauge.isa.arm.reader import read_arm
from stackgauge.isa.model import Code, Ranges, Steps

BASE = 0x10000


class Given(MappingSymbols):
    """Mapping symbols that stand at given addresses: pairs of address and letter."""

    def __init__(self, *marks: tuple[int, str]) -> None:
        self._marks = marks

    def between(self, start: int, end: int) -> Marks:
        inside = [(address, ord(kind)) for address, kind in self._marks if start <= address < end]
        return Marks(
            np.array([address for address, _ in inside], np.uint64),
            np.array([kind for _, kind in inside], np.uint8),
        )


def read(
    raw: bytes | NDArray[Any], *marks: tuple[int, str], ranges: Ranges | None = None,
    order: str = "<", data_order: str = "<",
) -> Steps:  # fmt: skip
    """The steps of code at BASE."""
    data = np.frombuffer(bytes(raw), np.uint8)
    whole = Ranges(np.array([BASE], np.uint64), np.array([BASE + len(data)], np.uint64))
    return read_arm(
        Code(data, BASE), ranges or whole, symbols=Given(*marks), order=order, data_order=data_order
    )


def read_a32(words: NDArray[np.uint32], *marks: tuple[int, str]) -> Steps:
    """The steps of A32 code, of which nothing is data unless marks say so."""
    return read(words.astype("<u4").tobytes(), *(marks or ((BASE, "a"),)))


def read_thumb(halves: NDArray[np.uint16], *marks: tuple[int, str], apart: bool = False) -> Steps:
    """The same of Thumb code; ``apart`` makes each halfword a stretch."""
    start = BASE + 2 * np.arange(len(halves), dtype=np.uint64)
    ranges = Ranges(start, start + np.uint64(2)) if apart else None
    return read(halves.astype("<u2").tobytes(), *(marks or ((BASE, "t"),)), ranges=ranges)
