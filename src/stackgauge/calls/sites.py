"""Where the code of one image calls and jumps out of its functions, and how deep it is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.leads import NO_SYMBOL, Leads, find_leads, placed
from stackgauge.calls.model import Addresses, Kind, Sites
from stackgauge.calls.own_tables import own_tables
from stackgauge.evidence.pieces import Placed
from stackgauge.evidence.table import UNKNOWN, Base, known, sample
from stackgauge.frames.measure import Frames, Measurer
from stackgauge.image.arrays import member
from stackgauge.isa.model import Flow
from stackgauge.kernel.thunks import Role, patched_places, roles

Mask = NDArray[np.bool_]


class Found(NamedTuple):
    """The sites of one image; all but ``returns`` by site.

    Attributes:
        sites: the sites; functions are numbered as in the image's own frames.
        role: what it means to go to what the code names: Role, uint8.
        named: address of what the code names: a function, a thunk or a static call's trampoline;
            0 where it names nothing, or a symbol of another image.
        symbol: row of the symbol of another image that it names, else NO_SYMBOL; int64.
        elsewhere: whether the stack pointer is on another stack there; the depth is what this one
            holds meanwhile; bool.
        returns: by function, the deepest that it is where it jumps to a return thunk, UNKNOWN
            where it does not; int32.
    """

    sites: Sites
    role: NDArray[np.uint8]
    named: Addresses
    symbol: NDArray[np.int64]
    elsewhere: Mask
    returns: NDArray[np.int32]


def find_sites(work: Measurer, frames: Frames) -> Found:
    """All sites of an image, those in alternatives included, whose address is where they run.

    A jump table of the function's own is none. Where control runs over a function's end into the
    next one, its last byte is the site of a jump.

    Args:
        work: what the frames were measured with.
        frames: those of the image.
    """
    code = placed(work)
    leads = find_leads(work, code)
    direct = ((leads.target != 0) | (leads.symbol != NO_SYMBOL)) & (leads.flow != Flow.INDIRECT)
    role = _roles(work, code, leads, direct)
    kind = _kinds(leads, direct & (role == Role.FUNCTION))
    depth = _depths(work, frames, leads)
    returns = np.full(len(code.pieces.start), UNKNOWN, np.int32)
    leaves = role == Role.RETURN
    np.maximum.at(returns, leads.routine[leaves], depth.most[leaves])
    kept = (
        ~leaves
        & (role != Role.NOTHING)
        & ~own_tables(work, code, leads, kind == Kind.INDIRECT_TAIL, depth.least)
    )
    leads, kind, role, direct = leads.take(kept), kind[kept], role[kept], direct[kept]
    named = np.where(direct & (leads.symbol == NO_SYMBOL), leads.target, np.uint64(0))
    sites = Sites(
        address=leads.address,
        end=leads.end,
        function=leads.routine,
        least=depth.least[kept],
        most=depth.most[kept],
        kind=kind,
        target=np.where(kind <= Kind.TAIL, leads.target, np.uint64(0)),
    )
    return Found(sites, role, named, leads.symbol, depth.elsewhere[kept], returns)


def _kinds(leads: Leads, direct: Mask) -> NDArray[np.uint8]:
    calls = leads.flow == Flow.CALL
    kind = np.where(
        direct,
        np.where(calls, Kind.CALL, Kind.TAIL),
        np.where(calls, Kind.INDIRECT_CALL, Kind.INDIRECT_TAIL),
    )
    return kind.astype(np.uint8)


def _roles(work: Measurer, code: Placed, leads: Leads, direct: Mask) -> NDArray[np.uint8]:
    """What it means to go where each leads."""
    symbols = work.image.symbols
    by_symbol = np.append(roles(symbols), np.uint8(Role.FUNCTION))
    # NO_SYMBOL is the last, which is none.
    role = by_symbol[leads.symbol]
    special = np.flatnonzero(by_symbol[:-1])
    special = special[symbols.section[special] >= 0]
    if len(special):
        special = special[np.argsort(symbols.value[special], kind="stable")]
        value, meaning = symbols.value[special], by_symbol[special]
        at = np.minimum(np.searchsorted(value, leads.target), len(value) - 1)
        met = direct & (leads.symbol == NO_SYMBOL) & (value[at] == leads.target)
        role[met] = meaning[at[met]]
        start = code.pieces.start[leads.routine]
        # A trampoline's own jump is changed together with its callers.
        role[direct & member(start, value[meaning == Role.STATIC_CALL])] = Role.STATIC_CALL
        # What a thunk jumps to is what its callers call.
        inner = ~direct & member(start, value[meaning == Role.INDIRECT])
        role[inner] = Role.NOTHING
    for name, meant in ((".retpoline_sites", Role.INDIRECT), (".return_sites", Role.RETURN)):
        places = patched_places(work.image.elf, work.contents, name)
        if len(places):
            role[direct & member(leads.code, places)] = meant
    return role


class _Depths(NamedTuple):
    least: NDArray[np.int32]
    most: NDArray[np.int32]
    elsewhere: Mask


def _depths(work: Measurer, frames: Frames, leads: Leads) -> _Depths:
    """How deep it is where control leaves."""
    least, most = np.full((2, len(leads)), UNKNOWN, np.int32)
    elsewhere = np.zeros(len(leads), bool)
    left = np.arange(len(leads))
    # What instructions say stands for the functions that no table settles.
    for table, address in ((frames.rows, leads.code), (work.table, leads.address)):
        row = sample(table, address[left])
        told, row, left = left[row >= 0], row[row >= 0], left[row < 0]
        if not len(told):
            continue
        says = known(table)[row]
        least[told] = np.where(says, table.depth[row] + leads.taken[told], UNKNOWN)
        most[told] = np.where(says, table.most[row] + leads.taken[told], UNKNOWN)
        elsewhere[told] = says & (table.base[row] == Base.ELSEWHERE)
    return _Depths(np.maximum(least, UNKNOWN), np.maximum(most, UNKNOWN), elsewhere)
