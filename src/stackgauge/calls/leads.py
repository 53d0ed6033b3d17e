"""The instructions of an image that lead out of their functions, and what they are part of."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.model import Addresses, Indices
from stackgauge.evidence.instructions import read_steps
from stackgauge.evidence.padding import first_code
from stackgauge.evidence.pieces import Pieces, Placed, place
from stackgauge.frames.measure import Measurer
from stackgauge.image.arrays import member
from stackgauge.image.outside import Outside, branches_outside
from stackgauge.isa.model import Effect, Flow, Steps
from stackgauge.kernel.tables import replacements

NO_SYMBOL = -1

_MAY_LEAVE = np.zeros(len(Flow), bool)
_MAY_LEAVE[[Flow.CALL, Flow.JUMP, Flow.BRANCH, Flow.INDIRECT]] = True


# With what a function's last instruction leaves it possible to run on, and with what it does only
# if a branch leads behind that.
_RUNS_ON, _ENDS_PATH = np.zeros((2, len(Flow)), bool)
_RUNS_ON[[Flow.NEXT, Flow.BRANCH]] = True
_ENDS_PATH[[Flow.JUMP, Flow.STOP, Flow.INDIRECT]] = True


@dataclass(frozen=True, eq=False)
class Leads:
    """Columns of one length.

    Attributes:
        address, end: of the instruction where it runs; an alternative's runs at its site.
        code: address at which it stands.
        routine: the function that it is part of, intp.
        flow: Flow, uint8.
        target: where it leads; 0 where it does not say so.
        symbol: row of the symbol of another image that it names, else NO_SYMBOL; int64.
        taken: bytes of stack that it takes itself before it leaves, or what is in its delay slot
            does; int32.
    """

    address: Addresses
    end: Addresses
    code: Addresses
    routine: Indices
    flow: NDArray[np.uint8]
    target: Addresses
    symbol: NDArray[np.int64]
    taken: NDArray[np.int32]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.address)

    def take(self, which: NDArray[np.bool_] | Indices) -> Leads:
        """Those of a mask or an index."""
        return Leads(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


_TYPES = (*(np.uint64,) * 3, np.intp, np.uint8, np.uint64, np.int64, np.int32)


def placed(work: Measurer) -> Placed:
    """All instructions that matter, in the functions that they are part of."""
    functions = work.functions
    return place(
        work.steps,
        Pieces(functions.start, functions.end, functions.routine, functions.parent < 0),
    )


def find_leads(work: Measurer, code: Placed) -> Leads:
    """All calls, and jumps that may lead out of their function, by ascending address."""
    outside = branches_outside(work.image.elf, work.image.symbols)
    parts = [
        _of_functions(work, code, outside),
        _of_alternatives(work, code, outside),
        _over_ends(work, code),
    ]
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    columns = {
        f.name: np.concatenate([np.zeros(0, kind), *(getattr(part, f.name) for part in parts)])
        for f, kind in zip(fields(Leads), _TYPES, strict=True)
    }
    both = Leads(**columns)
    return both.take(np.argsort(both.address, kind="stable"))


def _of_functions(work: Measurer, code: Placed, outside: Outside) -> Leads:
    steps = code.steps
    step = np.flatnonzero(_MAY_LEAVE.take(steps.flow))
    flow, target = steps.flow[step], steps.target[step]
    symbol = _symbols(work, steps, step, outside)
    leaves = (flow == Flow.INDIRECT) | (target == 0) | (symbol != NO_SYMBOL)
    direct = np.flatnonzero(~leaves)
    into, out = code.leaving(step[direct])
    # A call of the routine itself, at its start or just behind what is for other callers. Other
    # code of its own that it calls runs on its own stack.
    again = np.flatnonzero(~out & (flow[direct] == Flow.CALL))
    first = np.searchsorted(steps.start, target[direct[again]])
    out[again] = code.pieces.entry[into[again]] & (first == code.first[into[again]])
    # What _static_cpu_has puts aside tests a bit and jumps back (asm/cpufeature.h of x86).
    aside = work.image.elf.section(".altinstr_aux")
    if aside is not None:
        start = np.uint64(aside.address)
        out &= (target[direct] < start) | (target[direct] >= start + np.uint64(aside.size))
    # A jump to its own code's end, where there is no other, is one that is never taken: what a
    # compiler makes of a case that cannot be (``__builtin_unreachable``).
    out &= (into >= 0) | (target[direct] != code.pieces.end[code.piece[step[direct]]])
    leaves[direct] = out
    step = step[leaves]
    return _leads(steps, step, code.routine(step), steps.start[step], symbol[leaves])


def _leads(
    steps: Steps,
    step: Indices,
    routine: Indices,
    address: Addresses,
    symbol: NDArray[np.int64],
) -> Leads:
    start = steps.start[step]
    before = np.maximum(step - 1, 0)
    taken = np.zeros(len(step), np.int32)
    for own in (step, before):
        adds = (steps.effect[own] == Effect.ADD) & (steps.start[own] == start)
        taken[adds] = -steps.value[own[adds]]
    return Leads(
        address=address,
        end=address + (steps.end[step] - start),
        code=start,
        routine=routine,
        flow=steps.flow[step],
        target=steps.target[step],
        symbol=symbol,
        taken=taken,
    )


def _of_alternatives(work: Measurer, code: Placed, outside: Outside) -> Leads:
    """Those of the code that may stand at other code's place at run time."""
    elf, pieces = work.image.elf, code.pieces
    patched = replacements(elf, work.contents)
    # Those that lie in a piece of code of their own.
    holder = pieces.at(patched.site)
    used = np.flatnonzero((patched.end > patched.start) & (holder >= 0))
    site, start, end = patched.site[used], patched.start[used], patched.end[used]
    routine = pieces.routine[holder[used]]
    begin, first = np.unique(start, return_index=True)
    steps = read_steps(elf, work.isa, work.contents, begin, end[first])
    low = np.searchsorted(steps.start, start)
    count = np.searchsorted(steps.start, end) - low
    step = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
    which = np.repeat(np.arange(len(used)), count)
    leads = _leads(
        steps,
        step,
        routine[which],
        site[which] + (steps.start[step] - start[which]),
        _symbols(work, steps, step, outside),
    )
    own = pieces.at(leads.target)
    inside = (own >= 0) & (pieces.routine[own] == leads.routine)
    inside |= (leads.target >= start[which]) & (leads.target < end[which])
    leaves = (leads.flow == Flow.INDIRECT) | (leads.symbol != NO_SYMBOL) | ~inside
    return leads.take(leaves & _MAY_LEAVE.take(leads.flow))


