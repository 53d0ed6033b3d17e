"""A64 instructions of all kinds, at random, held against how capstone reads them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import capstone
import numpy as np
import pytest
from capstone import arm64_const as names
from numpy.typing import NDArray

from stackgauge.isa.arm64 import ARM64
from stackgauge.isa.arm64.writes import written_registers
from stackgauge.isa.model import Code, Effect, Ranges

BASE = 0x1000_0000
SAMPLE = 20_000

_MOVES = (Effect.ADD, Effect.RESTORE, Effect.ALIGN, Effect.DYNAMIC, Effect.LOST)

# The bits that sort A64 code into groups (Arm ARM, C4.1), and each group's.
_GROUPS = {
    "data processing, immediate": (0x1C000000, 0x10000000),
    "data processing, register": (0x0E000000, 0x0A000000),
    "loads and stores": (0x0A000000, 0x08000000),
    "vectors": (0x0E000000, 0x0E000000),
    "branches and system": (0x1C000000, 0x14000000),
}

# Where capstone says of a register that it is written which is only read: the first operand of a
# compare and the index of a structure's store; and SVC does not change the link register.
_COMPARES = {"cmp", "cmn", "tst", "svc"}
_STORES = {"st1", "st2", "st3", "st4"}

_NUMBERS = {
    getattr(names, f"ARM64_REG_{width}{number}"): number for width in "XW" for number in range(31)
}
_SP = {names.ARM64_REG_SP, names.ARM64_REG_WSP}


def _words(group: str) -> NDArray[np.uint32]:
    """Words of a group; in a quarter each Rn, Rd or both are the stack pointer."""
    random = np.random.default_rng(64)
    mask, value = _GROUPS[group]
    words = random.integers(0, 1 << 32, SAMPLE, dtype=np.uint32)
    words = words & np.uint32(~mask & 0xFFFFFFFF) | np.uint32(value)
    words[1::4] |= np.uint32(31 << 5)
    words[2::4] |= np.uint32(31)
    words[3::4] |= np.uint32(31 << 5 | 31)
    return words


def _ours(words: NDArray[np.uint32]) -> dict[int, list[tuple[int, int]]]:
    """Effect and value of the moves of the stack pointer, by the index of the word."""
    start = np.array([BASE], np.uint64)
    code = Code(words.astype("<u4").view(np.uint8), BASE)
    steps = ARM64.read(code, Ranges(start, start + np.uint64(4 * len(words))))
    steps = steps.take(np.isin(steps.effect, _MOVES))
    index = (steps.start - np.uint64(BASE)) // np.uint64(4)
    found = defaultdict(list)
    columns = (index.tolist(), steps.effect.tolist(), steps.value.tolist())
    for at, effect, value in zip(*columns, strict=True):
        found[at].append((effect, value))
    return found


def _theirs(words: NDArray[np.uint32]) -> Iterator[tuple[int, capstone.CsInsn]]:
    """The instructions that capstone knows, with the index of each."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    engine.detail = True
    for index, word in enumerate(words.astype(">u4").tolist()):
        for found in engine.disasm(word.to_bytes(4, "little"), BASE + 4 * index):
            yield index, found


def _added(text: str) -> int | None:
    """What an instruction's text says is added to the stack pointer, where it is a number."""
    found = re.search(r"\[sp\], #([-0-9a-fx]+)$|\[sp, #([-0-9a-fx]+)\]!$", text)
    if found:
        number = int(found[1] or found[2], 0)
        return number - (1 << 64) if number >> 63 > 0 else number
    found = re.match(r"(add|sub)g? sp, sp, #([0-9a-fx]+)(, lsl #12|, #[0-9a-fx]+)?$", text)
    if not found:
        return None
    amount = int(found[2], 0) << (12 if "lsl" in (found[3] or "") else 0)
    return amount if found[1] == "add" else -amount


@pytest.mark.parametrize("group", _GROUPS)
def test_what_capstone_knows(group: str) -> None:
    words = _words(group)
    ours, registers = _ours(words), written_registers(words).tolist()
    known = moves = 0
    for at, found in _theirs(words):
        text = f"{found.mnemonic} {found.op_str}"
        known += 1
        if found.mnemonic in _COMPARES or "spsel" in text:
            continue
        written = set(found.regs_access()[1])
        if text.startswith(("addg sp", "subg sp", "irg sp")):  # of these capstone says nothing
            written |= _SP
        assert bool(written & _SP) == (at in ours), f"{words[at]:08x} {text}"
        if (added := _added(text)) is not None:
            moves += 1
            assert ours[at] == [(Effect.ADD, added)], f"{words[at]:08x} {text}"
        if found.mnemonic not in _STORES:
            numbers = {_NUMBERS[one] for one in written if one in _NUMBERS}
            assert all(registers[at] >> number & 1 for number in numbers), text
    assert known > SAMPLE // 10
    assert moves > 100 or group not in ("data processing, immediate", "loads and stores")
