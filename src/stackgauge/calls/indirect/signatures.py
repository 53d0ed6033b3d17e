"""Prototypes of functions that BTF does not tell of, by their debug entries.

BTF names functions, so of those of one name it tells one. Debug information has each by itself;
its types are told by what both have: structures by name, pointers by how many, the rest alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.debug import function_entries
from stackgauge.calls.indirect.layout import UNKNOWN, Layouts
from stackgauge.calls.indirect.prototypes import as_number, coarse_values, sum_of_arguments
from stackgauge.calls.indirect.variables import by_names
from stackgauge.frames.measure import Frames
from stackgauge.image.dwarf_names import (
    TAG_STRUCT,
    TAG_SUBROUTINE,
    TAG_UNION,
    TYPE_TAGS,
    name_types,
)
from stackgauge.image.dwarf_parameters import TAG_UNSPECIFIED, find_parameters
from stackgauge.image.dwarf_variables import TAG_PARAMETER

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]


def coarse_shapes(frames: Frames, layouts: Layouts, functions: Indices) -> Numbers:
    """A number for the arguments of each function, as of ``Prototypes.coarse``; 0 where not known.

    Args:
        frames: the image.
        layouts: its types.
        functions: its functions, ascending.
    """
    result = np.zeros(len(functions), np.int64)
    tags = (TAG_PARAMETER, TAG_UNSPECIFIED, *TYPE_TAGS)
    debug = function_entries(frames, functions, tags)
    if debug is None:
        return result
    units, abbrevs, entries = debug
    found = find_parameters(units, abbrevs, entries)
    named = name_types(units, abbrevs, np.maximum(found.type, 0))
    told = found.type >= 0
    composite = told & ((named.tag == TAG_STRUCT) | (named.tag == TAG_UNION))
    type_ = layouts.first_named[np.where(composite, by_names(layouts, named), UNKNOWN)]
    depth = np.where(told, named.pointers, 0)
    value = coarse_values(composite, told & (named.tag == TAG_SUBROUTINE), depth, type_)
    count = len(entries.wanted)
    total = sum_of_arguments(found.function, found.place, value, count)
    # A structure that BTF does not know is one of no other function's either.
    whole = found.whole.copy()
    whole[found.function[composite & (type_ == UNKNOWN)]] = False
    result[entries.wanted] = np.where(whole, as_number(total), 0)
    return result
