"""The stack steps of z/Architecture code.

A function saves registers in the area above its caller's stack pointer, its own stack pointer as
a rule among them, and leaves by loading them all again. The load is known by where the area has
the stack pointer: then the stack pointer is what it was when the function was entered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.boundaries import instruction_starts
from stackgauge.isa.followed import Copies
from stackgauge.isa.model import NO_AMOUNT, Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.reading import NOWHERE, Edges, Instructions, Language, past_padding, steps_of
from stackgauge.isa.s390 import encoding as e
from stackgauge.isa.s390 import writes as w
from stackgauge.isa.s390.amounts import result, step
from stackgauge.isa.s390.encoding import field, long_displacement, opcodes, signed_field
from stackgauge.isa.s390.writes import written_registers
from stackgauge.isa.straight import LARGEST, Line, is_alignment, taken
from stackgauge.isa.words import Indices, Text, Words, text_of

# Instructions are made of these.
HALF = 2

_FLOW, _MOVE, _LATE = 1, 2, 4

# Where a function saves its caller's stack pointer: above its own at entry, in bytes (ELF ABI
# s390x Supplement, 1.2.2); kernels may be built with -mpacked-stack, which has it elsewhere.
_SAVED_AT = 8 * e.SP


def read_s390(code: Code, ranges: Ranges) -> Steps:
    """The stack steps of z/Architecture code.

    Args:
        code: one section.
        ranges: the stretches of it to read.
    """
    text = text_of(code, ranges, ">", HALF)
    length = _lengths().take(text.words >> np.uint16(14))
    starts = instruction_starts(length, text.begin[text.begin < text.end], 3)
    starts &= text.inside()
    first, second = _kinds()
    kind = first.take(text.words)
    kind *= starts
    fetch = partial(_fetch, text)
    edges = _edges(text, fetch, np.flatnonzero(kind & _FLOW))
    moving = np.flatnonzero(kind & np.uint8(_MOVE | _LATE))
    late = kind[moving] & _LATE != 0
    moving = moving[~late | second.take(text.words.take(moving + 1, mode="clip"))]
    area = _save_area(text, edges, moving, fetch(moving))
    edges.flow[area.returns] = Flow.STOP
    language = Language(
        sp=e.SP,
        pinned={e.FRAME_POINTER: 0},
        copies=partial(_copies, text, area),
        written=written_registers,
        result=result,
        step=step,
        by_register=_by_register,
    )
    instructions = Instructions(text, starts, fetch, lambda at: length[at].astype(np.intp))
    return steps_of(instructions, language, moving, edges, np.zeros(0, np.intp))


def _fetch(text: Text, at: Indices) -> Words:
    """The 48 bits at some halves; where the section ends, its last half again."""
    words = text.words.take(at).astype(np.uint64)
    # Two more halves.
    for further in (1, 2):
        words = words << np.uint64(16) | text.words.take(at + further, mode="clip")
    return words


def _lengths() -> NDArray[np.uint8]:
    """The length of an instruction in halves, by its two highest bits.

    Principles of Operation, chapter 5, "Instruction Length".
    """
    return np.array([1, 2, 2, 3], np.uint8)


@cache
def _kinds() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Whether an instruction may matter, by its first half, and if _LATE, by its second half."""
    half = np.arange(1 << 16)
    byte, first, third = half >> 8, half >> 4 & 15, half & 15
    code = np.where(np.isin(byte, (0xA7, 0xC0, 0xCC)), byte << 8 | third, byte << 8)
    flow = np.isin(half, (0, *e.STOPS, e.BAKR, e.BSG, e.BSA, 0xEB00))
    flow |= np.isin(byte, (0x82, 0x84, 0x85, e.MC >> 8, e.BAL >> 8, e.BAS >> 8, 0xEC))
    calls = np.isin(byte << 8, (e.BALR, e.BSM, e.BASSM, e.BASR))
    flow |= (calls | (byte << 8 == e.BCR) & (first == 15)) & (third != 0)
    flow |= ((byte << 8 == e.BC) | (byte == e.BIC >> 8)) & (first == 15)
    flow |= np.isin(code, (e.BRAS, e.BRCT, e.BRCTG, e.BRASL, e.BRCTH))
    flow |= np.isin(code, (e.BRC, e.BRCL)) & (first != 0)
    # By the first byte alone: of all its operation codes any may write a register.
    first_named, third_named = first == e.SP, third == e.SP
    pairs, more = first >= e.SP - 1, third >= e.SP - 1
    move = _any(w.FIRST)[byte] & first_named | _any(w.PAIR)[byte] & pairs
    move |= _any(w.PAIRS)[byte] & (pairs | more)
    move |= _any(w.RANGE)[byte] & (first_named | third_named | (first > third))
    late = _any(*w.LATE_KINDS)[byte]
    move |= half == e.LA | e.FRAME_POINTER << 4
    found = np.where(flow, _FLOW, 0) | np.where(move, _MOVE, 0) | np.where(late, _LATE, 0)
    return found.astype(np.uint8), (first >= e.SP - 1) | more


