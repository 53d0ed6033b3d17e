"""Functions whose addresses modules take, and their prototypes by the modules' own BTF.

Modules have no types of their variables, so which fields hold these functions is not known: any
field of their prototype may.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.graph import Graph
from stackgauge.calls.indirect.prototypes import (
    Prototypes,
    as_number,
    function_prototypes,
    mixed,
    of_pointers,
    of_prototypes,
    sum_of_arguments,
)
from stackgauge.calls.linking import Linked, function_at
from stackgauge.frames.measure import Frames
from stackgauge.image.arrays import sorted_unique
from stackgauge.image.btf import QUALIFIERS, Btf, BtfKind, read_btf
from stackgauge.image.elf import EM_AARCH64, EM_X86_64, SHF_ALLOC
from stackgauge.image.relocate import entries
from stackgauge.image.symbols import NO_SECTION

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

# Relocations that make of a symbol an address, and what they add to it besides: x86-64 psABI,
# table 4.9 (64, PC32 of an instruction that ends there, 32, 32S; calls have PLT32); "ELF for the
# Arm 64-bit Architecture", 5.7 (ABS64, ADR_PREL_PG_HI21).
_TAKES = {EM_X86_64: {1: 0, 2: 4, 10: 0, 11: 0}, EM_AARCH64: {257: 0, 275: 0}}

# Sections that speak of places in functions, and call none.
_SPEAKS = (
    "__mcount_loc", "__patchable_function_entries", ".orc_unwind", "__bug_table", "__jump_table",
    ".return_sites", ".retpoline_sites", ".call_sites", ".smp_locks", ".altinstructions",
    ".static_call", "__ex_table", "__ksymtab", "___ksymtab", ".ibt_endbr_seal", "__kcrctab",
    "_kprobe_blacklist", "_error_injection_whitelist",
)  # fmt: skip


class Taken(NamedTuple):
    """Functions whose addresses modules take; columns of one length.

    Attributes:
        function: of the whole graph, ascending, intp.
        shape: a number for its prototype as of ``Prototypes.shape``; 0 where it is not known, or
            the kernel's own.
    """

    function: Indices
    shape: Numbers


def taken_by_modules(graph: Graph, kernel: Prototypes) -> Taken:
    """The functions whose addresses all images but the first take, and their prototypes."""
    linked = Linked(graph.frames, graph.first)
    functions, shapes = [np.zeros(0, np.intp)], np.zeros(len(graph), np.int64)
    # A loop over images.
    for index, frames in enumerate(graph.frames[1:], 1):
        functions.append(_taken(graph, linked, index))
        first = int(graph.first[index])
        shapes[first : first + len(frames.functions)] = _shapes(frames, kernel)
    function = sorted_unique(np.concatenate(functions))
    return Taken(function, shapes[function])


def _taken(graph: Graph, linked: Linked, index: int) -> Indices:
    frames = graph.frames[index]
    elf, symbols = frames.image.elf, frames.image.symbols
    takes = _TAKES.get(elf.machine, {})
    known, adds = np.zeros(512, bool), np.zeros(512, np.uint64)
    known[list(takes)], adds[list(takes)] = True, list(takes.values())
    result = [np.zeros(0, np.intp)]
    for section, tables in elf.relocation_tables.items():
        if section >= len(elf.names) or elf.names[section].startswith(_SPEAKS):
            continue
        if not int(elf.headers["flags"][section]) & SHF_ALLOC:
            continue
        for table in tables:
            found = entries(elf, symbols, table)
            found = found.take(found.type < len(known))
            found = found.take(known[found.type])
            if found.addend is None or not len(found.type):
                continue
            row = found.symbol.astype(np.int64)
            outside = (symbols.section[row] == NO_SECTION) & (found.target == 0)
            named = linked.functions(index, sorted_unique(row[outside]))
            result.append(named[named >= 0])
            value = (found.target + found.addend + adds[found.type])[~outside]
            at = function_at(frames, value)
            at = at[(at >= 0) & (frames.functions.start[at] == value)]
            result.append(at + graph.first[index])
    return np.concatenate(result)


def _shapes(frames: Frames, kernel: Prototypes) -> Numbers:
    """A number for each function's prototype, by the module's BTF; 0 where it tells none."""
    none = np.zeros(len(frames.functions), np.int64)
    own = read_btf(frames.image.elf, frames.contents, kernel.btf)
    if own is None or not len(frames.functions):
        return none
    prototype = function_prototypes(own, frames.functions)
    value = _values(own, kernel)
    # A prototype may be one of the kernel's types.
    everywhere = np.concatenate([kernel.turns[-1], value[1:]])
    return np.where(prototype > 0, as_number(everywhere[prototype]), 0)


def _values(own: Btf, kernel: Prototypes) -> NDArray[np.uint64]:
    """What the module's own types amount to, as of ``Prototypes.turns``; by row."""
    before = len(kernel.btf) - 1
    plain = _plain(own, kernel.btf)
    listed = own.parameters
    owner = np.repeat(np.arange(len(own)), np.diff(listed.first))
    place = np.arange(len(owner)) - listed.first[owner]
    pointers = np.flatnonzero(own.kind == BtfKind.PTR)
    rows = np.flatnonzero(own.kind == BtfKind.FUNC_PROTO)
    everywhere = np.concatenate([kernel.btf.plain, plain[1:]])
    value = mixed(_like_the_kernels(own, kernel, plain).astype(np.uint64))
    for turn in range(1, len(kernel.turns)):
        whole = np.concatenate([kernel.turns[turn], value[1:]])
        value[pointers] = of_pointers(whole[everywhere[own.type[pointers]]])
        whole[before + 1 :] = value[1:]
        arguments = whole[everywhere[listed.type]]
        total = sum_of_arguments(owner, place, arguments, len(own))
        value[rows] = of_prototypes(total[rows], whole[everywhere[own.type[rows]]])
    return value


def _like_the_kernels(own: Btf, kernel: Prototypes, plain: Numbers) -> Numbers:
    """For each row, the type, or the kernel's of the same kind and name."""
    before = len(kernel.btf) - 1
    result = kernel.layouts.first_named[np.minimum(plain, before)]
    result = np.where(plain > before, plain, result)
    named = (plain == np.arange(len(own)) + before) & (own.name > 0)
    # A loop over the module's own types that have a name, some hundred.
    for row in np.flatnonzero(named).tolist():
        offset, kind = int(own.name[row]), int(own.kind[row])
        strings, at = (own.strings, offset - own.names_before)
        if at < 0:
            strings, at = kernel.btf.strings, offset
        key = (BtfKind.STRUCT if kind == BtfKind.FWD else kind, strings[at].encode())
        result[row] = kernel.by_name.get(key, result[row])
    return result


def _plain(own: Btf, kernel: Btf) -> Numbers:
    """The module's own types without typedefs and qualifiers; by row."""
    before = len(kernel) - 1
    through = np.isin(own.kind, QUALIFIERS)
    to = np.where(through, own.type, np.arange(len(own)) + before)
    to[0] = 0
    for _ in range(16):
        inner = np.where(to > before, to - before, 0)
        outer = kernel.plain[np.minimum(to, before)]
        to = np.where(inner > 0, np.where(through[inner], own.type[inner], to), outer)
    return to
