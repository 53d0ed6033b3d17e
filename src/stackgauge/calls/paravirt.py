"""Calls through the slots of ``pv_ops`` (arch/x86/include/asm/paravirt_types.h).

Such a call is made a direct one when the kernel boots, of whatever its slot holds by then: what
the kernel's image has in it, what code has stored there (a hypervisor's guest support, each number
by one instruction), or what it has copied there from an object of the same type, as Xen's does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph, Resolved
from stackgauge.calls.linking import NOWHERE, function_at
from stackgauge.calls.model import Addresses, Edges, Indices, Kind, Reason
from stackgauge.calls.x86_code import called_cells, loaded_numbers, stores
from stackgauge.frames.measure import Frames
from stackgauge.image.outside import branches_outside
from stackgauge.image.symbols import STT_OBJECT
from stackgauge.kernel.thunks import Role

Mask = NDArray[np.bool_]

_TABLE = "pv_ops"
# x86 images: whose stores and calls are read here.
_X86 = ("x86_64", "i386")


class Slots(NamedTuple):
    """What the slots of ``pv_ops`` may hold: columns of one length.

    Attributes:
        slot: its number.
        value: an address.
    """

    slot: Indices
    value: Addresses


class _Table(NamedTuple):
    """Where ``pv_ops`` is, in which image, and its bytes in the file."""

    image: int
    address: int
    size: int


def paravirt_calls(graph: Graph) -> Resolved:
    """The edges of calls through ``pv_ops``; closed unless a slot may hold what is not seen."""
    none = np.zeros(0, np.intp)
    closed = np.zeros(len(graph.sites), bool)
    table = _find(graph)
    if table is None:
        return Resolved(Edges(none, none, np.zeros(0, np.uint8)), closed)
    site, slot = _sites(graph, table)
    held, is_open = _held(graph.frames[table.image], table)
    callee = function_at(graph.frames[table.image], held.value)
    is_open[held.slot[callee == NOWHERE]] = True
    some = callee != NOWHERE
    by_slot, callee = held.slot[some], callee[some] + graph.first[table.image]
    # Each site with all that its slot may hold; by_slot ascends.
    low = np.searchsorted(by_slot, slot)
    count = np.searchsorted(by_slot, slot, side="right") - low
    each = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
    closed[site] = ~is_open[slot] & (count > 0)
    edges = Edges(np.repeat(site, count), callee[each], np.full(len(each), Reason.EXACT, np.uint8))
    return Resolved(edges, closed)


def _find(graph: Graph) -> _Table | None:
    """The kernel's ``pv_ops``; its size may be told by the next symbol alone."""
    for index, frames in enumerate(graph.frames):
        symbols = frames.image.symbols
        address = symbols.find(_TABLE) if frames.isa.name in _X86 else None
        if address is None or frames.image.elf.relocatable:
            continue
        here = np.flatnonzero(symbols.value == np.uint64(address))
        size = int(symbols.size[here].max())
        if not size:
            following = symbols.value[symbols.value > np.uint64(address)]
            size = int(following.min()) - address if len(following) else 0
        if 0 < size <= 1 << 16:
            return _Table(index, address, size)
    return None


def _sites(graph: Graph, table: _Table) -> tuple[Indices, Indices]:
    """The calls and jumps through slots, and the number of each one's slot."""
    sites, found = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    indirect = (graph.sites.kind > Kind.TAIL) & (graph.role == Role.FUNCTION)
    image = graph.image_of(graph.sites.function)
    # A loop over images.
    for index, frames in enumerate(graph.frames):
        own = index == table.image
        if frames.isa.name not in _X86 or (not own and not frames.image.elf.relocatable):
            continue
        rows = np.flatnonzero(indirect & (image == index))
        end = graph.sites.end[rows]
        cell, known = called_cells(frames, end)
        if not own:
            known &= _named(frames, end - np.uint64(4))
        # In a module the symbol itself is at 0.
        offset = cell - np.uint64(table.address if own else 0)
        word = np.uint64(frames.isa.bits // 8)
        known &= (offset < np.uint64(table.size)) & (offset % word == 0)
        sites.append(rows[known])
        found.append((offset[known] // word).astype(np.intp))
    return np.concatenate(sites), np.concatenate(found)


def _named(frames: Frames, place: Addresses) -> Mask:
    """Whether the relocations at some places of a module name ``pv_ops``."""
    symbols = frames.image.symbols
    outside = branches_outside(frames.image.elf, symbols)
    wanted = np.isin(symbols.name[outside.symbol], symbols.strings.offsets(_TABLE))
    return np.isin(place, outside.address[wanted])


def _held(frames: Frames, table: _Table) -> tuple[Slots, Mask]:
    """What each slot may hold, by slot; and which slots may hold something else besides."""
    elf, word = frames.image.elf, frames.isa.bits // 8
    count = table.size // word
    objects = _alike(frames, table)
    slots, held = [], []
    for address in (table.address, *objects):
        raw = elf.at_addresses(address, address + count * word)
        numbers = np.frombuffer(raw.tobytes(), f"<u{word}").astype(np.uint64)
        slots.append(np.flatnonzero(numbers))
        held.append(numbers[slots[-1]])
    stored = stores(frames)
    base, size = np.uint64(table.address), np.uint64(table.size)
    inside = stored.cell - base < size
    slots.append(((stored.cell[inside] - base) // np.uint64(word)).astype(np.intp))
    held.append(stored.value[inside])
    # A file of debug information alone has nothing of it.
    is_open = np.full(count, not len(elf.at_addresses(table.address, table.address + table.size)))
    unknown = stored.register_cell - base
    is_open[(unknown[unknown < size] // np.uint64(word)).astype(np.intp)] = True
    if not objects:
        # What may be copied there from elsewhere is not known.
        places = loaded_numbers(frames, table.address, table.address + table.size).number
        is_open[int(places.min() - base) // word if len(places) else count :] = True
    both = np.unique(
        np.stack([np.concatenate(slots).astype(np.uint64), np.concatenate(held)], axis=1), axis=0
    )
    return Slots(both[:, 0].astype(np.intp), both[:, 1]), is_open


def _alike(frames: Frames, table: _Table) -> list[int]:
    """Xen's ``xen_cpu_ops`` and the like, of the same type since 5.17, some slots in each."""
    symbols = frames.image.symbols
    same = np.flatnonzero((symbols.type == STT_OBJECT) & (symbols.size == table.size))
    names = symbols.strings.slices(symbols.name[same])
    pairs = zip(names, symbols.value[same].tolist(), strict=True)
    return [value for name, value in pairs if name.startswith(b"xen_") and name.endswith(b"_ops")]
