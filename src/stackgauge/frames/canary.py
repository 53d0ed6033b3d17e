"""The stack protector's slot: where a function puts its canary.

Compilers copy the guard to the stack by instructions that follow each other, so that no other code
comes between them and sees it: load it, store it, clear the register (the patterns
``stack_protect_set`` in GCC's gcc/config/*/*.md). LLVM leaves the last one out on x86.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.source import Bytes


class Store(NamedTuple):
    """The instruction that puts the canary on the stack.

    Attributes:
        at: bytes from the beginning of the code to the instruction.
        register: DWARF number of the register that it addresses the stack by.
        offset: what it adds to that register.
    """

    at: int
    register: int
    offset: int


# mov %gs:0x28,%reg (in programs %fs), or since Linux 6.15 %gs:__ref_stack_chk_guard(%rip); then
# mov %reg,offset(%rsp) or offset(%rbp).
_X86_64 = re.compile(
    rb"[\x64\x65](?P<rex>[\x48\x4c])\x8b(?:(?P<one>[\x04\x0c\x14\x1c\x24\x2c\x34\x3c])\x25\x28\0\0\0"
    rb"|(?P<two>[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]).{4})(?P<store>(?P=rex)\x89(?P<mod>.)(?P<rest>.{5}))",
    re.DOTALL,
)
# The same in 32-bit code: %gs:0x14, or %fs:__stack_chk_guard of the kernel since 5.13.
_I386 = re.compile(
    rb"(?:[\x64\x65](?P<rex>\xa1)|[\x64\x65]\x8b(?P<two>[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]))"
    rb".{4}(?P<store>\x89(?P<mod>.)(?P<rest>.{5}))",
    re.DOTALL,
)


class _Words(NamedTuple):
    """An architecture of four-byte instructions: a value under a mask for each of the three.

    Attributes:
        load, store: (mask, value) of the instructions.
        clear: the third instruction, without its register.
        target: lowest bit of the register that is loaded, stored and cleared.
        base: lowest bit of the register that addresses the stack.
        registers: mask of a register's number.
        offset: lowest bit, mask and scale of what is added to it.
        up: the bit that says that it is added, and not subtracted; 0 where there is none.
    """

    load: tuple[int, int]
    store: tuple[int, int]
    clear: int
    target: int
    base: int
    registers: int
    offset: tuple[int, int, int]
    up: int = 0


_BY_WORDS = {
    # ldr, str and mov of 64 bits (Arm Architecture Reference Manual for A-profile, C6.2).
    "arm64": [
        _Words(
            (0xFFC00000, 0xF9400000), (0xFFC00000, 0xF9000000), 0xD2800000, 0, 5, 31,
            (10, 0xFFF, 8),
        )
    ],
    # ldr, str and mov (the same for v7-A, A8.8).
    "arm": [
        _Words(
            (0xFF700000, 0xE5100000), (0xFF700000, 0xE5000000), 0xE3A00000, 12, 16, 15,
            (0, 0xFFF, 1), 1 << 23,
        )
    ],
    # ld, std and li; lwz, stw and li (Power ISA 3.1, book I, 3.3). Offsets are not below 0.
    "powerpc": [
        _Words(
            (0xFC000003, 0xE8000000), (0xFC000003, 0xF8000000), 0x38000000, 21, 16, 31,
            (0, 0x7FFF, 1),
        ),
        _Words(
            (0xFC000000, 0x80000000), (0xFC000000, 0x90000000), 0x38000000, 21, 16, 31,
            (0, 0x7FFF, 1),
        ),
    ],
}  # fmt: skip


def find_canary(isa: str, order: str, code: Bytes) -> Store | None:
    """The first instruction of some code that stores the stack protector's canary.

    Args:
        isa: the architecture's name.
        order: NumPy's byte-order character of the code.
        code: the function's bytes.

    Returns:
        None where there is none, or the architecture's way is not known here.
    """
    if isa in ("x86_64", "i386"):
        return _of_x86(code.tobytes(), isa)
    words = code[: len(code) // 4 * 4].view(f"{order}u4").astype(np.int64)
    for form in _BY_WORDS.get(isa, []):
        found = _of_words(words, form)
        if found:
            return found
    return None


def _of_x86(code: bytes, isa: str) -> Store | None:
    for found in (_X86_64 if isa == "x86_64" else _I386).finditer(code):
        load = found["two"] or (found["one"] if isa == "x86_64" else b"\0")
        mod, rest = found["mod"][0], found["rest"]
        if (load[0] ^ mod) & 0x38 or mod >> 6 == 3:
            continue
        # ModRM and SIB (Intel's manual, volume 2, section 2.1.3): 4 is the stack pointer here.
        register, size = mod & 7, {0: 0, 1: 1, 2: 4}[mod >> 6]
        if register == 4:
            if rest[0] != 0x24:
                continue
            rest = rest[1:]
        elif register != 5 or not size:
            continue
        offset = int.from_bytes(rest[:size], "little", signed=True)
        if isa == "x86_64":
            register = {4: 7, 5: 6}[register]
        return Store(found.start("store"), register, offset)
    return None


def _of_words(words: NDArray[np.int64], form: _Words) -> Store | None:
    load, store, clear = words[:-2], words[1:-1], words[2:]
    target = store >> form.target & form.registers
    fits = (load & form.load[0] == form.load[1]) & (store & form.store[0] == form.store[1])
    fits &= load >> form.target & form.registers == target
    fits &= clear == form.clear | target << form.target
    found = np.flatnonzero(fits)
    if not len(found):
        return None
    at = int(found[0])
    word, (low, mask, scale) = int(store[at]), form.offset
    offset = (word >> low & mask) * scale
    if form.up and not word & form.up:
        offset = -offset
    return Store(4 * (at + 1), word >> form.base & form.registers, offset)