def _any(*wanted: int) -> NDArray[np.bool_]:
    """By first byte, whether any of its operation codes is of one of these kinds."""
    return np.asarray(np.isin(w.kinds().reshape(256, 256), wanted).any(axis=1))


def _edges(text: Text, fetch: Callable[[Indices], Words], at: Indices) -> Edges:
    """Where instructions lead, of those at ``at``."""
    words = fetch(at)
    code = opcodes(words)
    flow = _flows().take(code)
    always = field(words, 8, 4) == 15
    register = field(words, 12, 4)
    flow[(code == e.BCR) & (register == e.RETURN)] = Flow.STOP
    flow[(code == e.BC) & ~always | (code == e.BIC) & ~always] = Flow.NEXT
    flow[((code == e.BRC) | (code == e.BRCL)) & ~always] = Flow.BRANCH
    far = np.isin(code, (e.BRCL, e.BRASL))
    distance = np.where(far, signed_field(words, 16, 32), signed_field(words, 16, 16))
    direct = far | np.isin(code, (e.BRC, e.BRAS, e.BRCTH, *e.NEAR_BRANCHES))
    target = np.where(direct, at + distance, NOWHERE)
    # A way to step over data or instructions that are executed from elsewhere.
    over = np.flatnonzero((code == e.BRAS) & (field(words, 8, 4) != e.RETURN) & (distance > 0))
    inner = target[over] < text.end[text.stretch(at[over])]
    flow[over[inner]] = Flow.JUMP
    # Into itself, where an operation code of 0 is no instruction: GCC's trap.
    itself = np.flatnonzero(direct & (distance == 1))
    flow[itself] = np.where(flow[itself] == Flow.JUMP, Flow.TRAP, Flow.NEXT)
    target[itself] = NOWHERE
    end = at + _lengths().take(field(words, 0, 2))
    edges = Edges(at, end, flow, target).take(flow != Flow.NEXT)
    past_padding(text, edges, e.NOPS)
    return edges


@cache
def _flows() -> NDArray[np.uint8]:
    """Where an operation code leads, if it does so always; 65,536 bytes."""
    flows = np.full(1 << 16, Flow.NEXT, np.uint8)
    flows[[e.BALR, e.BASSM, e.BASR, e.BAL, e.BAS, e.BRAS, e.BRASL, e.BAKR]] = Flow.CALL
    flows[[e.BRC, e.BRCL]] = Flow.JUMP
    flows[[e.BCR, e.BSM, e.BC, e.BIC, e.BSG, e.BSA]] = Flow.INDIRECT
    flows[[e.BRCTH, *e.NEAR_BRANCHES]] = Flow.BRANCH
    flows[[0, *e.STOPS]] = Flow.STOP
    flows[e.MC] = Flow.TRAP
    return flows


class _SaveArea(NamedTuple):
    """Where functions save the stack pointer, and where they load it.

    Attributes:
        place: by stretch, how far above the stack pointer at entry it is saved, in bytes.
        loads: where it is loaded and the function left, ascending.
        returns: which edges leave a function after that, by a register.
    """

    place: NDArray[np.int64]
    loads: Indices
    returns: Indices


def _save_area(text: Text, edges: Edges, at: Indices, words: Words) -> _SaveArea:
    """Find out about the save area from the instructions that may move the stack pointer."""
    code = opcodes(words)
    first, third, base = field(words, 8, 4), field(words, 12, 4), field(words, 16, 4)
    place = _place_of_sp(words)
    stores = (code == e.STMG) & (third == e.SP) | (code == e.STG) & (first == e.SP) & (third == 0)
    stores = np.flatnonzero(stores & (base == e.SP))
    stretch, earliest = np.unique(text.stretch(at[stores]), return_index=True)
    saved = place[stores[earliest]]
    usual = _SAVED_AT
    if len(saved):
        offsets, counts = np.unique(saved, return_counts=True)
        usual = int(offsets[np.argmax(counts)])
    places = np.full(len(text.begin), usual, np.int64)
    places[stretch] = saved
    loads = (code == e.LMG) & (third == e.SP) | (code == e.LG) & (first == e.SP) & (third == 0)
    loads = at[loads & (base != 0)]
    # What calls with what it has loaded has gone to another stack.
    following = np.searchsorted(edges.at, loads)
    flow = np.append(edges.flow, np.uint8(Flow.STOP))[following]
    leaves = following[flow == Flow.INDIRECT]
    return _SaveArea(places, loads[flow != Flow.CALL], leaves)


