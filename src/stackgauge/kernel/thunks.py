"""Symbols to which code calls or jumps without calling a function of that name.

A retpoline calls what is in a register (arch/x86/lib/retpoline.S, arch/s390/lib/expoline.S), a
return thunk returns, ftrace makes NOPs of the calls that the compiler puts at a function's start,
and a static call's trampoline is made to lead elsewhere while the kernel runs
(include/linux/static_call_types.h).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import STT_FILE, Symbols


class Role(IntEnum):
    """What it means to call a symbol, or to jump there."""

    FUNCTION = 0
    """It is called."""
    INDIRECT = 1
    """What a register says is called."""
    RETURN = 2
    """A return."""
    NOTHING = 3
    """Nothing of its own: a call of the tracer, which is made a NOP when the kernel boots."""
    STATIC_CALL = 4
    """What a static call's key says is called."""


STATIC_CALL_PREFIX = b"__SCT__"

# Prefixes; a longer one that another is the beginning of comes later and counts.
_PREFIXES = {
    b"__x86_indirect_thunk_": Role.INDIRECT,
    b"__x86_indirect_call_thunk_": Role.INDIRECT,
    b"__x86_indirect_jump_thunk_": Role.INDIRECT,
    b"__x86_indirect_its_thunk_": Role.INDIRECT,
    b"__llvm_retpoline_": Role.INDIRECT,
    b"__s390_indirect_jump_r": Role.INDIRECT,
    # %r14 holds the return address (ELF ABI s390x Supplement, 1.2.2.1).
    b"__s390_indirect_jump_r14": Role.RETURN,
    STATIC_CALL_PREFIX: Role.STATIC_CALL,
}
_NAMES = {
    b"__x86_return_thunk": Role.RETURN,
    b"__fentry__": Role.NOTHING,
    b"mcount": Role.NOTHING,
    b"_mcount": Role.NOTHING,
    b"__mcount": Role.NOTHING,
    b"__gnu_mcount_nc": Role.NOTHING,
}


def roles(symbols: Symbols) -> NDArray[np.uint8]:
    """The Role of each symbol, defined or not, as its name tells, (n,) uint8."""
    strings, role = symbols.strings, np.zeros(len(symbols), np.uint8)
    order = np.argsort(symbols.name, kind="stable")
    names = symbols.name[order]

    def give(places: NDArray[np.int64], meaning: Role) -> None:
        low = np.searchsorted(names, places)
        count = np.searchsorted(names, places, side="right") - low
        each = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
        role[order[each]] = meaning

    # Loops over these few names.
    for prefix, meaning in _PREFIXES.items():
        give(strings.places(prefix), meaning)
    for name, meaning in _NAMES.items():
        give(np.array(strings.offsets(name.decode()), np.int64), meaning)
    role[symbols.type == STT_FILE] = Role.FUNCTION
    return role


def patched_places(elf: Elf, contents: Callable[[str], Bytes], name: str) -> NDArray[np.uint64]:
    """The places that ``.retpoline_sites`` or ``.return_sites`` lists, (n,) uint64, as they stand.

    Each is 32 bits relative to itself (arch/x86/kernel/alternative.c, ``apply_retpolines``); none
    where there is no such section.

    Args:
        elf: the image.
        contents: section name to bytes, relocated where the image is an object.
        name: the section.
    """
    section, raw = elf.section(name), contents(name)
    if section is None:
        return np.zeros(0, np.uint64)
    words = np.ndarray(len(raw) // 4, elf.order + "i4", raw.data if len(raw) >= 4 else b"")
    place = words.astype(np.int64).view(np.uint64) + np.uint64(4) * np.arange(
        len(words), dtype=np.uint64
    )
    return place + np.uint64(section.address)
