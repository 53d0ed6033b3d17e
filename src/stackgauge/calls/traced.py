"""Traces of a running kernel, each line beside what the image says of that place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.sites import find_sites
from stackgauge.calls.traced_model import ComparedLine, Place
from stackgauge.calls.traced_sizes import compare_sizes
from stackgauge.evidence.cfi_programs import NO_REGISTER
from stackgauge.evidence.table import UNKNOWN, Base, known, sample
from stackgauge.frames.measure import Measurer, measure
from stackgauge.frames.registers import holds_return_address
from stackgauge.frames.unwinding import Unwinding
from stackgauge.image.opening import Image
from stackgauge.logs.model import Line, Location, Trace


def compare_traces(traces: Sequence[Trace], images: Iterable[Image]) -> list[list[ComparedLine]]:
    """Each line of traces beside what the images say.

    Args:
        traces: from a kernel that was built from the images.
        images: the kernel, then modules.

    Returns:
        For each trace its lines.
    """
    codes = [_Code(image) for image in images]
    found: dict[Location, Place | str] = {}
    result = []
    # A loop over what a few tasks had on their stacks.
    for trace in traces:
        for line in trace.lines:
            if line.location not in found:
                found[line.location] = _find(codes, line.location)
        places = [found[line.location] for line in trace.lines]
        if trace.measured:
            result.append(compare_sizes(codes[0].image, codes[0].isa, trace.lines, places))
        else:
            result.append([_unmeasured(*each) for each in zip(trace.lines, places, strict=True)])
    return result


class _Code:
    """The code of one image."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._work = Measurer(image)
        self._frames = measure(image, self._work)
        self.isa = self._frames.isa
        self._sites = find_sites(self._work, self._frames).sites

    @cached_property
    def _unwinding(self) -> Unwinding:
        return Unwinding(self.image.elf, self._work.contents)

    def places(self, location: Location) -> list[Place]:
        """What a location may be: one for each function of that name."""
        symbols = self.image.symbols
        starts = np.unique(symbols.value[symbols.defined(location.function)])
        if len(starts) > 1:
            starts = self._of_size(starts, location.size)
        return [self._place(location.function, start, location.offset) for start in starts.tolist()]

    def _of_size(self, starts: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
        """Those that reach as far as kallsyms says, up to the next symbol; all if none does."""
        values = np.unique(self.image.symbols.value)
        at = np.minimum(np.searchsorted(values, starts, side="right"), len(values) - 1)
        fit = values[at] - starts == np.uint64(size)
        return starts[fit] if fit.any() else starts

    def _place(self, name: str, start: int, offset: int) -> Place:
        address = np.array([start + offset], np.uint64)
        sites = self._sites
        site = int(np.searchsorted(sites.end, address[0]))
        call = site < len(sites) and bool(sites.end[site] == address[0])
        before = sites.address[site : site + 1] if call else address
        least = most = UNKNOWN
        enters = False
        for rows in (self._frames.rows, self._work.table):
            at = sample(rows, before)
            row = rows.take(at[at >= 0])
            if known(row).any():
                enters = enters or bool(row.base[0] == Base.REGISTERS)
                if least == UNKNOWN:
                    least, most = int(row.depth[0]), int(row.most[0])
        if call:
            least, most = int(sites.least[site]), int(sites.most[site])
        if self.isa.name == "arm64" and _is_arm64_entry(name):
            # Vectors save the registers and branch there, the interrupted address among them.
            return Place(least, most, call, True, -_ARM64_PC)
        return Place(least, most, call, enters, self._saved(start, int(before[0])))

    def _saved(self, start: int, address: int) -> int | None:
        if self.isa.entry_depth:  # the call itself has pushed it
            return self.isa.entry_depth
        states = self._unwinding.states([(start, address + 1)])
        if not states and self.isa.name == "arm64":
            return self._arm64_record(start)
        for state in states:
            if state.start <= address < state.end:
                for register, rule in state.saved.items():
                    if holds_return_address(self.isa.name, register):
                        from_cfa = rule.register == NO_REGISTER
                        return -rule.offset - self.isa.cfa_bias if from_cfa else None
        return None

    def _arm64_record(self, start: int) -> int | None:
        """Where a function saves its frame record, for images that have only its code.

        By the first ``stp x29, x30, [sp, #n]`` or ``[sp, #-n]!`` near where it begins ("Arm
        Architecture Reference Manual", "STP"); x30 lies in the upper half.
        """
        code = self.image.elf.at_addresses(start, start + 4 * _ARM64_PROLOGUE)
        words = np.frombuffer(code.tobytes()[: len(code) // 4 * 4], "<u4")
        stores = np.flatnonzero((words & 0xFF407FFF) == 0xA9007BFD)
        if not len(stores):
            return None
        word, place = int(words[stores[0]]), start + 4 * int(stores[0])
        before = bool(word & 0x0080_0000)
        at = sample(self._frames.rows, np.array([place + 4 * before], np.uint64))
        if at[0] < 0 or self._frames.rows.depth[at[0]] == UNKNOWN:
            return None
        offset = 0 if before else ((word >> 15 & 0x7F) ^ 0x40) - 0x40
        return int(self._frames.rows.depth[at[0]]) - 8 * offset - 8


# Instructions from where a function begins within which it saves its frame record.
_ARM64_PROLOGUE = 32

# Where ``pc`` is in struct user_pt_regs (arch/arm64/include/uapi/asm/ptrace.h).
_ARM64_PC = 32 * 8


def _is_arm64_entry(name: str) -> bool:
    """Whether it is what a vector branches to (arch/arm64/kernel/entry.S, entry_handler)."""
    return name.startswith(("el1h_64_", "el1t_64_")) and not name.endswith("_handler")


def _find(codes: Sequence[_Code], location: Location) -> Place | str:
    """What the images say of a location, or the status of a line where they do not."""
    if not location.function:
        return "not found"
    places: list[Place] = []
    for index, code in enumerate(codes):
        # A module's place is in that module; the kernel comes first.
        if code.image.module == location.module or (index == 0 and not location.module):
            places += code.places(location)
    options = {place for place in places if place.call} or set(places)
    if len(options) > 1:
        return "ambiguous"
    return options.pop() if options else "not found"


def _unmeasured(line: Line, place: Place | str) -> ComparedLine:
    if isinstance(place, str):
        return ComparedLine(line, None, None, place)
    if not line.sure:
        return ComparedLine(line, None, None, "unsure")
    static = None if place.least == UNKNOWN else place.least
    most = None if place.most == place.least else place.most
    known_depth = "not known" if static is None else "static"
    return ComparedLine(line, static, most, known_depth if place.call else "not a call")
