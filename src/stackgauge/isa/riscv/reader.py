"""The stack steps of RISC-V code, compressed instructions among others."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.arrays import member
from stackgauge.isa.boundaries import instruction_starts
from stackgauge.isa.followed import Copies
from stackgauge.isa.model import Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.reading import NOWHERE, Edges, Instructions, Language, past_padding, steps_of
from stackgauge.isa.riscv import encoding as e
from stackgauge.isa.riscv.amounts import result, step
from stackgauge.isa.riscv.compressed import POPRET, POPRETZ, expanded
from stackgauge.isa.riscv.encoding import field, signed, written_registers
from stackgauge.isa.straight import Line, is_alignment, taken
from stackgauge.isa.words import Indices, Text, Words, text_of

# Instructions are made of these.
HALF = 2

# Of the instructions of more than 32 bits, none is standard yet; they are not read.
_LONGEST = 4

_FLOW, _MOVE = 1, 2


def read_riscv(code: Code, ranges: Ranges, *, bits: int, pushes: bool) -> Steps:
    """The stack steps of RISC-V code.

    Args:
        code: one section.
        ranges: the stretches of it to read.
        bits: 32 or 64.
        pushes: whether it has Zcmp's instructions.
    """
    text = text_of(code, ranges, size=HALF)
    length = _length().take(text.words)
    starts = instruction_starts(length, text.begin[text.begin < text.end], _LONGEST)
    starts &= text.inside()
    unreadable = np.flatnonzero(starts & (length > 2))
    kind = _kinds(bits, pushes).take(text.words)
    kind *= starts
    fetch = partial(_fetch, text)
    edges = _edges(text, np.flatnonzero(kind & _FLOW), bits, pushes)
    moving = np.flatnonzero(kind & _MOVE)
    saving = (edges.flow == Flow.CALL) & (kind.take(edges.at) & _MOVE != 0)
    moving = moving[~member(moving, _inner_calls(text, edges.take(saving)))]
    language = Language(
        sp=e.SP,
        pinned={e.FRAME_POINTER: 0},
        copies=_copies,
        written=written_registers,
        result=result,
        step=step,
        by_register=_by_register,
    )
    instructions = Instructions(
        text,
        starts,
        lambda at: expanded(fetch(at), bits, pushes),
        lambda at: length[at].astype(np.intp),
    )
    return steps_of(instructions, language, moving, edges, unreadable)


def _fetch(text: Text, at: NDArray[np.intp]) -> Words:
    """The 32 bits at some halves; where the section ends, its last half again."""
    low, high = text.words.take(at), text.words.take(at + 1, mode="clip")
    words: Words = high.astype(np.uint32) << np.uint32(16) | low
    return words


@cache
def _length() -> NDArray[np.uint8]:
    """The length of an instruction, by its first half, in halves (volume I, 1.5)."""
    half = np.arange(1 << 16)
    length = np.where(half & 3 == 3, 2, 1)
    length = np.where(half & 0x1F == 0x1F, np.where(half & 0x20, 4, 3), length)
    return length.astype(np.uint8)


@cache
def _kinds(bits: int, pushes: bool) -> NDArray[np.uint8]:
    """Whether an instruction may matter, by its first half."""
    half = np.arange(1 << 16, dtype=np.uint32)
    short = half & np.uint32(3) != 3
    flow = np.isin(e.op(half), (e.BRANCH, e.JAL, e.JALR)) | (half == e.SYSTEM)
    flow |= half == e.UNIMP & 0xFFFF
    quadrant, funct3 = half & np.uint32(3), half >> np.uint32(13)
    jumps = (quadrant == 1) & (funct3 >= 5) | (quadrant == 1) & (funct3 == 1) & (bits == 32)
    jumps |= (quadrant == 2) & (funct3 == 4) & (field(half, 2, 5) == 0) | (half == 0)
    code = half >> np.uint32(8)
    if pushes:
        jumps |= (quadrant == 2) & ((code == POPRET) | (code == POPRETZ))
    word = expanded(half, bits, pushes)
    into = e.rd(word)
    move = e.may_write_rd(word) & (into == e.SP)
    # ADDI s0, sp, n: of 32 bits, the lowest bit of rs1 is in this half.
    copies = (word & np.uint32(0x707F) == e.OP_IMM) & (into == e.FRAME_POINTER)
    move |= copies & np.where(short, e.rs1(word) == e.SP, half >> np.uint32(15) == 0)
    move |= np.isin(e.op(half), (e.JAL, e.JALR)) & (e.rd(half) == e.ALTERNATE_LINK)
    kinds = np.where(np.where(short, jumps, flow), _FLOW, 0) | np.where(move, _MOVE, 0)
    return kinds.astype(np.uint8)


# Where the bits of a distance stand in a branch or jump: lowest bit there, how many, lowest bit
# of the distance (volume I, 2.3, and "C", table of instruction formats).
_B = ((8, 4, 1), (25, 6, 5), (7, 1, 11), (31, 1, 12))
_J = ((21, 10, 1), (20, 1, 11), (12, 8, 12), (31, 1, 20))
_CB = ((3, 2, 1), (10, 2, 3), (2, 1, 5), (5, 2, 6), (12, 1, 8))
_CJ = ((3, 3, 1), (11, 1, 4), (2, 1, 5), (7, 1, 6), (6, 1, 7), (9, 2, 8), (8, 1, 10), (12, 1, 11))


def _distance(words: Words, parts: tuple[tuple[int, int, int], ...]) -> NDArray[np.int64]:
    """The distance that a branch names, in halves."""
    number = np.zeros(len(words), np.uint32)
    for low, width, to in parts:
        number |= field(words, low, width) << np.uint32(to)
    return signed(number, parts[-1][2] + 1) >> 1


def _edges(text: Text, at: Indices, bits: int, pushes: bool) -> Edges:
    """Where instructions lead, of those at ``at``."""
    words = _fetch(text, at)
    short = words & np.uint32(3) != 3
    flow = np.full(len(at), Flow.NEXT, np.uint8)
    target = np.full(len(at), NOWHERE, np.int64)

    def put(which: NDArray[np.bool_], kind: Flow, parts: tuple[tuple[int, int, int], ...]) -> None:
        flow[which] = kind
        target[which] = at[which] + _distance(words[which], parts)

    code, into = e.op(words), e.rd(words)
    put(~short & (code == e.BRANCH), Flow.BRANCH, _B)
    put(~short & (code == e.JAL), Flow.CALL, _J)
    flow[~short & (code == e.JAL) & (into == 0)] = Flow.JUMP
    quadrant = words & np.uint32(3) | words >> np.uint32(11) & np.uint32(0x1C)
    put(quadrant == 1 + 4 * 5, Flow.JUMP, _CJ)
    put((quadrant == 1 + 4 * 6) | (quadrant == 1 + 4 * 7), Flow.BRANCH, _CB)
    if bits == 32:
        put(quadrant == 1 + 4 * 1, Flow.CALL, _CJ)
    by_register = ~short & (code == e.JALR)
    jumps = quadrant == 2 + 4 * 4
    links = np.where(short, field(words, 12, 1), into) != 0
    register = np.where(short, field(words, 7, 5), e.rs1(words))
    leaves = by_register | jumps & (register != 0)
    returns = (register == e.RA) | (register == e.ALTERNATE_LINK)
    flow[leaves] = np.where(links, Flow.CALL, np.where(returns, Flow.STOP, Flow.INDIRECT))[leaves]
    flow[jumps & (register == 0) | (words == e.EBREAK)] = Flow.TRAP
    stops = short & (words & np.uint32(0xFFFF) == 0)
    system = np.flatnonzero(code == e.SYSTEM)
    stops[system] = np.isin(words[system], (e.UNIMP, *e.RETURNS))
    if pushes:
        above = words >> np.uint32(8) & np.uint32(0xFF)
        stops |= (quadrant == 2 + 4 * 5) & ((above == POPRET) | (above == POPRETZ))
    flow[stops] = Flow.STOP
    _pair(text, at, words, by_register, flow, target)
    end = at + np.where(short, 1, 2)
    edges = Edges(at, end, flow, target).take(flow != Flow.NEXT)
    past_padding(text, edges, e.NOP_HALVES)
    return edges


def _pair(
    text: Text,
    at: Indices,
    words: Words,
    by_register: NDArray[np.bool_],
    flow: NDArray[np.uint8],
    target: NDArray[np.int64],
) -> None:
    """Find the targets of AUIPC rX, high; JALR rd, low(rX): a call or a jump to far away."""
    jumps = np.flatnonzero(by_register & (at >= 2))
    before = _fetch(text, at[jumps] - 2)
    pairs = (e.op(before) == e.AUIPC) & (e.rd(before) == e.rs1(words[jumps]))
    jumps, before = jumps[pairs], before[pairs]
    distance = (signed(before >> np.uint32(12), 20) << 12) + signed(
        words[jumps] >> np.uint32(20), 12
    )
    target[jumps] = at[jumps] - 2 + (distance >> 1)
    flow[jumps[e.rd(words[jumps]) == 0]] = Flow.JUMP


def _inner_calls(text: Text, edges: Edges) -> Indices:
    """Of some calls those of a part of the same stretch, whose way back is seen."""
    stretch = text.stretch(edges.at)
    inner = (edges.target >= text.begin[stretch]) & (edges.target < text.end[stretch])
    return edges.at[inner]


def _copies(at: Indices, words: Words) -> Copies:
    """The instructions that set a register to another one and a number."""
    adds = words & np.uint32(0x707F) == e.OP_IMM
    # ADD of x0 is a move, too.
    sums = (words & np.uint32(0xFE00707F) == e.OP) & (
        (e.rs1(words) == 0) ^ (field(words, 20, 5) == 0)
    )
    source = np.where(sums, e.rs1(words) | field(words, 20, 5), e.rs1(words))
    value = np.where(sums, 0, signed(words >> np.uint32(20), 12))
    found = (adds | sums) & (source != 0) & (e.rd(words) != 0)
    copies = Copies(at, e.rd(words).astype(np.intp), source.astype(np.intp), value)
    return copies.take(found)


def _by_register(line: Line, at: int) -> list[tuple[Effect, int]]:
    """What an instruction does to the stack pointer by what registers hold, or in another way."""
    word = int(line.words[at])
    first, second = word >> 15 & 31, word >> 20 & 31
    if word & 0xFE00707F == e.OP | 0x20 << 25 and first == e.SP:  # SUB
        return taken(line.amount(at, second), e.ALIGNMENT)
    if word & 0x707F == e.OP_IMM | 7 << 12 and first == e.SP:  # ANDI
        return _aligned((word >> 20) - (word >> 31 << 12))
    if word & 0xFE00707F == e.OP | 7 << 12 and e.SP in (first, second):  # AND
        return _aligned(line.amount(at, second if first == e.SP else first).exact)
    return [(Effect.LOST, 0)]


def _aligned(mask: int | None) -> list[tuple[Effect, int]]:
    if mask is not None and is_alignment(-mask):
        return [(Effect.ALIGN, -mask)]
    return [(Effect.LOST, 0)]
