"""The stack steps of LoongArch code."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.followed import Copies
from stackgauge.isa.loongarch import encoding as e
from stackgauge.isa.loongarch.amounts import result, step
from stackgauge.isa.loongarch.encoding import written_registers
from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.reading import NOWHERE, Edges, Instructions, Language, past_padding, steps_of
from stackgauge.isa.straight import LARGEST, Line, is_alignment, taken
from stackgauge.isa.words import Indices, Text, Words, text_of

_FLOW, _DESTINATION, _COPY = 1, 2, 4


def read_loongarch(code: Code, ranges: Ranges) -> Steps:
    """The stack steps of LoongArch code.

    Args:
        code: one section.
        ranges: the stretches of it to read; what is not whole words in the section is left out.
    """
    text = text_of(code, ranges)
    inside = text.inside()
    upper, lower = _by_half()
    halves = text.words.view("<u2")
    found = upper.take(halves[1::2])
    found &= lower.take(halves[0::2])
    found *= inside
    leading, moving = np.flatnonzero(found & _FLOW), np.flatnonzero(found & ~np.uint8(_FLOW))
    instructions = Instructions(
        text, inside, lambda at: text.words[at], lambda at: np.ones(len(at), np.intp)
    )
    edges = _edges(text, leading)
    return steps_of(instructions, _LANGUAGE, moving, edges, np.zeros(0, np.intp))


@cache
def _by_half() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where an instruction's upper and lower half have a bit in common, it may matter.

    65,536 bytes each.
    """
    half = np.arange(1 << 16, dtype=np.uint32)
    code = half >> np.uint32(10)
    leads = (code >= e.BEQZ) & (code <= e.BGEU) | (half == e.BREAK) | (half == e.ERTN >> 16)
    upper = np.where(leads, _FLOW, 0)
    upper |= np.where(e.writes_rd(), _DESTINATION, 0)
    copies = (half >> np.uint32(6) == e.ADDI_D >> 22) | (half == e.OR >> 16)
    upper |= np.where(copies, _COPY, 0)
    lower = np.full(1 << 16, _FLOW)
    lower |= np.where(half & np.uint32(31) == e.SP, _DESTINATION, 0)
    copied = (half & np.uint32(31) == e.FRAME_POINTER) & (
        half >> np.uint32(5) & np.uint32(31) == e.SP
    )
    lower |= np.where(copied, _COPY, 0)
    return upper.astype(np.uint8), lower.astype(np.uint8)


def _edges(text: Text, at: Indices) -> Edges:
    """Where instructions lead, of those at ``at``."""
    words = text.words[at]
    code, upper = words >> np.uint32(26), words >> np.uint32(16)
    low = e.field(words, 10, 16)
    far = (code <= e.BCEQZ) | (code == e.B) | (code == e.BL)
    # The high part of a distance stands in the lowest bits: of 16, 21 or 26 bits in all.
    width = np.where(far, np.where(code <= e.BCEQZ, 5, 10), 0).astype(np.uint32)
    high = words & ((np.uint32(1) << width) - np.uint32(1))
    shift = (np.uint32(48) - width).astype(np.int64)
    distance = (high.astype(np.int64) << 16 | low) << shift >> shift
    flow = np.full(len(at), Flow.BRANCH, np.uint8)
    flow[code == e.B] = Flow.JUMP
    flow[code == e.BL] = Flow.CALL
    indirect = code == e.JIRL
    flow[indirect] = Flow.INDIRECT
    flow[indirect & (e.rj(words) == e.RA) & (low == 0)] = Flow.STOP
    flow[indirect & (e.rd(words) != 0)] = Flow.CALL
    # A branch that compares a register with itself.
    same = (e.rj(words) == e.rd(words)) & (code >= e.BEQ)
    flow[same & np.isin(code, (e.BEQ, e.BGE, e.BGEU))] = Flow.JUMP
    flow[upper == e.BREAK] = np.where(words[upper == e.BREAK] & 0x8000, Flow.NEXT, Flow.TRAP)
    flow[upper == e.ERTN >> 16] = np.where(
        words[upper == e.ERTN >> 16] == e.ERTN, Flow.STOP, Flow.NEXT
    )
    target = np.where(
        indirect | (upper == e.BREAK) | (upper == e.ERTN >> 16), NOWHERE, at + distance
    )
    # PCADDU18I rX, high; JIRL rd, rX, low: a call or a jump to far away.
    before = text.words[np.maximum(at - 1, 0)]
    pair = indirect & (before >> np.uint32(25) == 0x0F) & (e.rd(before) == e.rj(words)) & (at > 0)
    far_away = (e.signed_field(before, 5, 20) << 16) + e.signed_field(words, 10, 16)
    target[pair] = at[pair] - 1 + far_away[pair]
    flow[pair & (e.rd(words) == 0)] = Flow.JUMP
    edges = Edges(at, at + 1, flow, target).take(flow != Flow.NEXT)
    past_padding(text, edges, (e.NOP,))
    return edges


def _copies(at: Indices, words: Words) -> Copies:
    """The instructions that set a register to another one and a number."""
    adds = words & np.uint32(0xFFC00000) == e.ADDI_D
    upper = words & np.uint32(0xFC000000) == e.ADDU16I_D
    first, second = e.rj(words), e.rk(words)
    moves = (words & np.uint32(0xFFFF8000) == e.OR) & ((first == 0) ^ (second == 0))
    source = np.where(moves, first | second, first).astype(np.intp)
    value = np.where(adds, e.signed_field(words, 10, 12), 0)
    value = np.where(upper, e.signed_field(words, 10, 16) << 16, value)
    found = (adds | upper | moves) & (source != 0) & (e.rd(words) != 0)
    found &= np.abs(value) <= LARGEST
    return Copies(at, e.rd(words).astype(np.intp), source, value).take(found)


def _by_register(line: Line, at: int) -> list[tuple[Effect, int]]:
    """What an instruction does to the stack pointer by what registers hold, or in another way."""
    word = int(line.words[at])
    kind, first, second = word & 0xFFFF8000, word >> 5 & 31, word >> 10 & 31
    if kind == e.SUB_D and first == e.SP:
        return taken(line.amount(at, second), e.ALIGNMENT)
    if kind == e.AND and e.SP in (first, second):
        number = line.amount(at, second if first == e.SP else first).exact
        if number is not None and is_alignment(-number):
            return [(Effect.ALIGN, -number)]
    if word & 0xFFC0FFFF == e.BSTRINS_D | e.SP:  # of zeros, from bit 0 on
        return [(Effect.ALIGN, 2 << (word >> 16 & 63))]
    return [(Effect.LOST, 0)]


_LANGUAGE = Language(
    sp=e.SP,
    pinned={e.FRAME_POINTER: 0},
    copies=_copies,
    written=written_registers,
    result=result,
    step=step,
    by_register=_by_register,
)
