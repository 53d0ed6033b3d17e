"""Code of instructions of one width for tests, written as a listing: a word and what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import capstone
import numpy as np

from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps

BASE = 0x1_0000


@dataclass(frozen=True)
class Listings:
    """How to read the listings of an architecture.

    Attributes:
        read: its reader.
        order: byte order of its instructions, for NumPy.
        arch, mode: capstone's, to check that each word is what its text says.
        unchecked: mnemonics that capstone does not know or reads in another way.
    """

    read: Callable[[Code, Ranges], Steps]
    order: str
    arch: int
    mode: int
    unchecked: frozenset[str] = field(default_factory=frozenset)

    def words(self, listing: str) -> list[int]:
        """The words of a listing; each must be what its text says, as capstone reads it."""
        order: Literal["big", "little"] = "big" if self.order == ">" else "little"
        mode = self.mode | (capstone.CS_MODE_BIG_ENDIAN if self.order == ">" else 0)
        engine = capstone.Cs(self.arch, mode)
        words = []
        for number, line in enumerate(filter(None, map(str.strip, listing.splitlines()))):
            word, text = line.split(maxsplit=1)
            words.append(int(word, 16))
            if text.split()[0] in self.unchecked:
                continue
            code = words[-1].to_bytes(4, order)
            said = next(engine.disasm_lite(code, BASE + 4 * number), None)
            assert said is not None, line
            here = _absolute(text, BASE + 4 * number)
            assert _plain(" ".join(said[2:])) == _plain(here), line
        return words

    def steps(self, listing: str, *, starts: tuple[int, ...] = (0,)) -> Steps:
        """The steps of a listing, at BASE, in stretches that begin at these instructions."""
        words = np.array(self.words(listing), f"{self.order}u4")
        limits = [BASE + 4 * start for start in (*starts, len(words))]
        stretches = np.array(list(pairwise(limits)), np.uint64)
        return self.read(Code(words.view(np.uint8), BASE), Ranges(*stretches.T.copy()))

    def rows(self, listing: str) -> list[tuple[int, Effect, int, int]]:
        """Instruction number, effect, slot and value of the steps that have an effect."""
        steps = self.steps(listing)
        columns = (steps.start - np.uint64(BASE), steps.effect, steps.slot, steps.value)
        return [
            (start // 4, Effect(effect), slot, value)
            for start, effect, slot, value in zip(*(c.tolist() for c in columns), strict=True)
            if effect
        ]

    def flows(self, listing: str) -> list[tuple[int, int, Flow, int]]:
        """First and last instruction, flow and number of the target, 0 where there is none."""
        steps = self.steps(listing)
        columns = (steps.start, steps.end, steps.flow, steps.target)
        return [
            (
                (start - BASE) // 4,
                (end - BASE) // 4 - 1,
                Flow(flow),
                (target - BASE) // 4 if target else 0,
            )
            for start, end, flow, target in zip(*(c.tolist() for c in columns), strict=True)
            if flow
        ]


def _absolute(text: str, address: int) -> str:
    """An instruction whose distances (``.+8``) are addresses."""
    return re.sub(r"\.([+-]\d+)", lambda found: str(address + int(found[1])), text)


def _plain(text: str) -> str:
    """An instruction without spaces and $, its numbers decimal."""
    text = re.sub(r"-?0x[0-9a-f]+", lambda number: str(int(number[0], 0)), text.lower())
    return re.sub(r"[\s$]", "", text)
