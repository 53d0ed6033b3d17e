"""A32 and Thumb instructions of all kinds, at random, held against how capstone reads them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import capstone
import numpy as np
import pytest
from capstone import arm_const as names
from numpy.typing import NDArray

from stackgauge.isa.arm import thumb16, thumb32
from stackgauge.isa.arm.encoding import SP, Words
from stackgauge.isa.arm.writes import written_registers
from stackgauge.isa.model import Effect, Steps
from stackgauge.isa.straight import LARGEST
from tests.isa.arm_code import BASE, read_a32, read_thumb

SAMPLE = 20_000

# By index of an instruction.
Effects = dict[int, list[tuple[int, int]]]

_MOVES = (Effect.ADD, Effect.RESTORE, Effect.ALIGN, Effect.DYNAMIC, Effect.LOST)
_NUMBERS = {getattr(names, f"ARM_REG_R{number}"): number for number in range(13)}
_NUMBERS |= {names.ARM_REG_SP: 13, names.ARM_REG_LR: 14}

# The bits that sort A32 code into groups (Arm ARM, A5.1), and each group's; all are executed
# always.
_GROUPS = {
    "data processing": (0xFC000000, 0xE0000000),
    "single": (0xFC000000, 0xE4000000),
    "multiple": (0xFE000000, 0xE8000000),
    "coprocessor": (0xFC000000, 0xEC000000),
}

# Where capstone errs: of a list with a caret it loads the user's registers, and an unprivileged
# store writes nothing but its base; SVC is a call of a user's program to the kernel. And what it
# takes for LDC2 and STC2 are dot products of vectors in later versions.
_WRONG = re.compile(r"ldm.*\^|str[bh]?t|svc|ldc2|stc2")

# Of these the architecture does not say what they do with the stack pointer as a destination.
_UNPREDICTABLE = re.compile(r"[us]?m(la|ls|ul)|sml|smu|smm|umaal|usad|ldr(h|sb|sh|d)\b|ldr.* pc")


def _words(group: str) -> Words:
    """Words of a group; in half of them Rn or Rd is the stack pointer."""
    random = np.random.default_rng(32)
    mask, value = _GROUPS[group]
    words = random.integers(0, 1 << 32, SAMPLE, dtype=np.uint32)
    words = words & np.uint32(~mask & 0xFFFFFFFF) | np.uint32(value)
    words[1::4] = words[1::4] & np.uint32(0xFFF0FFFF) | np.uint32(13 << 16)
    words[2::4] = words[2::4] & np.uint32(0xFFFF0FFF) | np.uint32(13 << 12)
    return words


def _disassembled(raw: list[bytes], mode: int) -> Iterator[tuple[int, capstone.CsInsn]]:
    """The instructions that capstone knows, each by itself, with the index of each."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    engine.detail = True
    for index, one in enumerate(raw):
        for found in engine.disasm(one, BASE):
            if found.size == len(one):
                yield index, found


def _added(text: str) -> int | None:
    """What an instruction's text says is added to the stack pointer, where it is a number."""
    found = re.search(r"\[sp\], #(-?[0-9a-fx]+)$|\[sp, #(-?[0-9a-fx]+)\]!$", text)
    if found:
        lost = re.match(r"ldr[a-z]* (sp|pc|\w+, sp)", text)
        return None if lost else int(found[1] or found[2], 0)
    found = re.match(r"(add|sub)[sw.]* sp, (?:sp, )?#(-?[0-9a-fx]+)(?:, #([0-9a-fx]+))?$", text)
    if found:
        number, turn = int(found[2], 0) & 0xFFFFFFFF, int(found[3] or "0", 0)
        number = (number >> turn | number << 32 - turn) & 0xFFFFFFFF
        number -= number >> 31 << 32
        return number if found[1] == "add" else -number
    found = re.match(r"(push|pop|stm\w*|ldm\w*)(?:\.w)? (?:sp!, )?\{([^}]*)\}$", text)
    if not found or (not found[1].startswith("p") and "sp!" not in text):
        return None
    if "sp" in found[2] or "pc" in found[2]:
        return None
    size = 4 * len(found[2].split(","))
    down = found[1] in ("push", "stmdb", "ldmdb", "stmda", "ldmda")
    return -size if down else size


def _moves(steps: Steps, place: dict[int, int]) -> Effects:
    """Effect and value of the moves of the stack pointer, by the index of the instruction."""
    found = defaultdict(list)
    columns = (steps.start.tolist(), steps.effect.tolist(), steps.value.tolist())
    for start, effect, value in zip(*columns, strict=True):
        if effect in _MOVES:
            found[place[start]].append((effect, value))
    return found


def _compare(
    raw: list[bytes], mode: int, ours: Effects, written: NDArray[np.uint32]
) -> tuple[int, int]:
    """Compare; how many instructions were known, and how many moved SP by a number."""
    known = moves = 0
    for at, found in _disassembled(raw, mode):
        text = f"{found.mnemonic} {found.op_str}"
        shown = f"{raw[at].hex()} {text}"
        known += 1
        if _WRONG.match(text):
            continue
        added = _added(text)
        if added is not None and abs(added) <= LARGEST:
            moves += 1
            assert ours[at] == [(Effect.ADD, added)], shown
        registers = {_NUMBERS[one] for one in found.regs_access()[1] if one in _NUMBERS}
        if not _UNPREDICTABLE.match(text):
            assert all(int(written[at]) >> number & 1 for number in registers), shown
            if SP in registers and "pc" not in text:
                assert at in ours, shown
    return known, moves


@pytest.mark.parametrize("group", _GROUPS)
def test_a32(group: str) -> None:
    words = _words(group)
    raw = [word.to_bytes(4, "little") for word in words.tolist()]
    ours = _moves(read_a32(words), {BASE + 4 * at: at for at in range(SAMPLE)})
    known, moves = _compare(raw, capstone.CS_MODE_ARM, ours, written_registers(words))
    assert known > SAMPLE // 10
    assert moves > 100 or group == "data processing"


def test_thumb_of_16_bits() -> None:
    halves = np.arange(0xE800, dtype=np.uint16)
    raw = [half.to_bytes(2, "little") for half in halves.tolist()]
    # Each by itself: an IT would give the next one a condition.
    ours = _moves(read_thumb(halves, apart=True), {BASE + 2 * at: at for at in range(len(halves))})
    words = thumb16.expanded().words[halves]
    known, moves = _compare(raw, capstone.CS_MODE_THUMB, ours, written_registers(words))
    assert known > 0xD000
    assert moves > 600


def test_thumb_of_32_bits() -> None:
    random = np.random.default_rng(16)
    words = random.integers(0xE8000000, 1 << 32, SAMPLE * 2, dtype=np.uint32)
    words[1::4] = words[1::4] & np.uint32(0xFFF0FFFF) | np.uint32(13 << 16)
    words[2::4] = words[2::4] & np.uint32(0xFFFFF0FF) | np.uint32(13 << 8)
    halves = np.stack([words >> np.uint32(16), words & np.uint32(0xFFFF)], 1).astype(np.uint16)
    raw = [half.tobytes() for half in halves]
    ours = _moves(read_thumb(halves.reshape(-1)), {BASE + 4 * at: at for at in range(len(words))})
    made = thumb32.expanded(words, np.arange(len(words)) * 4)
    written = written_registers(made.words)
    written[made.pairs] |= np.uint32(1) << made.second
    known, moves = _compare(raw, capstone.CS_MODE_THUMB, ours, written)
    assert known > SAMPLE // 10
    assert moves > 100
