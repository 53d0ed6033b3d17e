"""The call graph of a kernel and its modules: functions, sites and edges, one numbering for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.leads import NO_SYMBOL
from stackgauge.calls.linking import NOWHERE, Linked, function_at
from stackgauge.calls.model import Edges, Indices, Kind, Reason, Sites
from stackgauge.calls.sites import Found, find_sites
from stackgauge.errors import InputError
from stackgauge.evidence.table import UNKNOWN
from stackgauge.frames.measure import Frames, Measurer, measure
from stackgauge.image.opening import Image
from stackgauge.kernel.thunks import Role

Mask = NDArray[np.bool_]


class Resolved(NamedTuple):
    """What one layer of the call graph says.

    Attributes:
        edges: its edges.
        closed: by site of the graph, whether these are all that can be called from there; bool.
    """

    edges: Edges
    closed: Mask


@dataclass(frozen=True, eq=False)
class Graph:
    """Functions, sites and edges of one or more images.

    Functions are numbered image after image, as in each one's frames; a cold piece has a number
    as well, but nothing is called from it or leads to it: its code is its parent's.

    Attributes:
        frames: the images, as measured.
        first: number of the first function of each image, and how many there are in all,
            (images + 1,) intp.
        sites: the sites of all images, each one's by ascending address. Between images addresses
            may be equal: those of modules are as laid out, each by itself.
        role: by site, what it means to go to what the code names there: Role, uint8.
        callee: by site, the function that what the code names lies in: of a direct one what it
            calls, of an indirect one a thunk or a static call's trampoline; NOWHERE where it
            names nothing or what is in none of the images; intp.
        returns: by function, the deepest that it is where it jumps to a return thunk, UNKNOWN
            where it does not; int32.
        elsewhere: by site, whether it is on another stack, which a callee's depth counts against;
            the site's depth is what this stack holds meanwhile; bool.
        edges: the edges of all layers so far.
        closed: by site, whether these are all that can be called from there; bool.
    """

    frames: tuple[Frames, ...]
    first: Indices
    sites: Sites
    role: NDArray[np.uint8]
    callee: Indices
    returns: NDArray[np.int32]
    elsewhere: Mask
    edges: Edges
    closed: Mask

    def __len__(self) -> int:
        """How many functions there are, cold pieces included."""
        return int(self.first[-1])

    @cached_property
    def least(self) -> NDArray[np.int32]:
        """The frame of each function: bytes at least, UNKNOWN where nothing is known."""
        return np.concatenate([one.least for one in self.frames])

    @cached_property
    def most(self) -> NDArray[np.int32]:
        """The frame of each function: bytes at most, NO_LIMIT where there is none.

        A return thunk may call (``srso_return_thunk`` in arch/x86/lib/retpoline.S), which takes a
        word more where a function that uses next to nothing returns.
        """
        word = np.repeat([one.isa.bits // 8 for one in self.frames], np.diff(self.first))
        thunk = np.where(self.returns != UNKNOWN, self.returns + word, UNKNOWN)
        most = np.concatenate([one.most for one in self.frames])
        return np.where(most != UNKNOWN, np.maximum(most, thunk), most).astype(np.int32)

    @cached_property
    def kind(self) -> NDArray[np.uint8]:
        """What each function's frame means: Kind of ``frames.measure``."""
        return np.concatenate([one.kind for one in self.frames])

    @cached_property
    def whole(self) -> Mask:
        """Which numbers are functions, and not cold pieces."""
        return np.concatenate([one.functions.parent < 0 for one in self.frames])

    def image_of(self, functions: Indices) -> Indices:
        """The index in ``frames`` of the image that each function is in."""
        return np.searchsorted(self.first, functions, side="right") - 1

    def names(self, functions: Indices) -> list[str]:
        """The names of some functions; empty where one has none."""
        image = self.image_of(functions)
        result = [""] * len(functions)
        # A loop over the images that are asked of.
        for index in np.unique(image).tolist():
            here = np.flatnonzero(image == index)
            names = self.frames[index].functions.names(functions[here] - self.first[index])
            for place, name in zip(here.tolist(), names, strict=True):
                result[place] = name
        return result

    def name(self, function: int) -> str:
        """The name of one function; empty where it has none."""
        return self.names(np.array([function], np.intp))[0]

    def find(self, name: str) -> Indices:
        """The functions of this name, be it another name of theirs, ascending."""
        rows = []
        for index, frames in enumerate(self.frames):
            symbols = frames.image.symbols
            value, functions = symbols.value[symbols.defined(name)], frames.functions
            at = np.searchsorted(functions.start, value)
            at = at[at < len(functions)]
            at = at[np.isin(functions.start[at], value)]
            rows.append(functions.routine[at] + self.first[index])
        return np.unique(np.concatenate(rows))

    def with_layer(self, layer: Resolved) -> Graph:
        """The graph with a layer's edges as well."""
        edges = Edges(
            np.concatenate([self.edges.site, layer.edges.site]),
            np.concatenate([self.edges.callee, layer.edges.callee]),
            np.concatenate([self.edges.reason, layer.edges.reason]),
        )
        return replace(self, edges=edges, closed=self.closed | layer.closed)


