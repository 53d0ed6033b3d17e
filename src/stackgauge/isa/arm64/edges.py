"""Where instructions lead: branches, jumps, calls, returns and traps.

Source: Arm Architecture Reference Manual (DDI 0487), C4.1.93 ("Branches, Exception Generating and
System instructions") and C6.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.arm64 import forms
from stackgauge.isa.arm64.encoding import Words, field, signed_field
from stackgauge.isa.arm64.forms import of_form
from stackgauge.isa.model import Flow
from stackgauge.isa.words import Indices, Text

# The form, where it goes, and the field of the distance in words.
_DIRECT = (
    (forms.B, Flow.JUMP, 0, 26),
    (forms.BL, Flow.CALL, 0, 26),
    (forms.B_COND, Flow.BRANCH, 5, 19),
    (forms.CBZ, Flow.BRANCH, 5, 19),
    (forms.TBZ, Flow.BRANCH, 5, 14),
    (forms.CB_COND, Flow.BRANCH, 5, 9),
)

# By the low bits of opc: BR, BLR, RET, not allocated, ERET, DRPS, not allocated.
_BY_REGISTER = np.array([Flow.INDIRECT, Flow.CALL, *[Flow.STOP] * 6], np.uint8)


class Edges(NamedTuple):
    """Direct branches, jumps and calls; columns, by form and then ascending.

    ``target`` is the index of the word that one goes to, in the section or not.
    """

    at: Indices
    flow: NDArray[np.uint8]
    target: Indices

    def take(self, which: NDArray[np.bool_]) -> Edges:
        """Those of a mask."""
        return Edges(self.at[which], self.flow[which], self.target[which])


class Ends(NamedTuple):
    """Instructions that lead to where they do not say, or nowhere; columns."""

    at: Indices
    flow: NDArray[np.uint8]


def read_edges(at: Indices, words: Words) -> Edges:
    """The direct branches among instructions, whose indices are ``at``."""
    parts = []
    for form, flow, low, width in _DIRECT:
        chosen = of_form(words, form)
        target = at[chosen] + signed_field(words[chosen], low, width)
        parts.append((at[chosen], np.full(len(chosen), flow, np.uint8), target))
    return Edges(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def read_ends(at: Indices, words: Words) -> Ends:
    """The returns, traps and branches to registers among instructions, at ``at``, ascending."""
    chosen = of_form(words, forms.BRANCH_REGISTER)
    parts = [(at[chosen], _BY_REGISTER[field(words[chosen], 21, 3)])]
    udf = at[of_form(words, forms.UDF)]
    # Of zeros between functions, which are UDF too, the first and the last are enough.
    inner = (np.diff(udf, prepend=-2) == 1) & (np.diff(udf, append=-2) == 1)
    for where, flow in (
        (at[of_form(words, forms.RETURN_SPPC)], Flow.STOP),
        (udf[~inner], Flow.STOP),
        (at[of_form(words, forms.BRK)], Flow.TRAP),
    ):
        parts.append((where, np.full(len(where), flow, np.uint8)))
    return Ends(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def line_begins(text: Text, edges: Edges, ends: Ends) -> NDArray[np.bool_]:
    """Which words control can come to from elsewhere than from the word before, (n + 1,).

    Jump tables and the kernel's static branches may lead to others, which is not seen here; what
    is looked for in a line, compilers keep next to its use.
    """
    begins = np.zeros(len(text.words) + 1, bool)
    begins[edges.target[(edges.target >= 0) & (edges.target < len(begins))]] = True
    begins[edges.at[edges.flow == Flow.JUMP] + 1] = True
    begins[ends.at[(ends.flow == Flow.STOP) | (ends.flow == Flow.INDIRECT)] + 1] = True
    begins[text.begin] = True
    return begins
