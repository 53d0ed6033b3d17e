"""The registers that one function saves on the stack, and where."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stackgauge.evidence.cfi_programs import NO_REGISTER
from stackgauge.evidence.instructions import read_steps
from stackgauge.frames.anchors import Anchors
from stackgauge.frames.measure import Frames
from stackgauge.frames.registers import holds_return_address, register_name
from stackgauge.frames.unwinding import CALLER_SP, State
from stackgauge.frames.variables import Span
from stackgauge.isa.model import Effect, Isa

# The registers that x86's functions must keep, by the number that their push has (Intel's manual,
# volume 2, "PUSH"), r12 to r15 with a prefix: System V ABI, AMD64 supplement, figure 3.4, and
# Intel386 supplement, table 2.3.
_KEPT = {
    "x86_64": {3: "rbx", 5: "rbp", 12: "r12", 13: "r13", 14: "r14", 15: "r15"},
    "i386": {3: "ebx", 5: "ebp", 6: "esi", 7: "edi"},
}

# Prefixes of segments and of operands' sizes, which change nothing here.
_SEGMENTS = bytes.fromhex("26 2e 36 3e 64 65 66")

# A function saves registers where it begins; bytes.
_PROLOGUE = 64


class Saved(NamedTuple):
    """A register's value that is kept for the caller.

    Attributes:
        name: the register's.
        span: where, as a distance from the CFA.
        returns: whether it is where the function returns to.
    """

    name: str
    span: Span
    returns: bool


def saved_registers(isa: Isa, states: list[State], anchors: Anchors) -> list[Saved]:
    """What call frame information says is saved, at one time or another; from the top down."""
    word = isa.bits // 8
    places: dict[tuple[int, int], None] = {}
    for state in states:
        for register, rule in state.saved.items():
            base = 0 if rule.register == NO_REGISTER else anchors(rule.register, state.start)
            if base is not None:
                places[register, base + rule.offset] = None
    found = []
    for register, offset in places:
        name = "caller's sp" if register == CALLER_SP else register_name(isa.name, register)
        # Floating point registers are saved as doubles, whatever a word is.
        size = 8 if name[:1] in "dvf" and name[1:].isdigit() else word
        found.append(Saved(name, Span(offset, size), holds_return_address(isa.name, register)))
    if isa.name in _KEPT:
        # What aligns the stack pushes the return address again, above the frame pointer.
        for offset in anchors.realigned.values():
            found.append(Saved("copy of ra", Span(offset + word, word), returns=False))
    return sorted(found, key=lambda each: -each.span.offset)


def pushed_registers(frames: Frames, start: int, end: int) -> list[Saved]:
    """What a function pushes right where it begins, for images that have only its code.

    Of x86, whose call has pushed the return address; nothing of other architectures.
    """
    isa = frames.isa
    kept = _KEPT.get(isa.name)
    if kept is None:
        return []
    word = isa.bits // 8
    found = [Saved("", Span(-word, word), returns=True)]
    # A loop over the pushes of one function: what follows others on the stack counts.
    for push in _pushes(frames, start, end):
        name = kept.get(push.register)
        if name is None or push.at - start > _PROLOGUE:
            break
        found.append(Saved(name, Span(-word * (len(found) + 1), word), returns=False))
    return found


def pushed_arguments(
    frames: Frames, pieces: list[tuple[int, int]], anchors: Anchors, saved: list[Saved]
) -> list[Span]:
    """Where a function pushes what it does not keep for its caller: arguments of calls, on x86."""
    isa = frames.isa
    kept = {each.span.offset for each in saved}
    word = isa.bits // 8
    found: dict[Span, None] = {}
    for push in (push for piece in pieces for push in _pushes(frames, *piece)):
        above = anchors(isa.sp_register, push.at)
        if above is not None and above - word not in kept:
            found[Span(above - word, word)] = None
    return list(found)


class _Push(NamedTuple):
    """A push: its address, and the number of the register that it pushes, -1 for others."""

    at: int
    register: int


def _pushes(frames: Frames, start: int, end: int) -> list[_Push]:
    """The pushes of a stretch of x86 code (Intel's manual, volume 2, "PUSH")."""
    isa, elf = frames.isa, frames.image.elf
    if isa.name not in _KEPT:
        return []
    bounds = (np.array([each], np.uint64) for each in (start, end))
    steps = read_steps(elf, isa, frames.contents, *bounds)
    moves = (steps.effect == Effect.ADD) & (steps.value == -isa.bits // 8)
    found = []
    for at, after in zip(steps.start[moves].tolist(), steps.end[moves].tolist(), strict=True):
        code = elf.at_addresses(at, after).tobytes().lstrip(_SEGMENTS)
        high = 0
        if isa.bits == 64 and code and code[0] & 0xF0 == 0x40:  # REX
            high, code = (code[0] & 1) * 8, code[1:]
        opcode = code[0] if code else 0
        if 0x50 <= opcode < 0x58:
            found.append(_Push(at, opcode - 0x50 + high))
        elif opcode in (0x68, 0x6A, 0x9C, 0xFF):
            found.append(_Push(at, -1))
    return found
