"""Instruction evidence for a set of functions: read their code, then follow its paths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.flow import Followed, follow
from stackgauge.evidence.pieces import Pieces
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
from stackgauge.isa.model import Code, Flow, Isa, Ranges, Steps, joined
from stackgauge.kernel.tables import Jumps, Replacements

Addresses = NDArray[np.uint64]


def with_replacements(pieces: Pieces, jumps: Jumps, patched: Replacements) -> tuple[Pieces, Jumps]:
    """Make the alternatives of the pieces' code part of their routines.

    A replacement runs in the place of what stands at its site, so it is entered with the stack as
    it is there; the way back need not be followed, since the code after the site has the same
    depth either way.
    """
    at = pieces.at(patched.site)
    empty = patched.site[(patched.end == patched.start) & (at >= 0)]
    used = (at >= 0) & (patched.end > patched.start)
    # Two alternatives may share one replacement; then either site's routine may have it.
    _, first = np.unique(patched.start[used], return_index=True)
    chosen = np.flatnonzero(used)[first]
    start = np.concatenate([pieces.start, patched.start[chosen]])
    order = np.argsort(start, kind="stable")
    merged = Pieces(
        start=start[order],
        end=np.concatenate([pieces.end, patched.end[chosen]])[order],
        routine=np.concatenate([pieces.routine, pieces.routine[at[chosen]]])[order],
        entry=np.concatenate([pieces.entry, np.zeros(len(chosen), bool)])[order],
    )
    return merged, Jumps(
        # An edge from a site to itself says only that a jump there may be a NOP.
        np.concatenate([jumps.source, patched.site[chosen], empty]),
        np.concatenate([jumps.target, patched.start[chosen], empty]),
    )


def _with_jumps_of(steps: Steps, jumps: Jumps, patched: Replacements) -> Jumps:
    """Add where alternatives lead that stand in a piece of their own, between functions.

    They are not entered there, so only their jumps matter, made from their sites.
    """
    leads = np.flatnonzero(np.isin(steps.flow, (Flow.JUMP, Flow.BRANCH)))
    first = np.searchsorted(steps.start[leads], patched.start)
    count = np.searchsorted(steps.start[leads], patched.end) - first
    each = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
    return Jumps(
        # An edge from a site to itself says only that a jump there may be a NOP.
        np.concatenate([jumps.source, np.repeat(patched.site, count), patched.site]),
        np.concatenate([jumps.target, steps.target[leads[each]], patched.site]),
    )


def read_steps(
    elf: Elf, isa: Isa, contents: Callable[[int], Bytes], start: Addresses, end: Addresses
) -> Steps:
    """The stack steps of the code at ``start``..``end``, disjoint and ascending.

    Args:
        elf: the image.
        isa: its architecture.
        contents: section index to bytes, relocated where the image is an object.
        start, end: addresses, (n,) uint64; what lies in no section of code is left out.
    """
    parts = []
    for index in elf.executable.tolist():
        base, size = int(elf.headers["addr"][index]), int(elf.headers["size"][index])
        low = int(np.searchsorted(start, np.uint64(base)))
        if low == int(np.searchsorted(start, np.uint64(base + size))):
            continue
        data = contents(index)
        # A broken file may have less of a section than it says.
        stop = np.uint64(base + min(size, len(data)))
        high = int(np.searchsorted(start, stop))
        if high > low:
            ranges = Ranges(start[low:high], np.minimum(end[low:high], stop))
            parts.append(isa.read(Code(data, base), ranges))
    return joined(parts)


def instruction_rows(
    elf: Elf,
    isa: Isa,
    contents: Callable[[int], Bytes],
    pieces: Pieces,
    steps: Steps,
    jumps: Jumps,
    patched: Replacements,
    never: Addresses,
) -> Followed:
    """What the instructions of the pieces say, alternatives and table edges included.

    Args:
        elf: the image.
        isa: its architecture.
        contents: section index to bytes, relocated where the image is an object.
        pieces: the code of the routines, without their alternatives.
        steps: what the instructions of the pieces do.
        jumps: edges from the kernel's tables.
        patched: the alternatives.
        never: addresses, ascending, of routines that are known not to return.
    """
    inside = (pieces.at(patched.start) >= 0) & (patched.end > patched.start)
    jumps = _with_jumps_of(steps, jumps, Replacements(*(column[inside] for column in patched)))
    patched = Replacements(*(column[~inside] for column in patched))
    whole, jumps = with_replacements(pieces, jumps, patched)
    other = pieces.at(whole.start) < 0
    if other.any():
        more = read_steps(elf, isa, contents, whole.start[other], whole.end[other])
        steps = joined([steps, more])
        steps = steps.take(np.argsort(steps.start, kind="stable"))
    return follow(steps, whole, isa, jumps, never)
