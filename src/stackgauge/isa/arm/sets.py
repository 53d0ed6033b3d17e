"""Which of a section's stretches are A32 code and which Thumb code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.mapping import Marks
from stackgauge.isa.arm import encoding as e
from stackgauge.isa.arm.a32 import a32_listing
from stackgauge.isa.arm.data import DATA
from stackgauge.isa.arm.listing import Listing
from stackgauge.isa.arm.thumb import thumb_listing
from stackgauge.isa.model import Code, Ranges
from stackgauge.isa.words import text_of

# By letter of the mapping symbol.
_ARM, _THUMB = ord("a"), ord("t")

# How many words tell what a section is written in.
_SAMPLE = 1 << 16


def listings(
    code: Code, ranges: Ranges, marks: Marks, order: str, data_order: str
) -> list[Listing]:
    """The code of some stretches: its A32 and its Thumb instructions, where there are any.

    Args:
        code: one section.
        ranges: the stretches of it to read.
        marks: the mapping symbols in it; it is looked at more closely where there are none.
        order: NumPy's character of the byte order of instructions.
        data_order: that of data.
    """
    own, kind = _cut(code, ranges, marks, order)
    made = []
    for which, make in ((_ARM, a32_listing), (_THUMB, thumb_listing)):
        these = kind == which
        if these.any():
            part = Ranges(own.start[these], own.end[these])
            made.append(make(code, part, marks, order, data_order))
    return made


def _cut(code: Code, ranges: Ranges, marks: Marks, order: str) -> tuple[Ranges, NDArray[np.uint8]]:
    """The ranges, cut where the instruction set changes, and which set each part is of.

    Data has that of the code before it.
    """
    code_marks = marks.kind != DATA
    address, kind = marks.address[code_marks], marks.kind[code_marks]
    if not len(kind):
        only = _THUMB if not len(marks.kind) and _is_thumb(code, order) else _ARM
        return ranges, np.full(len(ranges), only, np.uint8)
    changes = np.append(True, kind[1:] != kind[:-1])
    if changes.sum() == 1:
        return ranges, np.full(len(ranges), kind[0], np.uint8)
    address, kind = address[changes], kind[changes]
    cuts = np.unique(np.concatenate([ranges.start, address]))
    held = np.searchsorted(ranges.start, cuts, side="right") - 1
    inside = (held >= 0) & (cuts < ranges.end[held])
    cuts, held = cuts[inside], held[inside]
    end = np.minimum(ranges.end[held], np.append(cuts[1:], np.uint64(0xFFFF_FFFF_FFFF_FFFF)))
    which = np.maximum(np.searchsorted(address, cuts, side="right") - 1, 0)
    return Ranges(cuts, end), kind[which]


def _is_thumb(code: Code, order: str) -> bool:
    """Whether a section is Thumb code: most of A32's instructions have no condition, 0xE."""
    everything = Ranges(*np.array([[code.address], [code.address + len(code.data)]], np.uint64))
    words = text_of(code, everything, order).words
    words = words[:: max(len(words) // _SAMPLE, 1)]
    words = words[words != 0]
    return 2 * int((words >> np.uint32(28) == e.ALWAYS).sum()) < len(words)
