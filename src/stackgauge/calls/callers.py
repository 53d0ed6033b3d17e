"""Who calls a function from deepest: the ends of the deepest chains that lead to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stackgauge.calls.survey import Survey


class Caller(NamedTuple):
    """A function that calls another one.

    Attributes:
        function: its name.
        depth: bytes on the stack where its call is made, on the deepest way there.
        status: how sure that is: ``bounded``, ``assumed``, ``at-least`` or ``unbounded``.
    """

    function: str
    depth: int
    status: str


def deepest_callers(survey: Survey, function: int, count: int) -> list[Caller]:
    """The callers that are deepest where they call a function, the deepest first.

    Of each entry point the deepest chain to the function is taken; in an image that has no entry
    points, of each function.

    Args:
        survey: the depths of the image.
        function: its number in the survey's graph.
        count: how many callers to tell at most.
    """
    starts = survey.entries or survey.every
    found: dict[str, Caller] = {}
    listed = survey.list(starts, to=np.array([function], np.intp), chains=True)
    # A loop over entry points; the first that comes through a caller is the deepest.
    for row in listed.rows:
        if len(row.steps) > 1 and row.steps[-2].function:
            caller = row.steps[-2].function
            depth = row.depth - row.steps[-1].bytes
            found.setdefault(caller, Caller(caller, depth, row.status))
    return list(found.values())[:count]
