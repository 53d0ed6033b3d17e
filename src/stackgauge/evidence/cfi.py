"""Call frame information (DWARF CFI): rows of the common table from .debug_frame and .eh_frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.evidence.cfi_entries import Entries, Place, read_entries
from stackgauge.evidence.cfi_programs import NO_OFFSET, NO_REGISTER, Rules, execute
from stackgauge.evidence.table import NO_LIMIT, UNKNOWN, Base, Evidence, Rows, make_rows
from stackgauge.image.dwarf_bytes import Reader
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
from stackgauge.isa.model import Isa

# By preference. Kernels keep the first alone; where both are there, they say the same of the same
# functions, and each may have some that the other lacks.
_SECTIONS = (".debug_frame", ".eh_frame")

# How many bytes of entries are executed at once, if there is more than one.
_BATCH = 1 << 19


@dataclass(frozen=True, eq=False)
class Cfi:
    """What call frame information says.

    Attributes:
        rows: one row for each stretch over which the CFA's rule stays the same, within one FDE.
            Where the CFA is not counted from the stack pointer the base is OTHER, and the depth
            is the CFA's offset from ``register``, or UNKNOWN where an expression tells the CFA.
        register: DWARF number of the register that a row's CFA is counted from, -1 where it is
            none, int32, one a row.
        fde_start: first address of each FDE, ascending, uint64. FDEs do not overlap.
        fde_end: the address behind its last, uint64.
        fde_signal: whether the FDE is marked as a signal's or interrupt's frame, bool.
        skipped: how many FDEs are not used, by reason: ``version``, ``augmentation``,
            ``encoding`` or ``factor`` (their CIE is not understood), ``discarded`` (their code is
            at address 0: the linker left it out), ``empty``, ``range`` (they reach beyond all
            addresses), ``overlap`` (another FDE covers the same code); and ``program``: their
            instructions can't be followed, and each is one row of UNKNOWN.
    """

    rows: Rows
    register: NDArray[np.int32]
    fde_start: NDArray[np.uint64]
    fde_end: NDArray[np.uint64]
    fde_signal: NDArray[np.bool_]
    skipped: dict[str, int]


def cfi_rows(elf: Elf, isa: Isa, contents: Callable[[str], Bytes]) -> Cfi:
    """Read and execute a file's call frame information.

    Args:
        elf: the file.
        isa: its architecture.
        contents: gives a section's final bytes by name: of a relocatable object with its
            relocations applied, else as they are in the file.

    Raises:
        InputError: a section is broken as a whole: an entry reaches beyond it, or the like.
    """
    fdes = [_Fdes(_ADDRESSES, _ADDRESSES, np.zeros(0, np.bool_))]
    held = [_Held(_ADDRESSES, _ADDRESSES, _NUMBERS, _NUMBERS)]
    skipped: Counter[str] = Counter()
    for name in _SECTIONS:
        section, raw = elf.section(name), contents(name)
        if section is None or not len(raw):
            continue
        where = f"{elf.where}: {name}"
        place = Place(where, section.address, elf.bits, eh=name == ".eh_frame")
        entries = read_entries(Reader(raw, elf.order), place)
        kept, overlapping = _kept(entries, fdes[-1])
        batches, broken = _executed(entries, kept)
        fdes.append(_Fdes(entries.start[kept], entries.end[kept], entries.signal[kept]))
        held += batches
        skipped += entries.skipped + Counter(overlap=overlapping, program=broken)
    return _joined(_Fdes(*_concatenate(fdes)), _Held(*_concatenate(held)), isa, dict(skipped))


class _Fdes(NamedTuple):
    """Columns of FDEs: the range of addresses, and whether it is a signal's frame."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    signal: NDArray[np.bool_]


