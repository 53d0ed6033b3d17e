"""Small call graphs, made up or random, and their chains found by trying all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from stackgauge.calls.depths import Calls
from stackgauge.evidence.table import NO_LIMIT

# caller, callee, bytes at least, bytes at most
Call = tuple[int, int, int, int]


def graph(
    frames: Sequence[int | tuple[int, int]],
    calls: Sequence[Call | tuple[int, int, int]],
    *,
    times: dict[int, int] | None = None,
    why: dict[int, int] | None = None,
) -> Calls:
    """A graph; a single figure is both the least and the most."""
    sizes = np.array([(f, f) if isinstance(f, int) else f for f in frames], np.int64)
    rows = np.array([(*c, c[2])[:4] for c in calls], np.int64).reshape(-1, 4)
    count = len(frames)
    return Calls(
        least=sizes.reshape(-1, 2)[:, 0],
        most=sizes.reshape(-1, 2)[:, 1],
        why=np.array([(why or {}).get(one, 0) for one in range(count)], np.uint32),
        times=np.array([(times or {}).get(one, 0) for one in range(count)], np.int64),
        caller=rows[:, 0].astype(np.intp),
        callee=rows[:, 1].astype(np.intp),
        least_at=rows[:, 2],
        most_at=rows[:, 3],
    )


@st.composite
def graphs(draw: st.DrawFn, *, circles: bool, known: bool = False) -> Calls:
    """A random graph of up to seven functions."""
    count = draw(st.integers(1, 7))
    range_ = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (p[0], sum(p)))
    frames = draw(st.lists(range_, min_size=count, max_size=count))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    if not circles:
        ends = ends.filter(lambda pair: pair[0] != pair[1])
        place = draw(st.permutations(range(count)))
    at = st.one_of(st.just((0, 0)), range_)
    calls = []
    for pair, (least, most) in draw(st.lists(st.tuples(ends, at), max_size=12)):
        caller, callee = pair if circles else sorted(pair, key=place.__getitem__)
        calls.append((caller, callee, least, most))
    times = {}
    if known:
        times = draw(st.dictionaries(st.integers(0, count - 1), st.integers(1, 3), max_size=4))
    return graph(frames, calls, times=times)


def deepest_simple(calls: Calls, start: int) -> int:
    """The deepest chain from a function that enters no function twice, by the least sizes."""

    def below(one: int, seen: frozenset[int]) -> int:
        best = int(calls.least[one])
        for call in np.flatnonzero(calls.caller == one).tolist():
            callee = int(calls.callee[call])
            if callee not in seen:
                best = max(best, int(calls.least_at[call]) + below(callee, seen | {callee}))
        return best

    return below(start, frozenset({start}))


def deepest_walk(calls: Calls, start: int) -> int:
    """The deepest chain from a function by the most sizes; NO_LIMIT where it can be any.

    A function whose times are known is entered no more than so many times; the others as often as
    can be, which counts as without limit once a part of the chain repeats and takes stack.
    """
    ways = [
        (int(a), int(b), int(size))
        for a, b, size in zip(calls.caller, calls.callee, calls.most_at, strict=True)
    ]
    count = len(calls)
    # A state is a function, and how often each of those that are known may still be entered.
    first = tuple(int(t) - (one == start) for one, t in enumerate(calls.times))
    best: dict[tuple[int, tuple[int, ...]], int] = {(start, first): 0}
    front = dict(best)
    steps = 0
    states = count * int(np.prod([int(t) + 1 for t in calls.times]))
    while front:
        following: dict[tuple[int, tuple[int, ...]], int] = {}
        for (one, left), size in front.items():
            for caller, callee, added in ways:
                if caller != one or (calls.times[callee] and not left[callee]):
                    continue
                after = tuple(
                    n - (place == callee and calls.times[callee] > 0)
                    for place, n in enumerate(left)
                )
                state = callee, after
                if size + added > best.get(state, -1):
                    best[state] = following[state] = size + added
        front, steps = following, steps + 1
        if steps > states:
            return NO_LIMIT
    return max(size + int(calls.most[one]) for (one, _), size in best.items())
