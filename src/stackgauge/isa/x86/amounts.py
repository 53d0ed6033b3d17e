"""How much ``sub %reg,%rsp`` takes, where the instructions before it say so.

A large frame may be taken by a constant in a register; the kernel's random stack offset
(include/linux/randomize_kstack.h) is masked just before, so it has a limit; a variable-length
array has none. Stack clash protection takes a large frame page by page in a loop that ends at an
address computed before (GCC's -fstack-clash-protection).

Plain Python over a few instructions before each such place: a kernel has a handful of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes
from stackgauge.isa.model import NO_AMOUNT, Effect, Flow, Steps
from stackgauge.isa.x86.lengths import LONGEST

# How many instructions before the subtraction are looked at.
LOOK_BACK = 16

RSP = 4

# What a probe loop takes at each turn, at least (the guard size).
_PAGE = 4096

# ``lea disp32(%rsp),%r11``, which says where such a loop ends; in 32-bit code to eax, ecx or edx.
_LIMITS = {
    64: (b"\x4c\x8d\x9c\x24",),
    32: (b"\x8d\x84\x24", b"\x8d\x8c\x24", b"\x8d\x94\x24"),
}


@dataclass(frozen=True)
class _Instruction:
    """A simple integer instruction: ``target`` becomes ``source`` op ``amount``."""

    op: str
    target: int
    source: int = -1
    amount: int = 0


def settle_amounts(
    steps: Steps,
    offsets: NDArray[np.intp],
    data: Bytes,
    begins: NDArray[np.bool_],
    bits: int,
) -> Steps:
    """Turn DYNAMIC effects into what the instructions before them say.

    Args:
        steps: as read; each DYNAMIC one is an ``add`` or ``sub`` of a register or memory.
        offsets: where each step is in ``data``.
        data: the code.
        begins: at which bytes of it an instruction begins.
        bits: 64 or 32.

    Returns:
        The steps with ADD for an amount that is constant, DYNAMIC with ``value`` its limit in
        bytes or NO_AMOUNT, LOST for an addition of something unknown.
    """
    steps = _with_probe_loops(steps, offsets, data, bits)
    places = np.flatnonzero(steps.effect == Effect.DYNAMIC).tolist()
    effect, value = steps.effect.copy(), steps.value.copy()
    for place in places:
        here = int(offsets[place])
        low = max(here - LOOK_BACK * LONGEST, 0)
        starts = np.flatnonzero(begins[low : here + LONGEST + 1]) + low
        at = int(np.searchsorted(starts, here))
        own = _decode(data, starts, at, bits)
        adds = own is not None and own.op == "add-register"
        span = None
        if own is not None and own.source >= 0:
            first = _straight_from(steps, place, offsets, starts, at)
            span = _span(data, starts, first, at, own.source, bits)
        sign = 1 if adds else -1
        if span is not None and span[0] == span[1]:
            effect[place], value[place] = Effect.ADD, sign * _signed(span[0], bits)
        elif adds:
            effect[place] = Effect.LOST
        else:
            value[place] = NO_AMOUNT if span is None else span[1]
    return replace(steps, effect=effect, value=value)


def _signed(amount: int, bits: int) -> int:
    return amount - (1 << bits) if amount >> (bits - 1) else amount


def _straight_from(
    steps: Steps,
    place: int,
    offsets: NDArray[np.intp],
    starts: NDArray[np.intp],
    at: int,
) -> int:
    """The earliest instruction from which control can only run straight down to ``at``."""
    earliest = max(at - LOOK_BACK, 0)
    here = int(offsets[place])
    shift = int(steps.start[place]) - here
    for earlier in range(place - 1, max(place - LOOK_BACK, -1), -1):
        if steps.flow[earlier] not in (Flow.NEXT, Flow.BRANCH):
            after = int(np.searchsorted(starts, int(offsets[earlier]) + 1))
            earliest = max(earliest, after)
            break
    low, high = np.uint64(int(starts[earliest]) + shift), np.uint64(here + shift)
    landings = steps.target[(steps.target >= low) & (steps.target <= high)]
    if len(landings):
        earliest = int(np.searchsorted(starts, int(landings.max()) - shift))
    return earliest


def _span(
    data: Bytes, starts: NDArray[np.intp], first: int, at: int, register: int, bits: int
) -> tuple[int, int] | None:
    """The least and the largest value that ``register`` can have before instruction ``at``."""
    # Backwards to where the value comes from, then forwards again through what is done to it.
    chain: list[_Instruction] = []
    for index in range(at - 1, first - 1, -1):
        found = _decode(data, starts, index, bits)
        if found is None:
            return _forward(chain, None)
        if found.target != register or found.op == "none":
            continue
        chain.append(found)
        if found.op == "set":
            break
        if found.op == "copy":
            register = found.source
        elif found.op == "add-register":
            return _forward(chain[:-1], None)
    return _forward(chain, None)


def _forward(chain: list[_Instruction], span: tuple[int, int] | None) -> tuple[int, int] | None:
    for found in reversed(chain):
        amount = found.amount
        if found.op == "set":
            span = (amount, amount)
        elif found.op == "and":
            # Whatever it was before: at most the mask, and no more than it was.
            if amount < 0:
                span = None if span is None or span[0] < 0 else (0, span[1])
            elif span is not None and span[0] == span[1]:
                span = (span[0] & amount,) * 2
            else:
                high = amount if span is None or span[0] < 0 else _largest(span[1], amount)
                span = (0, high)
        elif found.op in ("add", "copy") and span is not None:
            span = (span[0] + amount, span[1] + amount)
    return span


def _largest(limit: int, mask: int) -> int:
    """The largest ``x & mask`` for x from 0 to ``limit``."""
    best = limit & mask
    for bit in range(limit.bit_length()):
        if limit >> bit & 1:
            best = max(best, ((limit ^ (1 << bit)) | ((1 << bit) - 1)) & mask)
    return best


def _decode(data: Bytes, starts: NDArray[np.intp], index: int, bits: int) -> _Instruction | None:
    """The few integer instructions that compute an amount; None for any other.

    ``op`` is ``none`` for an instruction that is known to write no register.
    """
    begin = int(starts[index])
    end = int(starts[index + 1]) if index + 1 < len(starts) else begin + 15
    code = data[begin:end].tobytes()
    rex = code[0] if bits == 64 and code[0] & 0xF0 == 0x40 else 0
    code = code[1:] if rex else code
    if not code:
        return None
    opcode = code[0]
    if opcode in range(0xB8, 0xC0) and not rex & 8 and len(code) >= 5:
        target = (opcode & 7) + ((rex & 1) << 3)
        return _Instruction("set", target, amount=int.from_bytes(code[1:5], "little"))
    if opcode in (0x05, 0x25) and len(code) >= 5:
        amount = int.from_bytes(code[1:5], "little", signed=True)
        return _Instruction("add" if opcode == 0x05 else "and", 0, amount=amount)
    if opcode in range(0x50, 0x58) or opcode == 0x90 or code[:2] == b"\x0f\x1f":
        return _Instruction("none", -1)
    if opcode in range(0x70, 0x80) or (opcode == 0x0F and len(code) > 1 and code[1] & 0xF0 == 0x80):
        return _Instruction("none", -1)
    if len(code) < 2:
        return None
    mod, reg, rm = (
        code[1] >> 6,
        (code[1] >> 3 & 7) + ((rex & 4) << 1),
        (code[1] & 7) + ((rex & 1) << 3),
    )
    return _with_modrm(code, opcode, mod, reg, rm)


def _with_modrm(code: bytes, opcode: int, mod: int, reg: int, rm: int) -> _Instruction | None:
    if opcode in (0x38, 0x39, 0x3A, 0x3B, 0x84, 0x85):  # CMP, TEST
        return _Instruction("none", -1)
    if opcode in (0x88, 0x89):
        return _Instruction("copy", rm, reg) if mod == 3 else _Instruction("none", -1)
    if opcode == 0x8B:
        return _Instruction("copy", reg, rm) if mod == 3 else _Instruction("add-register", reg)
    if opcode == 0x8D and mod == 1 and rm & 7 != RSP:
        return _Instruction("copy", reg, rm, int.from_bytes(code[2:3], "little", signed=True))
    if opcode == 0x8D:
        return _Instruction("add-register", reg)
    if opcode in (0x81, 0x83) and mod == 3:
        width = 4 if opcode == 0x81 else 1
        amount = int.from_bytes(code[2 : 2 + width], "little", signed=True)
        operation = reg & 7
        if operation in (0, 5):
            return _Instruction("add", rm, amount=amount if operation == 0 else -amount)
        return _Instruction("and", rm, amount=amount) if operation == 4 else None
    if opcode == 0xC7 and mod == 3 and reg & 7 == 0:
        return _Instruction("set", rm, amount=int.from_bytes(code[2:6], "little", signed=True))
    if opcode in (0x31, 0x33) and mod == 3 and reg == rm:
        return _Instruction("set", reg, amount=0)
    if opcode in (0x01, 0x03, 0x29, 0x2B):
        target, source = (rm, reg) if opcode in (0x01, 0x29) else (reg, rm)
        if mod != 3:
            source = -1
            if opcode in (0x01, 0x29):
                return _Instruction("none", -1)
        return _Instruction(
            "add-register" if opcode < 0x29 else "subtract-register", target, source
        )
    return None


def _with_probe_loops(steps: Steps, offsets: NDArray[np.intp], data: Bytes, bits: int) -> Steps:
    """The steps with each loop that takes the stack page by page made one adjustment.

    ``lea -N(%rsp),%r11`` comes before the loop, ``cmp %r11,%rsp; jne`` ends it: after it the
    stack pointer is what r11 was set to, N below where it was before the loop.
    """
    loops = np.flatnonzero(
        (steps.flow[1:] == Flow.BRANCH)
        & (steps.effect[:-1] == Effect.ADD)
        & (steps.value[:-1] <= -_PAGE)
        & (steps.target[1:] == steps.start[:-1])
    )
    if not len(loops):
        return steps
    value, flow = steps.value.copy(), steps.flow.copy()
    for taken in loops.tolist():
        code = data[max(int(offsets[taken]) - 32, 0) : int(offsets[taken])].tobytes()
        at, size = max((code.rfind(limit), len(limit)) for limit in _LIMITS[bits])
        if 0 <= at <= len(code) - size - 4:
            amount = code[at + size : at + size + 4]
            value[taken] = int.from_bytes(amount, "little", signed=True)
            # The way back to the loop's top goes: the one adjustment stands for all turns.
            flow[taken + 1] = Flow.NEXT
    return replace(steps, value=value, flow=flow)