class _Held(NamedTuple):
    """Columns of rules of the CFA: the addresses at which a rule holds, and what it is."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    register: NDArray[np.int32]
    offset: NDArray[np.int32]


_ADDRESSES: NDArray[np.uint64] = np.zeros(0, np.uint64)
_NUMBERS: NDArray[np.int32] = np.zeros(0, np.int32)


def _concatenate(parts: Sequence[tuple[NDArray[Any], ...]]) -> list[NDArray[Any]]:
    """Columns of some length each, made into columns of them all."""
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _kept(entries: Entries, other: _Fdes) -> tuple[NDArray[np.intp], int]:
    """Which FDEs of a section to use, ascending, and how many of the rest contradict.

    Of FDEs that overlap, in the section or with the ``other`` section's, one at most is used. The
    rest say the same range again, which is no contradiction, or another.
    """
    order = np.lexsort((entries.end, entries.start))
    start, end = entries.start[order], entries.end[order]
    zero = np.uint64(0)
    again = (np.diff(start, prepend=zero) == 0) & (np.diff(end, prepend=zero) == 0)
    overlaps = start < np.maximum.accumulate(np.append(zero, end))[:-1]
    # Of the other section's FDEs, the nearest that begins below this one's end; or an empty one.
    by_start = np.argsort(other.start)
    other_start = np.append(zero, other.start[by_start])
    other_end = np.append(zero, other.end[by_start])
    nearest = np.searchsorted(other_start, end) - 1
    again |= (start == other_start[nearest]) & (end == other_end[nearest])
    overlaps |= start < other_end[nearest]
    return np.sort(order[~overlaps]), int(np.count_nonzero(overlaps & ~again))


def _executed(entries: Entries, kept: NDArray[np.intp]) -> tuple[list[_Held], int]:
    """The rules of the FDEs at some ascending indices, and how many can't be executed."""
    # GCC's CIEs of MIPS name the CFA's register without an offset, which is 0 then.
    initial = execute(entries.cies, NO_REGISTER, 0)
    last = np.searchsorted(initial.program, np.arange(len(entries.cies)), side="right") - 1
    batches = []
    broken = first = 0
    ends = entries.fdes.end[kept]
    # In batches, whose arrays stay in the processor's cache, and are small whatever the section's
    # size.
    while first < len(kept):
        after = max(int(np.searchsorted(ends, ends[first] + _BATCH)), first + 1)
        these, first = kept[first:after], after
        cie = entries.cie[these]
        rules = execute(
            entries.fdes.take(these), initial.register[last[cie]], initial.offset[last[cie]]
        )
        lost = rules.broken | initial.broken[cie]
        broken += int(np.count_nonzero(lost))
        batches.append(_held(rules, lost, entries.start[these], entries.end[these]))
    return batches, broken


def _held(
    rules: Rules, lost: NDArray[np.bool_], start: NDArray[np.uint64], end: NDArray[np.uint64]
) -> _Held:
    """Where each rule holds, of FDEs with the given ranges; ``lost`` ones have no rule."""
    size = (end - start).astype(np.int64)
    program = rules.program
    begin = np.minimum(rules.advance, size[program])
    register = np.where(lost[program], NO_REGISTER, rules.register)
    offset = np.where(lost[program], NO_OFFSET, rules.offset)
    # A rule that is replaced where it begins never holds; and one that is the same as the rule
    # before it is no rule of its own.
    kept = _until(begin, program, size) > begin
    program, begin, register, offset = (c[kept] for c in (program, begin, register, offset))
    kept = np.ones(len(begin), np.bool_)
    kept[1:] = (np.diff(program) != 0) | (np.diff(register) != 0) | (np.diff(offset) != 0)
    program, begin, register, offset = (c[kept] for c in (program, begin, register, offset))
    until = _until(begin, program, size)
    base = start[program]
    return _Held(
        base + begin.astype(np.uint64),
        base + until.astype(np.uint64),
        register.astype(np.int32),
        offset.astype(np.int32),
    )


def _until(
    begin: NDArray[np.int64], program: NDArray[np.intp], size: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where each rule ends: where its program's next begins, or the function ends."""
    until = np.append(begin[1:], 0)
    final = np.flatnonzero(np.append(np.diff(program), 1))
    until[final] = size[program[final]]
    return until


def _joined(fdes: _Fdes, held: _Held, isa: Isa, skipped: dict[str, int]) -> Cfi:
    """Everything that the sections say, by address."""
    order = np.argsort(held.start, kind="stable")
    register, depth = held.register[order], held.offset[order]
    on_stack = register == isa.sp_register
    depth[on_stack] -= isa.cfa_bias
    depth[(depth < 0) | (depth >= NO_LIMIT) | (register == NO_REGISTER)] = UNKNOWN
    rows = make_rows(
        held.start[order],
        held.end[order],
        depth,
        Evidence.CFI,
        base=np.where(on_stack, Base.SP, Base.OTHER).astype(np.uint8),
    )
    order = np.argsort(fdes.start)
    return Cfi(
        rows=rows,
        register=register,
        fde_start=fdes.start[order],
        fde_end=fdes.end[order],
        fde_signal=fdes.signal[order],
        skipped=skipped,
    )