def read_graph(images: Iterable[Image]) -> Graph:
    """Measure images and make their call graph, of direct edges alone.

    Args:
        images: a kernel and modules, the kernel first; or any one image.
    """
    frames, found = [], []
    # A loop over images; each one's tables are let go before the next is read.
    for image in images:
        work = Measurer(image)
        frames.append(measure(image, work))
        found.append(find_sites(work, frames[-1]))
    return direct_graph(frames, found)


def direct_graph(frames: Sequence[Frames], found: Sequence[Found]) -> Graph:
    """The call graph of measured images, of direct edges alone.

    A target inside another function, which assembly may have, counts as a call of that function.
    A direct site whose target is in no function of the images is not closed.

    Raises:
        InputError: there is no image.
    """
    if not frames:
        raise InputError("the call graph", "needs an image")
    first = np.cumsum([0, *(len(one.functions) for one in frames)])
    linked = Linked(frames, first)
    sites = _joined([one.sites for one in found], first)
    role = np.concatenate([one.role for one in found])
    callee = np.concatenate(
        [
            _callees(linked, index, *pair)
            for index, pair in enumerate(zip(frames, found, strict=True))
        ]
    )
    returns = np.concatenate([one.returns for one in found])
    elsewhere = np.concatenate([one.elsewhere for one in found])
    edges, closed = _direct(sites, role, callee)
    return Graph(tuple(frames), first, sites, role, callee, returns, elsewhere, edges, closed)


def _callees(linked: Linked, index: int, frames: Frames, found: Found) -> Indices:
    """Of an image's sites the function that the code names, of all images; or NOWHERE."""
    callee = np.where(found.named != 0, function_at(frames, found.named), NOWHERE)
    callee[callee >= 0] += linked.first[index]
    outside = np.flatnonzero(found.symbol != NO_SYMBOL)
    if len(outside):
        callee[outside] = linked.functions(index, found.symbol[outside])
    return callee


def _direct(sites: Sites, role: NDArray[np.uint8], callee: Indices) -> Resolved:
    """What is called as named; a thunk runs as well, but is not all that its caller calls."""
    closed = (callee >= 0) & (sites.kind <= Kind.TAIL)
    some = np.flatnonzero(closed | (callee >= 0) & (role == Role.INDIRECT))
    calls = (sites.kind[some] == Kind.CALL) | (sites.kind[some] == Kind.INDIRECT_CALL)
    reason = np.where(calls, Reason.DIRECT, Reason.TAIL).astype(np.uint8)
    return Resolved(Edges(some, callee[some], reason), closed)


def _joined(parts: Sequence[Sites], first: Indices) -> Sites:
    """The sites of all images, their functions numbered for all."""
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("address", "end", "least", "most", "kind", "target")
    }
    function = [part.function + start for part, start in zip(parts, first.tolist(), strict=False)]
    return Sites(function=np.concatenate(function), **columns)
