"""A64 code that GCC made, held against how binutils reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stackgauge.image.elf import parse_elf
from stackgauge.image.source import map_file
from stackgauge.isa.arm64 import ARM64
from stackgauge.isa.model import Code, Effect, Flow, Ranges
from tests.oracles.arm64_steps import said
from tests.oracles.objdump import OBJDUMP, disassemble

# Those whose code is in one section.
FOLDER = Path(__file__).parents[1] / "corpus" / "objects"
OBJECTS = sorted(path for path in FOLDER.glob("arm64-*.o") if "sections" not in path.stem)

_MOVES = (Effect.ADD, Effect.RESTORE, Effect.ALIGN, Effect.DYNAMIC, Effect.LOST)


def differences(path: Path, section: str) -> tuple[int, list[str]]:
    """How many instructions matter to binutils, and those that we read otherwise.

    Zeros (UDF) and data are left out, and so are targets that are still to be relocated: the
    instruction then leads to itself.
    """
    elf = parse_elf(map_file(path), path)
    found = elf.section(section)
    assert found is not None
    address = 0 if elf.relocatable else found.address
    start = np.array([address], np.uint64)
    ranges = Ranges(start, start + np.uint64(found.size))
    steps = ARM64.read(Code(elf.contents(found), address), ranges)
    moves: dict[int, list[tuple[int, int]]] = {}
    flows: dict[int, tuple[int, int]] = {}
    columns = (steps.start, steps.effect, steps.value, steps.flow, steps.target)
    for at, effect, value, flow, target in zip(*(c.tolist() for c in columns), strict=True):
        if effect in _MOVES:
            moves.setdefault(at, []).append((effect, value))
        if flow:
            flows[at] = flow, target
    count, wrong = 0, []
    for one in disassemble(path, "arm64", section):
        if one.mnemonic == "udf" or one.mnemonic[0] == ".":
            continue
        truth = said(one)
        count += truth.moves or truth.flow != Flow.NEXT
        added = [] if truth.added is None else [(Effect.ADD, truth.added)]
        good = (one.address in moves) == truth.moves and (not added or moves[one.address] == added)
        flow, target = flows.get(one.address, (Flow.NEXT, 0))
        good &= flow == truth.flow
        good &= target == truth.target or (elf.relocatable and target == one.address)
        if not good:
            wrong.append(f"{one.address:x} {one.mnemonic} {one.operands}")
    return count, wrong


@pytest.mark.skipif(not shutil.which(OBJDUMP["arm64"]), reason=f"no {OBJDUMP['arm64']}")
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.stem)
def test_compiled_code(path: Path) -> None:
    count, wrong = differences(path, ".text")
    assert count > 200
    # Loops of probes are one move for us, and their branches back none.
    pages = [text for text in wrong if text.endswith("sub sp, sp, #0x10, lsl #12")]
    back = [text for text in wrong if text.split()[1] in ("b", "b.ne")]
    assert len(pages) == len(back) == len(wrong) / 2