def _over_ends(work: Measurer, code: Placed) -> Leads:
    """Where control runs over a function's end into the next one, as assembly lets it.

    That is where the last instruction that may lead elsewhere does not end the path, or has code
    behind it to which a branch leads. A call or a trap at the end of a function does not come back
    from what it calls, as far as the compiler knows; and of a stretch without a name that nothing
    leads to nobody knows that it is entered.
    """
    steps, pieces, functions, elf = code.steps, code.pieces, work.functions, work.image.elf
    last = np.maximum(code.after - 1, 0)
    some = code.after > code.first
    flow = np.where(some, steps.flow[last], np.uint8(Flow.NEXT)) if len(steps) else pieces.entry
    behind = np.where(some, steps.end[last], pieces.start) if len(steps) else pieces.start
    goes = np.sort(steps.target[(steps.flow == Flow.BRANCH) | (steps.flow == Flow.JUMP)])
    led = np.searchsorted(goes, pieces.end) > np.searchsorted(goes, behind)
    runs = _RUNS_ON.take(flow) | _ENDS_PATH.take(flow) & led
    runs[:-1] &= functions.section[1:] == functions.section[:-1]
    runs[-1:] = False
    kept = np.flatnonzero(runs)
    called = np.sort(steps.target[steps.flow == Flow.CALL])
    entered = functions.symbol[kept] >= 0
    entered |= member(pieces.start[kept], goes) | member(pieces.start[kept], called)
    kept = kept[entered]
    ends = np.flatnonzero(_ENDS_PATH.take(flow[kept]))
    behind, stop = np.minimum(behind[kept[ends]], pieces.end[kept[ends]]), pieces.end[kept[ends]]
    kept = np.delete(kept, ends[first_code(elf, work.isa, behind, stop) == stop])
    following = pieces.start[kept + 1]
    filled = first_code(elf, work.isa, pieces.end[kept], following) == following
    kept, following = kept[filled], following[filled]
    end = pieces.end[kept]
    last = last[kept]
    moves = some[kept] & (steps.end[last] == end) & (steps.effect[last] == Effect.ADD)
    return Leads(
        address=end - np.uint64(1),
        end=end,
        code=end - np.uint64(1),
        routine=pieces.routine[kept],
        flow=np.full(len(kept), Flow.JUMP, np.uint8),
        target=following,
        symbol=np.full(len(kept), NO_SYMBOL, np.int64),
        taken=np.where(moves, -steps.value[last], 0).astype(np.int32),
    )


def _symbols(work: Measurer, steps: Steps, step: Indices, outside: Outside) -> NDArray[np.int64]:
    """Of each step the symbol of another image to which it leads, by its relocation."""
    symbol = np.full(len(step), NO_SYMBOL, np.int64)
    if not len(outside.address):
        return symbol
    address, named = outside
    start, end = steps.start[step], steps.end[step]
    at = np.minimum(np.searchsorted(address, start), len(address) - 1)
    inside = np.flatnonzero((address[at] >= start) & (address[at] < end))
    at = at[inside]
    if work.isa.name in ("x86_64", "i386"):
        direct = _x86_direct(work, address[at])
        inside, at = inside[direct], at[direct]
    symbol[inside] = named[at]
    return symbol


def _x86_direct(work: Measurer, places: Addresses) -> NDArray[np.bool_]:
    """Whether the 32 bits at each place are a distance to branch, and not where a pointer is."""
    elf = work.image.elf
    code = elf.executable
    base = elf.headers["addr"][code].astype(np.uint64)
    section = np.searchsorted(base, places, side="right") - 1
    result = np.zeros(len(places), bool)
    # A loop over the sections of code.
    for index in np.unique(section).tolist():
        here = np.flatnonzero(section == index)
        data = work.contents(int(code[index]))
        offset = (places[here] - base[index]).astype(np.int64)
        # E8 and E9, or 0F 80 to 0F 8F.
        near, far = data[np.maximum(offset - 1, 0)], data[np.maximum(offset - 2, 0)]
        result[here] = (near & 0xFE == 0xE8) | (near & 0xF0 == 0x80) & (far == 0x0F)
    return result
