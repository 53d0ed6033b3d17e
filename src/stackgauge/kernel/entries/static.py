"""Entry points that static data names: initcalls, work items, timers, a module's init and exit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import SHF_ALLOC, SHT_NOBITS
from stackgauge.kernel.entries.model import EntryKind, Found, Group, Route
from stackgauge.kernel.entries.pointers import Addresses, Pointers
from stackgauge.kernel.entries.routes import INITCALL, TIMER, WORK, softirq_routes
from stackgauge.kernel.entries.traps import Traps
from stackgauge.kernel.stacks import On, Stack

_INITCALLS = (
    ("__initcall_start", "__initcall_end"),
    ("__con_initcall_start", "__con_initcall_end"),
)
# Below the system call that loads it (kernel/module/main.c).
_MODULE_ROUTE = ("load_module", "do_init_module", "do_one_initcall")

# TIMER_ENTRY_STATIC (include/linux/poison.h) is this, and what keeps it from being an address
# (CONFIG_ILLEGAL_POINTER_VALUE, whose low bits are 0).
_STATIC_TIMER = 0x300
_POISON_BITS = 0xFFFF


def static_entries(pointers: Pointers, traps: Traps, stacks: list[Stack]) -> list[Group]:
    """All entry points that static data names.

    Args:
        pointers: of the image.
        traps: of its architecture.
        stacks: its stacks.
    """
    groups = _module(pointers, traps) if pointers.image.elf.relocatable else []
    for bounds in _INITCALLS:
        address, names = _initcalls(pointers, *bounds)
        route = Route(traps.pushed, INITCALL)
        groups.append(Group(EntryKind.INITCALL, On.TASK, route, Found.TABLE, address, names))
    work, timers = _structures(pointers)
    ways = [(EntryKind.WORK, On.TASK, Route(traps.pushed, WORK), work)]
    for on, route in softirq_routes(pointers.image.elf.machine, traps, stacks, TIMER):
        ways.append((EntryKind.TIMER, on, route, timers))
    for kind, on, route, address in ways:
        known, names = pointers.named(address)
        groups.append(Group(kind, on, route, Found.DATA, address[known], names))
    return groups


def _module(pointers: Pointers, traps: Traps) -> list[Group]:
    """A module's two functions: module_init, module_exit (include/linux/module.h)."""
    groups = []
    for name, kind in (("init_module", EntryKind.MODULE_INIT),
                       ("cleanup_module", EntryKind.MODULE_EXIT)):  # fmt: skip
        address, names = pointers.with_names(name)
        route = _MODULE_ROUTE if kind == EntryKind.MODULE_INIT else ("__do_sys_delete_module",)
        found = pointers.named(address)[1] or names
        groups.append(
            Group(kind, On.TASK, Route(traps.pushed, (*traps.route, *route)), Found.TABLE,
                  address, found)
        )  # fmt: skip
    return groups


def _initcalls(pointers: Pointers, start: str, end: str) -> tuple[Addresses, list[str]]:
    """The functions of a table of initcalls (include/linux/init.h).

    With CONFIG_HAVE_ARCH_PREL32_RELOCATIONS its entries are 32 bits, relative to themselves.
    """
    image = pointers.image
    low, high = image.symbols.find(start), image.symbols.find(end)
    if low is None or high is None or high <= low:
        return np.zeros(0, np.uint64), []
    raw = image.elf.at_addresses(low, high)
    count = len(raw) // 4
    distances = raw[: 4 * count].view(image.elf.order + "i4").astype(np.int64)
    own = np.uint64(low) + np.arange(count, dtype=np.uint64) * np.uint64(4)
    with np.errstate(over="ignore"):
        relative = own + distances.view(np.uint64)
    known, names = pointers.named(relative)
    if 2 * int(known.sum()) > count:
        return relative[known], names
    words = pointers.words(low, high)
    known, names = pointers.named(words)
    return words[known], names


def _structures(pointers: Pointers) -> tuple[Addresses, Addresses]:
    """The functions of static work items and timers.

    ``struct work_struct`` (include/linux/workqueue.h) is a word of flags, a list's two pointers to
    themselves, and the function; ``struct timer_list`` (include/linux/timer.h) a mark and a NULL,
    when it expires, and the function.
    """
    elf = pointers.image.elf
    headers, word = elf.headers, elf.bits // 8
    data = (headers["flags"] & SHF_ALLOC != 0) & (headers["type"] != SHT_NOBITS)
    data &= [name.startswith((".data", ".init.data", ".sdata")) for name in elf.names]
    work, timers = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    # Sections, of which a kernel has some tens.
    for index in np.flatnonzero(data & (headers["size"] >= 4 * word)).tolist():
        start = int(headers["addr"][index])
        start += -start % word
        words = pointers.words(start, int(headers["addr"][index]) + int(headers["size"][index]))
        if len(words) < 4:
            continue
        own = np.uint64(start) + np.arange(len(words), dtype=np.uint64) * np.uint64(word)
        head, second, third, last = words[:-3], words[1:-2], words[2:-1], words[3:]
        linked = np.flatnonzero((second == own[1:-2]) & (third == second))
        work.append(last[linked[_unqueued(head[linked])]])
        marked = (head & np.uint64(_POISON_BITS) == np.uint64(_STATIC_TIMER)) & (second == 0)
        timers.append(last[marked])
    found = []
    for functions in (np.concatenate(work), np.concatenate(timers)):
        unique = np.unique(functions)
        found.append(unique[pointers.named(unique)[0]])
    return found[0], found[1]


def _unqueued(word: Addresses) -> NDArray[np.bool_]:
    """Whether a word can be WORK_STRUCT_NO_POOL: a run of ones, above bits for other flags.

    It has 31 ones where a word has 64 bits, else what room there is (include/linux/workqueue.h).
    """
    low = word & (~word + np.uint64(1))
    beyond = word + low
    run: NDArray[np.bool_] = (beyond & (beyond - np.uint64(1))) == 0
    return run & (low > 0) & (low <= np.uint64(1 << 24)) & (beyond >= low << np.uint64(20))
