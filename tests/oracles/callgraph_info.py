"""GCC's ``-fcallgraph-info``: which functions call which, as a graph in VCG's language."""

from __future__ import annotations

import re
from typing import NamedTuple

_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"', re.MULTILINE)
_INDIRECT = "__indirect_call"


class Called(NamedTuple):
    """What the functions of one file call.

    Attributes:
        direct: pairs of a caller and a callee, by name.
        indirect: callers that call through a pointer.
    """

    direct: set[tuple[str, str]]
    indirect: set[str]


def parse_ci(text: str) -> Called:
    """Read a ``.ci`` file; names of static functions lose the file that leads them."""
    called = Called(set(), set())
    for match in _EDGE.finditer(text):
        caller, callee = (name.rsplit(":")[-1] for name in match.groups())
        if callee == _INDIRECT:
            called.indirect.add(caller)
        else:
            called.direct.add((caller, callee))
    return called
