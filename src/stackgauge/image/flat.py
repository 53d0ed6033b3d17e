"""A flat kernel image seen as an ELF file: sections where its symbols say that they lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stackgauge.errors import InputError
from stackgauge.image.elf import (
    EM_AARCH64,
    EM_ARM,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHT_NOBITS,
    SHT_NULL,
    Elf,
    header_dtypes,
)
from stackgauge.image.symbols import Symbols
from stackgauge.image.vmlinuz import EM_RISCV, Flat

ET_EXEC = 2
SHT_PROGBITS = 1
SHF_WRITE = 0x1

# The sections that hold code, and the symbols around them (arch/arm64/kernel/vmlinux.lds.S and
# include/asm-generic/vmlinux.lds.h). What is absent, as it is without CONFIG_KALLSYMS_ALL, or lies
# in a section named before it, is passed over.
_CODE = (
    (".head.text", "_text", "_stext"),
    (".text", "_stext", "_etext"),
    (".init.text", "_sinittext", "_einittext"),
    (".exit.text", "__exittext_begin", "__exittext_end"),
    (".rodata.text", "__entry_tramp_text_start", "__entry_tramp_text_end"),
    (".rodata.text", "__hibernate_exit_text_start", "__hibernate_exit_text_end"),
    (".rodata.text", "__relocate_new_kernel_start", "__relocate_new_kernel_end"),
    (".rodata.text", "__idmap_text_start", "__idmap_text_end"),
)

# Where kernels are linked to lie whose kallsyms count from the image's first byte. arm64:
# KIMAGE_VADDR (arch/arm64/include/asm/memory.h), 2 GiB into the kernel's upper half, which the
# number of address bits moves: 48 or more, 47, 42, 39, 36. RISC-V: KERNEL_LINK_ADDR.
_LINK_ADDRESSES = {
    EM_AARCH64: [(1 << 64) - (1 << bits - 1) + (1 << 31) for bits in (48, 47, 42, 39, 36)],
    EM_RISCV: [0xFFFF_FFFF_8000_0000],
}


def flat_elf(flat: Flat, symbols: Symbols, where: object) -> tuple[Elf, Symbols]:
    """A flat image as an ELF file without a copy of its bytes, and its symbols' final addresses.

    Raises:
        InputError: the symbols do not say where the image lies in memory, or where its code is.
    """
    first = _first_address(flat, symbols)
    if first is None:
        raise InputError(
            where, "has no symbol that says where it lies in memory: give --system-map"
        )
    if first == 0 and flat.machine in _LINK_ADDRESSES:
        first = _link_address(flat)
        symbols = replace(symbols, value=symbols.value + np.uint64(first))
    after = len(flat.data)
    code: list[tuple[int, int, str]] = []
    for name, start_symbol, end_symbol in _CODE:
        start = first if start_symbol == "_text" else symbols.find(start_symbol)
        end = symbols.find(end_symbol)
        if start is None or end is None or not first <= start < end <= first + after:
            continue
        start, end = start - first, end - first
        if all(end <= other[0] or other[1] <= start for other in code):
            code.append((start, end, name))
    if not any(name == ".text" for *_, name in code):
        raise InputError(where, "has no symbols that say where its code lies: give --system-map")

    sections: list[tuple[str, int, int, int, int]] = [("", SHT_NULL, 0, 0, 0)]
    at = 0
    for start, end, name in [*sorted(code), (after, after, "")]:
        if at < start:
            sections.append((".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, at, start))
        if start < end:
            sections.append((name, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, start, end))
        at = end
    if after < flat.memory:
        sections.append((".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, after, flat.memory))

    headers = np.zeros(len(sections), header_dtypes(flat.bits, flat.order)[1])
    for header, (_, kind, flags, start, end) in zip(headers, sections, strict=True):
        header["type"] = kind
        header["flags"] = flags
        header["addr"] = first + start if kind != SHT_NULL else 0
        header["offset"] = start
        header["size"] = end - start
    elf = Elf(
        where=str(where),
        data=flat.data,
        bits=flat.bits,
        order=flat.order,
        machine=flat.machine,
        type=ET_EXEC,
        headers=headers,
        _string_index=0,
    )
    # The cached property's value, for there is no string table to read it from.
    vars(elf)["names"] = [name for name, *_ in sections]
    return elf, symbols


def _first_address(flat: Flat, symbols: Symbols) -> int | None:
    """Where the image's first byte lies: ``_text``; 0 where its symbols count from there."""
    if len(symbols) and int(symbols.value.max()) <= flat.memory:
        return 0
    text, start = symbols.find("_text"), symbols.find("_stext")
    if text is None and flat.machine == EM_ARM:
        from stackgauge.image.flat_arm import arm_first_address

        return arm_first_address(flat, symbols)
    if text is None and start and flat.machine == EM_AARCH64:
        # _text begins a segment of 64 KiB, and _stext the next one or this one's code.
        return (start - 1) & ~0xFFFF
    return text


def _link_address(flat: Flat) -> int:
    """The one of the possible addresses that most pointers in the image point to."""
    high = np.frombuffer(flat.data, flat.order + "u8", len(flat.data) // 8) >> np.uint64(32)
    candidates = _LINK_ADDRESSES[flat.machine]
    return max(candidates, key=lambda address: np.count_nonzero(high == address >> 32))
