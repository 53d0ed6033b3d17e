"""Copies of the stack pointer that are computed with before it is set from them.

clang makes room for a variable-length array in another register: ``mov %rsp,%r12; sub %rax,%r12;
mov %r12,%rsp``. GCC changes no copy, but uses a copy's register for something else meanwhile, and
loads or pops what it kept of the copy before it sets the stack pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes
from stackgauge.isa.model import Effect, Steps

# How many bytes before a place are looked at for all places at once: mostly that is enough.
_NEAR = 24


def without_changed(
    steps: Steps,
    offsets: NDArray[np.intp],
    data: Bytes,
    begins: NDArray[np.bool_],
    bits: int,
    slots: Mapping[int, int],
) -> Steps:
    """The steps with LOST for what sets the stack pointer from a register that was changed since.

    Args:
        steps: as read.
        offsets: where each step is in ``data``.
        data: the code.
        begins: at which bytes of it an instruction begins.
        bits: 64 or 32.
        slots: by register number its slot.
    """
    effect = steps.effect.copy()
    for register, slot in slots.items():
        if slot == 0:
            continue  # the frame pointer has nothing else to do where it is a copy
        mine = steps.slot == slot
        copies = offsets[mine & (effect == Effect.COPY)]
        places = np.flatnonzero(mine & (effect == Effect.RESTORE))
        last = np.searchsorted(copies, offsets[places]) - 1
        places, low = places[last >= 0], copies[last[last >= 0]]
        at = offsets[places, None] - np.arange(_NEAR, 0, -1)
        inside = at > low[:, None]
        inside &= begins[np.maximum(at, 0)]
        found = _last_done(data, np.maximum(at, 0), inside, register, bits)
        # A loop over the few places where nothing was found near by.
        for index in np.flatnonzero(found == 0).tolist():
            first = int(low[index]) + 1
            far = np.flatnonzero(begins[first : int(offsets[places[index]])])[None] + first
            found[index] = _last_done(data, far, np.ones(far.shape, bool), register, bits)[0]
        effect[places[found > 0]] = Effect.LOST
    return replace(steps, effect=effect)


def _last_done(
    data: Bytes, at: NDArray[np.intp], begins: NDArray[np.bool_], register: int, bits: int
) -> NDArray[np.int8]:
    """What instructions do last to a register: 1 to compute with it, -1 to load it, 0 nothing.

    Args:
        data: the code.
        at: offsets, in rows of ascending ones.
        begins: at which of them an instruction begins.
        register: its number.
        bits: 64 or 32.

    Returns:
        One answer a row.
    """
    first = data[at]
    rex = np.where(first & 0xF0 == 0x40, first, 0) if bits == 64 else np.zeros_like(first)
    opcode, byte = data[at + (rex != 0)], data[at + (rex != 0) + 1]
    low, middle, direct = byte & 7, byte >> 3 & 7, byte >= 0xC0
    its_rm = (low == register & 7) & ((rex & 1 != 0) == (register > 7))
    its_reg = (middle == register & 7) & ((rex & 4 != 0) == (register > 7))
    named = (opcode & 7 == register & 7) & ((rex & 1 != 0) == (register > 7))
    to_rm, to_register, loads = (_IS[kind][opcode] for kind in range(3))
    # Of groups, CMP only looks; so does TEST, and MUL and DIV write elsewhere.
    to_rm &= (opcode > 0x83) | (opcode < 0x81) | (middle != 7)
    to_rm &= (opcode != 0xF7) | (middle == 2) | (middle == 3)
    changed = to_rm & direct & its_rm | to_register & its_reg
    changed |= (opcode == 0x8B) & direct & its_reg | (opcode & 0xF8 == 0xB8) & named
    loaded = (opcode == 0x8B) & ~direct & its_reg | loads & named
    done = np.where(changed, np.int8(1), np.where(loaded, np.int8(-1), np.int8(0)))
    done[~begins] = 0
    if not done.shape[1]:
        return np.zeros(len(done), np.int8)
    latest = done.shape[1] - 1 - np.argmax(done[:, ::-1] != 0, axis=1)
    answer: NDArray[np.int8] = done[np.arange(len(done)), latest]
    return answer


def _kinds() -> NDArray[np.bool_]:
    """By opcode: whether it writes ModRM.rm, the register of ModRM.reg, or pops; (3, 256).

    ADD, OR, ADC, SBB, AND, SUB and XOR; the shifts; IMUL, LEA, MOV.
    """
    kinds = np.zeros((3, 256), bool)
    kinds[0, [*range(0x01, 0x38, 8), 0x81, 0x83, 0x89, 0xC1, 0xC7, 0xD1, 0xD3, 0xF7]] = True
    kinds[1, [*range(0x03, 0x38, 8), 0x69, 0x6B, 0x8D]] = True
    kinds[2, 0x58:0x60] = True
    return kinds


_IS = _kinds()
