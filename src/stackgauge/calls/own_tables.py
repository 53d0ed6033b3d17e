"""Which indirect jumps are the jump tables of their own function, and so lead to no other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.leads import Leads
from stackgauge.calls.model import Addresses
from stackgauge.evidence.pieces import Placed
from stackgauge.frames.measure import Measurer
from stackgauge.image.arrays import member
from stackgauge.isa.model import Flow

Mask = NDArray[np.bool_]

_ENDS = (Flow.JUMP, Flow.STOP, Flow.INDIRECT, Flow.TRAP)
_WORD = 4


def own_tables(
    work: Measurer, code: Placed, leads: Leads, jumps: Mask, depth: NDArray[np.int32]
) -> Mask:
    """Which jumps can only lead to code of their own function.

    What is deeper than a function's entry cannot be a tail call; it is a jump table, if the
    function has code that nothing else leads to. At the entry's depth only the code that works out
    the address can tell.

    Args:
        work: what the image was measured with.
        code: its instructions that matter.
        leads: those that leave.
        jumps: which of them to look at, bool.
        depth: how deep it is at each, at least; int32.
    """
    deep = jumps & (depth > work.isa.entry_depth)
    result = jumps & False
    if deep.any():
        steps, pieces = code.steps, code.pieces
        ends = np.flatnonzero(np.isin(steps.flow, _ENDS))
        begins = steps.end[ends]
        inside = begins < pieces.end[code.piece[ends]]
        ends, begins = ends[inside], begins[inside]
        branches = (steps.flow == Flow.JUMP) | (steps.flow == Flow.BRANCH)
        orphan = ~member(begins, steps.target[branches])
        has = np.zeros(len(pieces.start), bool)
        has[code.routine(ends[orphan])] = True
        result |= deep & has[leads.routine]
    rest = np.flatnonzero(jumps & ~deep)
    computed = {"arm64": _arm64, "arm": _arm}.get(work.isa.name)
    if computed is not None and len(rest):
        words, before = _words(work, leads.code[rest])
        result[rest] = computed(words, before)
    return result


def _words(work: Measurer, place: Addresses) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The instruction at each place, and the one before it; 0 where there is none."""
    elf = work.image.elf
    words, before = np.zeros((2, len(place)), np.uint32)
    # A loop over the sections of code.
    for index in elf.executable.tolist():
        base, size = int(elf.headers["addr"][index]), int(elf.headers["size"][index])
        inside = (place >= np.uint64(base + _WORD)) & (place < np.uint64(base + size))
        here = np.flatnonzero(inside & (place % np.uint64(_WORD) == 0))
        order = "<" if elf.order == "<" or work.isa.name == "arm64" else ">"
        contents = work.contents(index)
        text = np.ndarray(len(contents) // _WORD, order + "u4", contents.data)
        at = ((place[here] - np.uint64(base)) // np.uint64(_WORD)).astype(np.intp)
        here, at = here[at < len(text)], at[at < len(text)]
        words[here], before[here] = text[at], text[at - 1]
    return words, before


def _arm64(word: NDArray[np.uint32], before: NDArray[np.uint32]) -> Mask:
    """BR to what ADD (extended register) has made of a base and a table's offset times four.

    Arm Architecture Reference Manual for A-profile, C6.2.
    """
    register = word >> np.uint32(5) & np.uint32(31)
    branch = word & np.uint32(0xFFFFFC1F) == 0xD61F0000
    adds = before & np.uint32(0xFFE01C00) == 0x8B200800
    found: Mask = branch & adds & (before & np.uint32(31) == register)
    return found


def _arm(word: NDArray[np.uint32], _: NDArray[np.uint32]) -> Mask:
    """LDR pc, [pc, Rm, LSL #2] and ADD pc, pc, Rm, LSL #2: the table follows the instruction.

    Arm Architecture Reference Manual for A-profile of Armv7, A8.8.
    """
    unconditional = word & np.uint32(0x0FFFFFF0)
    found: Mask = (unconditional == 0x079FF100) | (unconditional == 0x008FF100)
    return found
