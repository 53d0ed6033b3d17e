"""What static calls may call (include/linux/static_call.h).

A static call is a direct call of its trampoline, which the kernel changes into one of what its key
says: at first a function that stands in the key, later what ``__static_call_update`` was given.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from stackgauge.calls.data_words import words_at, words_that_hold
from stackgauge.calls.graph import Graph, Resolved
from stackgauge.calls.linking import NOWHERE, function_at
from stackgauge.calls.model import Addresses, Edges, Indices, Reason
from stackgauge.calls.x86_arguments import Argument, arguments, outside_names
from stackgauge.calls.x86_code import loaded_numbers, stores
from stackgauge.frames.measure import Frames
from stackgauge.image.arrays import member
from stackgauge.image.symbols import NO_SECTION
from stackgauge.kernel.thunks import STATIC_CALL_PREFIX, Role

_KEY_PREFIX = b"__SCK__"
# Of either prefix.
_LENGTH = len(_KEY_PREFIX)
# The argument that says whose call is changed, and the one that says to what.
_UPDATES = {"__static_call_update": (0, 2), "__static_call_update_early": (0, 1)}


@dataclass
class _Targets:
    """What a static call may call: functions of the graph; ``open`` if there may be others."""

    functions: set[int] = field(default_factory=set)
    open: bool = False


def static_calls(graph: Graph) -> Resolved:
    """The edges of static calls; closed where no code is seen that may make it call another.

    A key whose address stands in data, as those of tracepoints do, is open: what is stored in it
    is not seen. So is one that is given anything but a function that the code names, or whose
    address the code uses in another way.
    """
    trampoline = _trampolines(graph)
    site = np.flatnonzero(trampoline != NOWHERE)
    used, which = np.unique(trampoline[site], return_inverse=True)
    keys = _Keys(graph)
    # Some hundreds of keys.
    targets = [
        keys.targets.get((int(image), name.encode()[_LENGTH:]), _Targets(open=True))
        for image, name in zip(graph.image_of(used), graph.names(used), strict=True)
    ]
    closed = np.zeros(len(graph.sites), bool)
    closed[site] = ~np.array([one.open for one in targets], bool)[which]
    lists = [sorted(one.functions) for one in targets]
    count = np.array([len(one) for one in lists], np.intp)
    flat = np.array([row for one in lists for row in one], np.intp)
    low = (np.cumsum(count) - count)[which]
    each = count[which]
    row = np.repeat(low - (np.cumsum(each) - each), each) + np.arange(each.sum())
    reason = np.full(len(row), Reason.EXACT, np.uint8)
    return Resolved(Edges(np.repeat(site, each), flat[row], reason), closed)


def _trampolines(graph: Graph) -> Indices:
    """By site the trampoline that it goes to, or is part of, of a static call; else NOWHERE."""
    static = graph.role == Role.STATIC_CALL
    callee = np.where(static, graph.callee, NOWHERE)
    function = graph.sites.function
    known = np.unique(callee[callee != NOWHERE])
    # Trampolines that are not called have no part in any chain.
    own = static & member(function, known)
    return np.where(own, function, callee)


class _Keys:
    """The keys of all images, and what each may say: ``targets``, by image and name.

    The loops are over images and over keys, some hundreds in a kernel and a few in a module.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.targets: dict[tuple[int, bytes], _Targets] = {}
        # By image and address, the key or trampoline that stands there.
        self._at: dict[tuple[int, int], _Targets] = {}
        addresses = [self._defined(index) for index in range(len(graph.frames))]
        self._by_name: dict[bytes, list[_Targets]] = defaultdict(list)
        for (_, name), target in self.targets.items():
            self._by_name[name].append(target)
        functions = {name: graph.find(name) for name in _UPDATES}
        updates = {
            name: np.flatnonzero(member(graph.callee, rows)) for name, rows in functions.items()
        }
        for index, keys in enumerate(addresses):
            self._stored(index, keys)
            self._updated(index, keys, updates)
        if not any(len(rows) for rows in functions.values()):
            # What changes them is not among the images, a module alone for example.
            self._open(self.targets.values())

    def _defined(self, index: int) -> Addresses:
        """Take in the keys that an image defines; their addresses."""
        symbols = self._graph.frames[index].image.symbols
        keys = np.zeros(0, np.intp)
        for prefix in (STATIC_CALL_PREFIX, _KEY_PREFIX):
            named = member(symbols.name, symbols.strings.places(prefix))
            keys = np.flatnonzero(named & (symbols.section != NO_SECTION))
            names = symbols.strings.slices(symbols.name[keys])
            for address, name in zip(symbols.value[keys].tolist(), names, strict=True):
                target = self.targets.setdefault((index, name[_LENGTH:]), _Targets())
                self._at[index, address] = target
        return symbols.value[keys]

    def _stored(self, index: int, keys: Addresses) -> None:
        """What is in an image's keys, or stored there by an instruction that names the key.

        A key begins with the function that it calls (struct static_call_key).
        """
        frames = self._graph.frames[index]
        if not len(keys):
            return
        held, known = words_at(frames, keys)
        cells = keys[known]
        held = held[known]
        lost = [keys[~known], keys[words_that_hold(frames, keys)[1]]]
        if frames.isa.name in ("x86_64", "i386"):
            stored = stores(frames)
            inside = member(stored.cell, keys)
            cells = np.concatenate([cells, stored.cell[inside]])
            held = np.concatenate([held, stored.value[inside]])
            lost.append(stored.register_cell[member(stored.register_cell, keys)])
        for key, value in zip(cells.tolist(), held.tolist(), strict=True):
            self._add(index, value, self._at[index, key])
        self._open(self._at[index, key] for key in np.concatenate(lost).tolist())

    def _updated(self, index: int, keys: Addresses, updates: dict[str, Indices]) -> None:
        """What the calls of an image give to ``__static_call_update`` and its kin.

        Args:
            index: the image.
            keys: addresses of those that it defines.
            updates: by the name of what changes a key, the sites that call it.
        """
        graph = self._graph
        frames, sites = graph.frames[index], graph.sites
        # By function and key, how often the code has the key's address, less the calls understood.
        left: Counter[tuple[int, Argument]] = Counter()
        wide = frames.isa.name == "x86_64"
        if wide:
            left.update(self._mentions(frames, keys))
        first, after = graph.first[index : index + 2].tolist()
        for name, (whose, what) in _UPDATES.items():
            calls = updates[name]
            calls = calls[(sites.function[calls] >= first) & (sites.function[calls] < after)]
            if len(calls) and not wide:
                self._open(self.targets.values())
                continue
            given = arguments(frames, sites.address[calls])
            for function, one in zip(sites.function[calls].tolist(), given, strict=True):
                left[function - first, one[whose]] -= 1
                for target in self._meant(index, one[whose]):
                    self._add(index, one[what], target)
        for (_, key), count in left.items():
            if count > 0:
                self._open(self._meant(index, key))

    def _mentions(self, frames: Frames, keys: Addresses) -> list[tuple[int, Argument]]:
        """The function and the key wherever code has a key's address."""
        mentions: list[tuple[int, Argument]] = []
        if len(keys):
            loads = loaded_numbers(frames, int(keys.min()), int(keys.max()) + 1)
            some = member(loads.number, keys)
            rows = function_at(frames, loads.place[some])
            mentions += zip(rows.tolist(), loads.number[some].tolist(), strict=True)
        symbols = frames.image.symbols
        named = member(symbols.name, symbols.strings.places(_KEY_PREFIX))
        if not (named & (symbols.section == NO_SECTION)).any():
            return mentions
        outside = {
            place: name
            for place, name in outside_names(frames).items()
            if name.startswith(_KEY_PREFIX)
        }
        rows = function_at(frames, np.array(list(outside), np.uint64))
        mentions += zip(rows.tolist(), outside.values(), strict=True)
        return mentions

    def _meant(self, index: int, key: Argument) -> list[_Targets]:
        """The static calls that a key or a trampoline is of; none where it is not seen."""
        if isinstance(key, bytes):
            known = key.startswith((_KEY_PREFIX, STATIC_CALL_PREFIX))
            return self._by_name.get(key[_LENGTH:], []) if known else []
        target = None if key is None else self._at.get((index, key))
        return [] if target is None else [target]

    def _add(self, index: int, value: Argument, target: _Targets) -> None:
        """Add what a static call is given: a function, or none (then it calls nothing)."""
        rows: list[int] = []
        if isinstance(value, bytes):
            rows = self._graph.find(value.decode("utf-8", "replace")).tolist()
        elif value:
            row = int(function_at(self._graph.frames[index], np.array([value], np.uint64))[0])
            rows = [row + int(self._graph.first[index])] if row != NOWHERE else []
        target.functions.update(rows)
        target.open |= not rows and value != 0

    def _open(self, targets: Iterable[_Targets]) -> None:
        for target in targets:
            target.open = True
