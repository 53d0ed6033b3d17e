"""Every kind of evidence that an image has, held against each other, function by function."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.table import Base, Evidence, Rows, no_rows, peaks, sample
from stackgauge.frames.functions import Functions
from stackgauge.frames.measure import Judged, Measurer, judge
from stackgauge.image.opening import Image

UNEXPLAINED = "unexplained"
REGISTERS = "an entry from an interrupt or a system call: ORC counts the registers saved before it"
JUMPED_INTO = "assembly that is jumped into, with more on the stack than a call puts there"
ALTERNATIVE = "an alternative pushes, which CFI does not see"
ASSEMBLY = "inline assembly pushes, which CFI does not see"
UNTOLD = "assembly pushes, which EHABI is not told of"

# Assembly of which objtool is told something else than its instructions do, with the file that
# does so, for differences between ORC and instructions.
KNOWN = {
    "arch_rethook_trampoline": "entered by a return, so its first push is where a call's would be "
    "(arch/x86/kernel/rethook.c)",
    "arch_rethook_trampoline_callback": "entered by a return (arch/x86/kernel/rethook.c)",
    "entry_ibpb": "a call inside an alternative, which ORC does not count (arch/x86/entry/entry.S)",
    "srso_untrain_ret": "a call inside the function that is never made (arch/x86/lib/retpoline.S)",
    "srso_alias_untrain_ret": "a call inside the function (arch/x86/lib/retpoline.S)",
    "retbleed_untrain_ret": "a call inside the function (arch/x86/lib/retpoline.S)",
}


@dataclass(frozen=True)
class Difference:
    """One function for which two kinds of evidence differ; sizes in bytes."""

    address: int
    function: str
    one: int
    two: int
    cause: str


@dataclass(frozen=True)
class Agreement:
    """How two kinds of evidence agree over the functions that both settle.

    Attributes:
        one, two: their names.
        compared: how many functions both settle.
        equal: for how many they give the same frame.
        differences: all the others, the first's larger and the second's larger.
    """

    one: str
    two: str
    compared: int
    equal: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Verified:
    """What a comparison found.

    Attributes:
        functions: how many functions the image has, cold pieces counted with their parents.
        settled: for each kind of evidence, how many of them it settles.
        agreements: one for each pair of kinds.
    """

    functions: int
    settled: dict[str, int]
    agreements: tuple[Agreement, ...]

    @property
    def unexplained(self) -> int:
        """How many differences have no known cause."""
        return sum(
            difference.cause == UNEXPLAINED
            for agreement in self.agreements
            for difference in agreement.differences
        )


def verify(image: Image) -> Verified:
    """Compare all kinds of evidence of an image."""
    work = Measurer(image)
    functions = work.functions
    own = functions.parent < 0
    count = len(functions)
    found: dict[Evidence, Judged] = {}
    tables = {Evidence.ORC: work.orc, Evidence.CFI: work.cfi, Evidence.EHABI: work.ehabi}
    for kind, table in tables.items():
        if len(table):
            found[kind] = judge(work.peaks(table), functions.routine, count)
    rows, read = work.instructions(np.ones(count, bool), no_rows())
    found[Evidence.INSTRUCTIONS] = read
    causes = _Causes(work, functions, rows, found)
    names = {kind: kind.name.lower() for kind in found}
    agreements = []
    for one, two in combinations(found, 2):
        both = own & found[one].settled & found[two].settled
        differ = both & (found[one].least != found[two].least)
        places = np.flatnonzero(differ)
        differences = tuple(
            Difference(
                address=address,
                function=functions.name(index),
                one=int(found[one].least[index]),
                two=int(found[two].least[index]),
                cause=causes.of(index, one, two),
            )
            for index, address in zip(
                places.tolist(), functions.addresses(image.elf, places).tolist(), strict=True
            )
        )
        equal = int(both.sum()) - len(differences)
        agreements.append(Agreement(names[one], names[two], int(both.sum()), equal, differences))
    settled = {names[kind]: int((own & judged.settled).sum()) for kind, judged in found.items()}
    return Verified(int(own.sum()), settled, tuple(agreements))


class _Causes:
    """Why two kinds of evidence differ for a function, from what each kind can see."""

    def __init__(
        self, work: Measurer, functions: Functions, rows: Rows, found: dict[Evidence, Judged]
    ) -> None:
        self._found = found
        in_place = peaks(rows, functions.start, functions.end)
        self._in_place = judge(in_place, functions.routine, len(functions)).least
        self._unreached = _holds(rows, Base.UNREACHED, functions)
        self._registers = _holds(work.orc, Base.REGISTERS, functions)
        at = np.maximum(sample(work.orc, functions.start), 0)
        entry = work.orc.depth[at] if len(work.orc) else np.zeros(len(functions), np.int32)
        self._deep_entry = entry > work.isa.entry_depth
        self._functions = functions

    def of(self, index: int, one: Evidence, two: Evidence) -> str:
        """The cause of one function's difference between two kinds of evidence."""
        sizes = {kind: int(judged.least[index]) for kind, judged in self._found.items()}
        read = sizes[Evidence.INSTRUCTIONS]
        if Evidence.ORC in (one, two) and self._registers[index]:
            return REGISTERS
        skipped = Evidence.INSTRUCTIONS in (one, two) and self._unreached[index]
        if Evidence.ORC in (one, two) and (self._deep_entry[index] or skipped):
            return JUMPED_INTO
        if {one, two} == {Evidence.ORC, Evidence.INSTRUCTIONS}:
            return KNOWN.get(self._functions.name(index), UNEXPLAINED)
        if {one, two} == {Evidence.EHABI, Evidence.INSTRUCTIONS}:
            return UNTOLD if sizes[Evidence.EHABI] < read else UNEXPLAINED
        if Evidence.CFI in (one, two):
            other = sizes[two if one is Evidence.CFI else one]
            if sizes[Evidence.CFI] < other == read:
                return ALTERNATIVE if self._in_place[index] < read else ASSEMBLY
        return UNEXPLAINED


def _holds(rows: Rows, base: Base, functions: Functions) -> NDArray[np.bool_]:
    """Which functions have a row of that base."""
    places = rows.start[rows.base == base]
    low = np.searchsorted(places, functions.start)
    return np.searchsorted(places, functions.end) > low
