"""A64 code for tests, written as a listing: in each line a word and what it says."""

from __future__ import annotations

import re
from itertools import pairwise

import capstone
import numpy as np

from stackgauge.isa.arm64 import ARM64
from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps

BASE = 0xFFFF_8000_0800_0000

# Newer than capstone is.
_UNKNOWN = {"bc.ne", "cbhi", "stilp", "ldiapp", "ldapr", "stlr", "sttp"}
_UNKNOWN |= {"retaasppc", "addpt", "stgp"}


def words_of(listing: str) -> list[int]:
    """The words of a listing; each must be what its text says, as capstone reads it."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    words = []
    for line in filter(None, map(str.strip, listing.splitlines())):
        word, text = line.split(maxsplit=1)
        words.append(int(word, 16))
        mnemonic = text.split()[0]
        if mnemonic in _UNKNOWN:
            continue
        _, _, *said = next(engine.disasm_lite(words[-1].to_bytes(4, "little"), 0))
        branches = (mnemonic[0] == "b" and "#" not in text) or mnemonic in ("cbz", "tbnz")
        assert _plain(" ".join(said)) == _plain(text) or (branches and said[0] == mnemonic), line
    return words


def _plain(text: str) -> str:
    """An instruction without spaces, its numbers signed and decimal."""
    text = re.sub(r"-?0x[0-9a-f]+", lambda number: str(int(number[0], 0)), text.lower())
    text = re.sub(r"\d{19,}", lambda number: str(int(number[0]) - (1 << 64)), text)
    return text.replace(" ", "")


def read(listing: str, *, starts: tuple[int, ...] = (0,)) -> Steps:
    """The steps of a listing, at BASE, in stretches that begin at these of its instructions."""
    words = np.array(words_of(listing), "<u4")
    limits = [BASE + 4 * start for start in (*starts, len(words))]
    stretches = np.array(list(pairwise(limits)), np.uint64)
    return ARM64.read(Code(words.view(np.uint8), BASE), Ranges(*stretches.T.copy()))


def rows(steps: Steps) -> list[tuple[int, Effect, int, int]]:
    """Instruction number, effect, slot and value of the steps that have an effect."""
    columns = (steps.start - np.uint64(BASE), steps.effect, steps.slot, steps.value)
    return [
        (start // 4, Effect(effect), slot, value)
        for start, effect, slot, value in zip(*(c.tolist() for c in columns), strict=True)
        if effect
    ]


def flows(steps: Steps) -> list[tuple[int, Flow, int]]:
    """Instruction number, flow and the number of the target, 0 where there is none."""
    return [
        (start // 4, Flow(flow), (target - BASE) // 4 if target else 0)
        for start, flow, target in zip(
            (steps.start - np.uint64(BASE)).tolist(),
            steps.flow.tolist(),
            steps.target.tolist(),
            strict=True,
        )
        if flow
    ]
