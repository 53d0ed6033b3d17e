"""Addresses of functions in static data, and which field of which structure holds each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.data_words import words_at, words_that_hold
from stackgauge.calls.indirect.layout import Layouts
from stackgauge.calls.indirect.variables import FUNCTION_POINTER, Variables
from stackgauge.frames.measure import Frames
from stackgauge.image.elf import SHT_RELA

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

# A field is a structure and an offset in it, as one number.
_OFFSET_BITS = 32

NO_FIELD = 0

# Lists of functions that nothing calls from there (include/asm-generic/vmlinux.lds.h): where
# ftrace's calls stand, what kprobes leave alone, what error injection may change.
_LISTS = (
    ("__start_mcount_loc", "__stop_mcount_loc"),
    ("__start_kprobe_blacklist", "__stop_kprobe_blacklist"),
    ("__start_error_injection_whitelist", "__stop_error_injection_whitelist"),
)


@dataclass(frozen=True, eq=False)
class Words:
    """Pointers to functions in static data; columns of one length, by ascending address.

    Attributes:
        address: where it stands, uint64.
        function: the function that it leads to, intp.
    """

    address: NDArray[np.uint64]
    function: Indices


def field_key(owner: Numbers, offset: Numbers) -> Numbers:
    """One number for a field; NO_FIELD where the owner is not known."""
    return np.where(owner > 0, (owner << _OFFSET_BITS) + offset, NO_FIELD)


def function_words(frames: Frames) -> Words:
    """The words of an image's static data that are the address of a function's beginning."""
    functions, symbols = frames.functions, frames.image.symbols
    address, function = words_that_hold(frames, functions.start)
    kept = np.ones(len(address), bool)
    headers = frames.image.elf.headers
    # The relocations that the kernel applies to itself are no data.
    for table in np.flatnonzero((headers["type"] == SHT_RELA) & (headers["addr"] > 0)).tolist():
        inside = address - np.uint64(int(headers["addr"][table]))
        kept &= inside >= np.uint64(int(headers["size"][table]))
    for first, last in _LISTS:
        start, stop = symbols.find(first), symbols.find(last)
        if start is not None and stop is not None:
            kept &= (address < np.uint64(start)) | (address >= np.uint64(stop))
    address, function = address[kept], functions.routine[function[kept]]
    order = np.argsort(address, kind="stable")
    return Words(address[order], function[order])


def initcalls(frames: Frames) -> Indices:
    """The functions that ``do_one_initcall`` is given from tables, ascending.

    Entries are addresses, or 32 bits relative to themselves (include/linux/init.h,
    CONFIG_HAVE_ARCH_PREL32_RELOCATIONS).
    """
    elf, functions = frames.image.elf, frames.functions
    bounds = [frames.image.symbols.find(name) for name in ("__initcall_start", "__initcall_end")]
    if None in bounds or elf.bits != 64:
        return np.zeros(0, np.intp)
    start, stop = (int(one or 0) for one in bounds)
    raw = elf.at_addresses(start, stop)
    if not len(raw):
        return np.zeros(0, np.intp)
    near = np.frombuffer(raw, f"{elf.order}i4", len(raw) // 4)
    place = np.arange(len(near)) * 4 + np.array(start, np.uint64).view(np.int64)
    cells = np.arange(start, stop, 8, dtype=np.uint64)
    value = np.concatenate([(place + near).view(np.uint64), words_at(frames, cells)[0]])
    at = np.minimum(np.searchsorted(functions.start, value), len(functions) - 1)
    return np.unique(functions.routine[at[functions.start[at] == value]])


def word_fields(words: Words, variables: Variables, layouts: Layouts) -> Numbers:
    """The field that each word is in, by ``field_key``; NO_FIELD where its type is not known."""
    variable = variables.find(words.address)
    type_ = np.where(variable >= 0, variables.type[variable], 0)
    inside = (words.address - variables.start[variable]).view(np.int64)
    inside = np.where(variable >= 0, inside, 0)
    size = np.maximum(layouts.size[np.maximum(type_, 0)], 1)
    found = layouts.fields(np.maximum(type_, 0), inside % size)
    key = field_key(found.owner, found.offset)
    single = len(layouts.btf) + variable
    return np.where(type_ == FUNCTION_POINTER, field_key(single, np.zeros_like(single)), key)
