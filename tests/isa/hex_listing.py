"""Code of instructions of any width for tests: in each line its bytes, and what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps

BASE = 0x1_0000

Read = Callable[[Code, Ranges], Steps]


def assembled(listing: str) -> tuple[bytes, dict[int, int]]:
    """The bytes of a listing, and the number of the instruction at each offset.

    A line is ``hex bytes, without spaces`` and then a text, which is for the reader alone.
    """
    raw, numbers = b"", {}
    for number, line in enumerate(filter(None, map(str.strip, listing.splitlines()))):
        numbers[len(raw)] = number
        raw += bytes.fromhex(line.split(maxsplit=1)[0])
    numbers[len(raw)] = len(numbers)
    return raw, numbers


def steps_of(read: Read, listing: str, starts: tuple[int, ...] = (0,)) -> Steps:
    """The steps of a listing, at BASE, in stretches that begin at these instructions."""
    raw, numbers = assembled(listing)
    offsets = {number: offset for offset, number in numbers.items()}
    begin = np.array([BASE + offsets[start] for start in starts], np.uint64)
    end = np.append(begin[1:], np.uint64(BASE + len(raw)))
    return read(Code(np.frombuffer(raw, np.uint8), BASE), Ranges(begin, end))


def effects(
    read: Read, listing: str, starts: tuple[int, ...] = (0,)
) -> list[tuple[int, Effect, int, int]]:
    """Number of the instruction, effect, slot and value of the steps that have an effect."""
    _, numbers = assembled(listing)
    steps = steps_of(read, listing, starts)
    columns = (steps.start - np.uint64(BASE), steps.effect, steps.slot, steps.value)
    return [
        (numbers[start], Effect(effect), slot, value)
        for start, effect, slot, value in zip(*(c.tolist() for c in columns), strict=True)
        if effect
    ]


def flows(
    read: Read, listing: str, starts: tuple[int, ...] = (0,)
) -> list[tuple[int, Flow, int | None]]:
    """Number of the instruction, flow and the target's number, of those that lead elsewhere."""
    _, numbers = assembled(listing)
    steps = steps_of(read, listing, starts)
    columns = (steps.start - np.uint64(BASE), steps.flow, steps.target)
    return [
        (numbers[start], Flow(flow), numbers[target - BASE] if target else None)
        for start, flow, target in zip(*(c.tolist() for c in columns), strict=True)
        if flow
    ]
