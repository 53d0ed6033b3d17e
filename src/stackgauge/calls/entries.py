"""Entry points that code hands to the function that registers them: threads, softirqs, timers.

``kthread_create_on_node(threadfn, …)`` and its like get the function in an argument's register,
and mostly as a constant just before the call; one that is passed on from elsewhere is not seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph
from stackgauge.calls.linking import function_at
from stackgauge.calls.model import Addresses, Indices, Kind
from stackgauge.frames.measure import Frames
from stackgauge.image.elf import EM_AARCH64, EM_X86_64
from stackgauge.kernel.entries import Entries, EntryKind, Found, Route, Setting, entry_groups
from stackgauge.kernel.entries.model import Group, put_together
from stackgauge.kernel.entries.routes import IRQ_THREAD, THREAD, TIMER, softirq_routes
from stackgauge.kernel.stacks import On


class _Registers(NamedTuple):
    """A function that registers entry points.

    Attributes:
        name: its name.
        argument: which of its arguments is the entry point, from 0.
        kind: what that is.
        route: how the kernel gets there; below the softirqs, where these run it.
    """

    name: str
    argument: int
    kind: EntryKind
    route: tuple[str, ...]


# kernel/kthread.c, kernel/fork.c, kernel/softirq.c, kernel/time/timer.c, kernel/irq/manage.c. The
# handlers that request_irq is given are none of these: what runs above one depends on how its
# interrupt is wired, and is in the chains of the interrupts' entry points.
_REGISTER = (
    _Registers("kthread_create_on_node", 0, EntryKind.KTHREAD, THREAD),
    _Registers("kthread_create_on_cpu", 0, EntryKind.KTHREAD, THREAD),
    _Registers("kthread_run_on_cpu", 0, EntryKind.KTHREAD, THREAD),
    _Registers("kernel_thread", 0, EntryKind.KTHREAD, THREAD[:1]),
    _Registers("user_mode_thread", 0, EntryKind.KTHREAD, THREAD[:1]),
    _Registers("request_threaded_irq", 2, EntryKind.KTHREAD, IRQ_THREAD),
    _Registers("devm_request_threaded_irq", 3, EntryKind.KTHREAD, IRQ_THREAD),
    _Registers("open_softirq", 1, EntryKind.SOFTIRQ, ()),
    _Registers("init_timer_key", 1, EntryKind.TIMER, TIMER),
    _Registers("timer_init_key", 1, EntryKind.TIMER, TIMER),
)

# How many bytes of code before a call are looked at.
_WINDOW = 96


def graph_entries(graph: Graph, setting: Setting) -> list[Entries]:
    """The entry points of each image of a graph: those of its data and those that code registers.

    Args:
        graph: the graph of a kernel, its first image, and its modules.
        setting: that of the kernel.
    """
    registered = _registered(graph, setting)
    result = []
    # A loop over images.
    for index, frames in enumerate(graph.frames):
        groups = entry_groups(frames.image, frames.contents, setting)
        groups += registered.get(index, [])
        result.append(put_together(groups, setting.functions.as_compiled))
    return result


def _registered(graph: Graph, setting: Setting) -> dict[int, list[Group]]:
    """What code registers, by image; on x86-64 and arm64 alone."""
    machine = graph.frames[0].image.elf.machine
    read = {EM_X86_64: _x86, EM_AARCH64: _arm64}.get(machine)
    groups: dict[int, list[Group]] = {}
    if read is None:
        return groups
    sites, traps = graph.sites, setting.traps
    direct = np.flatnonzero((sites.kind <= Kind.TAIL) & (graph.callee >= 0))
    # A loop over the ten ways to register, and over the images that do.
    for one in _REGISTER:
        wanted = function_at(graph.frames[0], setting.functions.with_names(one.name)[0])
        row = direct[np.isin(graph.callee[direct], wanted[wanted >= 0])]
        image = graph.image_of(sites.function[row])
        ways = [(On.TASK, Route(traps.pushed, one.route))]
        if one.kind != EntryKind.KTHREAD:
            ways = softirq_routes(machine, traps, setting.stacks, one.route)
        for index in np.unique(image).tolist():
            frames, here = graph.frames[index], row[image == index]
            functions, address = frames.functions, sites.address[here]
            first = functions.start[sites.function[here] - graph.first[index]]
            given = np.unique(read(_before(frames, address, first), address, one.argument))
            at = np.searchsorted(functions.start, given)
            at = at[at < len(functions)]
            at = at[np.isin(functions.start[at], given)]
            names = functions.names(at)
            groups.setdefault(index, []).extend(
                Group(one.kind, on, route, Found.ARGUMENT, functions.start[at], names)
                for on, route in ways
            )
    return groups


def _before(frames: Frames, address: Addresses, first: Addresses) -> NDArray[np.uint8]:
    """The bytes of code before each address, (n, _WINDOW); 0 before the function that it is in."""
    elf = frames.image.elf
    base = elf.headers["addr"][elf.executable].astype(np.uint64)
    section = np.searchsorted(base, address, side="right") - 1
    result = np.zeros((len(address), _WINDOW), np.uint8)
    back = np.arange(_WINDOW, 0, -1).astype(np.int64)
    # A loop over sections of code, of which a kernel has a handful.
    for index in np.unique(section).tolist():
        here = np.flatnonzero(section == index)
        data = frames.contents(int(elf.executable[index]))
        place = (address[here] - base[index]).astype(np.int64)[:, None] - back
        # A cold piece may lie ahead of the function that it is part of.
        begin = np.where(first[here] <= address[here], first[here], np.uint64(0))
        least = (np.maximum(begin, base[index]) - base[index]).astype(np.int64)[:, None]
        found = data[np.clip(place, 0, len(data) - 1)]
        result[here] = np.where(place >= least, found, 0)
    return result


# ModRM of ``mov $imm32, %reg`` and ``lea disp32(%rip), %reg``, and the prefix before, by argument:
# rdi, rsi, rdx, rcx (System V ABI, AMD64 supplement, 3.2.3).
_MOV = (0xC7, 0xC6, 0xC2, 0xC1)
_LEA = (0x3D, 0x35, 0x15, 0x0D)


def _x86(window: NDArray[np.uint8], address: Addresses, argument: int) -> Addresses:
    """What a register is made before a call: the last constant that is put into it."""
    if not len(window):
        return np.zeros(0, np.uint64)
    wide = window.astype(np.int64)
    opcode, second = wide[:, 1:-5], wide[:, 2:-4]
    prefix = wide[:, :-6]
    mov = (prefix == 0x48) & (opcode == 0xC7) & (second == _MOV[argument])
    lea = (prefix == 0x48) & (opcode == 0x8D) & (second == _LEA[argument])
    row, at = _last(mov | lea)
    word = sum(wide[row, at + 3 + byte] << 8 * byte for byte in range(4))
    value = (np.asarray(word) ^ (1 << 31)) - (1 << 31)
    end = address[row].view(np.int64) - _WINDOW + at + 7
    with np.errstate(over="ignore"):
        target: Addresses = np.where(lea[row, at], value + end, value).view(np.uint64)
    return target


def _arm64(window: NDArray[np.uint8], address: Addresses, argument: int) -> Addresses:
    """The same: ADRP and ADD (immediate), into the argument's register, x0 to x3."""
    words = np.ascontiguousarray(window).view("<u4").astype(np.int64)
    page = words & 0x9F00_001F == 0x9000_0000 | argument
    low = words & 0xFFC0_03FF == 0x9100_0000 | argument << 5 | argument
    row, at = _last(low)
    # The last ADRP before the ADD.
    earlier = page[row] & (np.arange(words.shape[1]) < at[:, None])
    has = earlier.any(axis=1)
    row, at, earlier = row[has], at[has], earlier[has]
    adrp = words.shape[1] - 1 - np.argmax(earlier[:, ::-1], axis=1)
    word = words[row, adrp]
    pages = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
    pages = (pages ^ 1 << 20) - (1 << 20)
    place = address[row].view(np.int64) - _WINDOW + 4 * adrp
    with np.errstate(over="ignore"):
        target = (place & ~np.int64(0xFFF)) + (pages << 12) + (words[row, at] >> 10 & 0xFFF)
    whole: Addresses = target.view(np.uint64)
    return whole


def _last(found: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """The rows that have any, and the column of the last in each."""
    row = np.flatnonzero(found.any(axis=1))
    return row, found.shape[1] - 1 - np.argmax(found[row, ::-1], axis=1)