def _place_of_sp(words: Words) -> NDArray[np.int64]:
    """Where a load or store of several registers has the stack pointer, from its base on."""
    several = np.isin(opcodes(words), (e.LMG, e.STMG))
    before = np.where(several, e.SP - field(words, 8, 4).astype(np.int64), 0)
    place: NDArray[np.int64] = long_displacement(words) + 8 * before
    return place


def _copies(text: Text, area: _SaveArea, at: Indices, words: Words) -> Copies:
    """The instructions that set a register to another one and a number."""
    code = opcodes(words)
    first, third, base = (field(words, low, 4).astype(np.intp) for low in (8, 12, 16))
    late, second = (field(words, low, 4).astype(np.intp) for low in (24, 28))
    into, source, value = first.copy(), third.copy(), signed_field(words, 16, 16)
    moves = (code == e.LGR) | (code == e.LDGR) | (code == e.LGDR)
    into[moves] = (late + np.where(code == e.LDGR, e.FLOATING, 0))[moves]
    source[moves] = (second + np.where(code == e.LGDR, e.FLOATING, 0))[moves]
    value[moves] = 0
    addresses = ((code == e.LA) | (code == e.LAY)) & ((third == 0) != (base == 0))
    source[addresses] = (third | base)[addresses]
    short = code == e.LA
    displacement = np.where(short, field(words, 20, 12).astype(np.int64), long_displacement(words))
    value[addresses] = displacement[addresses]
    adds = (code == e.AGHI) | (code == e.AGFI) | (code == e.ALGFI) | (code == e.SLGFI)
    source[adds] = first[adds]
    number = signed_field(words, 16, 32)
    value[code == e.AGFI] = number[code == e.AGFI]
    unsigned = (code == e.ALGFI) | (code == e.SLGFI)
    number = np.where(code == e.SLGFI, -(number & 0xFFFFFFFF), number & 0xFFFFFFFF)
    value[unsigned] = number[unsigned]
    kept = moves | addresses | adds | (code == e.AGHIK) | (code == e.ALGHSIK)
    kept &= np.abs(value) <= LARGEST
    place = np.minimum(np.searchsorted(area.loads, at), max(len(area.loads) - 1, 0))
    loads = area.loads[place] == at if len(area.loads) else np.zeros(len(at), bool)
    into[loads], source[loads] = e.SP, base[loads]
    value[loads] = _place_of_sp(words[loads]) - area.place[text.stretch(at[loads])]
    return Copies(at, into, source, value).take(kept | loads)


def _by_register(line: Line, at: int) -> list[tuple[Effect, int]]:
    """What an instruction does to the stack pointer by what registers hold, or in another way."""
    word = int(line.words[at])
    code, second, third = e.opcode(word), word >> 16 & 15, word >> 28 & 15
    if code in (e.SGRK, e.SLGRK) and second == e.SP:
        return taken(line.amount(at, third), e.ALIGNMENT)
    # The others have one register for a source and the destination.
    early, late = word >> 36 & 15 == e.SP, word >> 20 & 15 == e.SP
    if code in (e.SGR, e.SLGR) and late:
        return taken(line.amount(at, second), e.ALIGNMENT)
    if code in (e.SG, e.SLG) and early:
        return [(Effect.DYNAMIC, NO_AMOUNT)]
    if code == e.NILL and early:
        return _aligned((word >> 16 & 0xFFFF) - (1 << 16))
    # Of the stack pointer, not rotated, from the first bit on, the others 0.
    if code in (e.RISBG, e.RISBGN) and word & 0xF3F803F00 == e.SP << 32 | 0x800000:
        return _aligned(-(1 << 63 - (word >> 16 & 63)))
    return [(Effect.LOST, 0)]


def _aligned(mask: int) -> list[tuple[Effect, int]]:
    return [(Effect.ALIGN, -mask)] if is_alignment(-mask) else [(Effect.LOST, 0)]
