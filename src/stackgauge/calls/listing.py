"""The depths that a user asked for, with names, reasons and chains, ready for any reporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.chains import Chains
from stackgauge.calls.depths import AT_LEAST, STATUSES, Depths, Why, status
from stackgauge.calls.graph import Graph
from stackgauge.calls.reasons import Reasons
from stackgauge.calls.starts import Start
from stackgauge.evidence.table import NO_LIMIT


class Step(NamedTuple):
    """One part of a chain; the bytes of all parts add up to the depth.

    Attributes:
        function: its name; empty for what hardware and entry code have pushed.
        bytes: the depth at its call of the next, or its frame.
        rounds: whether these are the bytes of further rounds of a recursion through it.
    """

    function: str
    bytes: int
    rounds: bool


class DepthRow(NamedTuple):
    """How deep a stack gets from one function on.

    Attributes:
        function: its name.
        entry: the kind of entry point, empty for any other function.
        stack: the stack that it runs on, empty where not known.
        depth: bytes: at most where the status says so, else at least.
        room: bytes that the stack has; None where not known.
        status: ``bounded``, ``assumed``, ``at-least`` or ``unbounded``.
        reason: why it is no better, the weightiest first.
        module: ``vmlinux``, or the module's or object's name.
        frames: how many functions the chain has.
        steps: the chain; empty where it was not asked for.
    """

    function: str
    entry: str
    stack: str
    depth: int
    room: int | None
    status: str
    reason: tuple[str, ...]
    module: str
    frames: int
    steps: tuple[Step, ...]


class OnTop(NamedTuple):
    """Something that may come on top of the chains of a stack.

    Attributes:
        name: what it is.
        stack: the stack.
        depth: bytes: at most where the status says so, else at least.
        status: as in ``DepthRow``.
        function: the handler that is the deepest; empty where none runs on this stack.
        given: what it takes to happen; empty for what any kernel meets.
    """

    name: str
    stack: str
    depth: int
    status: str
    function: str
    given: str


class Listed(NamedTuple):
    """What was asked for.

    Attributes:
        rows: the depths, the deepest first.
        statuses: how many there are of each status, those that are not listed included.
    """

    rows: list[DepthRow]
    statuses: dict[str, int]


def list_depths(
    graph: Graph,
    depths: Depths,
    starts: Sequence[Start],
    names: Sequence[str],
    reasons: Reasons,
    *,
    top: int | None = None,
    chains: bool = False,
) -> Listed:
    """Choose, sort and name depths.

    Args:
        graph: the graph.
        depths: of its functions.
        starts: where chains begin; one from which there is none is left out.
        names: of all functions.
        reasons: says why a depth is worth no more.
        top: how many to list at most.
        chains: whether to list the chains as well.
    """
    function = np.array([one.function for one in starts], np.intp)
    # A loop over what is asked for: the functions above an entry point are few.
    least = np.array([_above(one, "least") for one in starts], np.int64) + depths.least[function]
    most = np.array([_above(one, "most") for one in starts], np.int64) + depths.most[function]
    open_ended: NDArray[np.bool_] = most >= NO_LIMIT
    depth = np.where(open_ended, least, most)
    why = depths.why[function]
    # The functions above may be open-ended themselves.
    told = (why & np.uint32(AT_LEAST | Why.CIRCLE)) != 0
    why = np.where(open_ended & ~told, why | np.uint32(Why.NO_LIMIT), why)
    some = np.flatnonzero(depth >= 0)
    counts = Counter(map(status, why[some].tolist()))
    order = some[np.lexsort((function[some], -depth[some]))][:top]
    module = graph.image_of(function[order]).tolist()
    links = Chains(depths)
    rows = []
    for at, image in zip(order.tolist(), module, strict=True):
        start = starts[at]
        rows.append(
            DepthRow(
                function=names[start.function],
                entry=start.entry,
                stack=start.stack,
                depth=int(depth[at]),
                room=start.room,
                status=status(int(why[at])),
                reason=tuple(reasons.of(start.function, int(why[at]))),
                module=graph.frames[image].image.module,
                frames=len(start.above) + links.length(start.function, bounded=not open_ended[at]),
                steps=tuple(_steps(links, start, names, not open_ended[at])) if chains else (),
            )
        )
    return Listed(rows, {one: counts[one] for one in STATUSES})


def merged(parts: Sequence[Listed], top: int | None) -> Listed:
    """Several lists as one."""
    rows = [row for part in parts for row in part.rows]
    if len(parts) > 1:
        rows.sort(key=lambda row: -row.depth)
    counts = {one: sum(part.statuses[one] for part in parts) for one in STATUSES}
    return Listed(rows[:top], counts)


def _above(start: Start, which: Literal["least", "most"]) -> int:
    """The bytes above an entry point."""
    sizes = (one.least if which == "least" else one.most for one in start.above)
    return start.pushed + sum(sizes)


def _steps(links: Chains, start: Start, names: Sequence[str], bounded: bool) -> Iterator[Step]:
    if start.pushed:
        yield Step("", start.pushed, False)
    for one in start.above:
        yield Step(names[one.function], one.most if bounded else one.least, False)
    for link in links.of(start.function, bounded=bounded):
        yield Step(names[link.function], link.bytes, link.rounds)
