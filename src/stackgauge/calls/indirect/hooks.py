"""Security modules' hooks: what each list of ``security_hook_heads`` holds.

Until 6.11 a hook is called by going through its list (security/security.c, ``call_int_hook``); the
lists are filled once from static data, each entry of which has the address of its list's head
beside the function (include/linux/lsm_hooks.h, ``LSM_HOOK_INIT``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.data_words import words_at, words_that_hold
from stackgauge.calls.indirect.layout import Layouts
from stackgauge.calls.indirect.origins import Origins, origins
from stackgauge.calls.indirect.tables import NO_FIELD, field_key
from stackgauge.calls.indirect.typing import Typed
from stackgauge.calls.indirect.values import Source, Values
from stackgauge.calls.indirect.variables import Variables
from stackgauge.frames.measure import Frames
from stackgauge.image.btf import BtfKind
from stackgauge.isa.operands import NO_REGISTER, Op, Operands

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

_HEADS = "security_hook_heads"
# A head for each hook: some 2 KB.
_LARGEST = 1 << 16
_ENTRY, _LIST, _HEAD, _HOOK = "security_hook_list", "list", "head", "hook"


class Hooks:
    """The lists of an image, as places that hold functions; none where it has no such lists."""

    def __init__(self, frames: Frames, layouts: Layouts, variables: Variables) -> None:
        """Take an image."""
        self._layouts, self._variables = layouts, variables
        self._entry = _offsets(layouts)
        address = frames.image.symbols.find(_HEADS)
        row = variables.find(np.array([address or 0], np.uint64))
        self._heads = int(row[0]) if address and self._entry else -1
        self.place, self.function = np.zeros(0, np.int64), np.zeros(0, np.intp)
        size = int(variables.end[self._heads]) - int(variables.start[self._heads])
        if self._heads >= 0 and size < _LARGEST:
            self._read(frames)
        else:
            self._heads = -1

    def _read(self, frames: Frames) -> None:
        start, end = (int(one[self._heads]) for one in (self._variables.start, self._variables.end))
        heads = np.arange(start, end, self._layouts.pointer, dtype=np.uint64)
        cell, which = words_that_hold(frames, heads)
        beside = np.array(self._entry[_HOOK] - self._entry[_HEAD]).astype(np.uint64)
        value, _ = words_at(frames, cell + beside)
        functions = frames.functions
        at = np.minimum(np.searchsorted(functions.start, value), len(functions) - 1)
        met = functions.start[at] == value
        self.place = self._places(heads[which[met]])
        self.function = functions.routine[at[met]]

    def _places(self, address: NDArray[np.uint64]) -> Numbers:
        inside = (address - self._variables.start[self._heads]).astype(np.int64)
        owner = np.full(len(address), len(self._layouts.btf) + self._heads)
        return field_key(owner, inside)

    def places(self, code: Operands, values: Values, typed: Typed, found: Origins) -> Numbers:
        """The list that each called value is from an entry of; NO_FIELD where it is from none."""
        result = np.full(len(found.value), NO_FIELD)
        if self._heads < 0:
            return result
        btf = self._layouts.btf
        first = np.minimum(values.first[:-1], max(len(values.used) - 1, 0))
        base = values.used[first]
        disp = np.where(values.source == Source.DEFINED, code.disp[values.row], 0)
        loads = (values.source == Source.DEFINED) & (code.op[values.row] == Op.LOAD)
        at_node = loads & (code.base[values.row] != NO_REGISTER) & (typed.offset[base] == 0)
        at_node &= np.isin(typed.type[base], btf.rows(BtfKind.STRUCT, "hlist_node"))
        hooks = np.flatnonzero(at_node[found.value] & (disp[found.value] == self._entry[_HOOK]))
        if not len(hooks):
            return result
        # An entry's first word leads to the next entry.
        heads = origins(code, values, typed, base[found.value[hooks]], at_node & (disp == 0))
        row = values.row[heads.value]
        fixed = (values.source[heads.value] == Source.DEFINED) & (code.op[row] == Op.LOAD)
        fixed &= code.base[row] == NO_REGISTER
        address = np.where(fixed, code.disp[row], 0).view(np.uint64)
        low, high = self._variables.start[self._heads], self._variables.end[self._heads]
        fixed &= (address >= low) & (address < high)
        least, most = np.full(len(hooks), np.iinfo(np.uint64).max), np.zeros(len(hooks), np.uint64)
        np.minimum.at(least, heads.asked, np.where(fixed, address, np.uint64(0)))
        np.maximum.at(most, heads.asked, address)
        one = (least == most) & (most > 0)
        result[hooks[one]] = self._places(most[one])
        return result


def _offsets(layouts: Layouts) -> dict[str, int]:
    """Where the members of an entry begin; empty where there is no such structure."""
    btf, members = layouts.btf, layouts.btf.members
    # A loop over the structure's few members.
    for row in btf.rows(BtfKind.STRUCT, _ENTRY):
        first, last = members.first[row : row + 2].tolist()
        names = [btf.strings[offset] for offset in members.name[first:last].tolist()]
        found = dict(zip(names, (members.bits[first:last] // 8).tolist(), strict=True))
        if {_LIST, _HEAD, _HOOK} <= set(found) and found[_LIST] == 0:
            return found
    return {}
