"""The numbers that x86-64 code passes in registers to a few calls, where the code shows them.

Only the code just before a call is looked at, back to where control may come from elsewhere: to
the last call, jump or branch target. Source: Intel 64 and IA-32 Architectures Software Developer's
Manual, volume 2; System V ABI, AMD64 supplement, 3.2.3, for which register has which argument.
"""

from __future__ import annotations

import numpy as np

from stackgauge.calls.linking import NOWHERE, function_at
from stackgauge.calls.model import Addresses
from stackgauge.evidence.instructions import read_steps
from stackgauge.frames.measure import Frames
from stackgauge.image.relocate import entries
from stackgauge.image.source import Bytes
from stackgauge.image.symbols import NO_SECTION
from stackgauge.isa.model import Flow, Steps
from stackgauge.isa.x86.lengths import TAIL, instruction_lengths

# The registers of the first three arguments.
ARGUMENTS = (7, 6, 2)

_LEAVES = (Flow.CALL, Flow.JUMP, Flow.STOP, Flow.INDIRECT, Flow.TRAP)
_MASK = (1 << 64) - 1

# Opcodes that write to no register of these: CMP, TEST, PUSH, NOP, short branches and stores.
_READS = (*range(0x38, 0x3E), 0x84, 0x85, 0xA8, 0xA9, *range(0x50, 0x58), 0x68, 0x6A, 0x90,
          *range(0x70, 0x80), 0x88, 0xC6)  # fmt: skip
# Opcodes with a ModRM byte that write to what it names at most: arithmetic, shifts, MOV, LEA.
_WRITES = (*(group + way for group in range(0, 0x38, 8) for way in range(4)), 0x63, 0x69, 0x6B,
           0x80, 0x81, 0x83, 0x86, 0x87, 0x89, 0x8A, 0x8B, 0x8D, 0xC0, 0xC1, *range(0xD0, 0xD4),
           0xC7, 0xFE, 0xFF)  # fmt: skip


# A number, or the name of another image's symbol; None where it is not seen.
Argument = int | bytes | None


def arguments(frames: Frames, call: Addresses) -> list[tuple[Argument, ...]]:
    """The first three arguments of some calls, as far as the code shows them.

    Args:
        frames: an x86-64 image.
        call: addresses of the calls, (n,) uint64. Each is looked at by itself: for few calls.
    """
    if not len(call):
        return []
    functions = frames.functions
    row = function_at(frames, call)
    whole = np.unique(row[row != NOWHERE])
    elf = frames.image.elf
    steps = read_steps(
        elf, frames.isa, frames.contents, functions.start[whole], functions.end[whole]
    )
    leaves = np.isin(steps.flow, _LEAVES)
    begins = np.unique(np.concatenate([functions.start[whole], steps.end[leaves], _led(steps)]))
    before = np.searchsorted(begins, call, side="right") - 1
    names = outside_names(frames)
    return [
        _read(frames, int(begins[at]), place, names) if at >= 0 else (None,) * len(ARGUMENTS)
        for at, place in zip(before.tolist(), call.tolist(), strict=True)
    ]


def _led(steps: Steps) -> Addresses:
    led: Addresses = steps.target[(steps.flow == Flow.BRANCH) | (steps.flow == Flow.JUMP)]
    return led


def outside_names(frames: Frames) -> dict[int, bytes]:
    """By address, the symbols of other images that stand in an object's code; else nothing."""
    elf, symbols = frames.image.elf, frames.image.symbols
    result: dict[int, bytes] = {}
    if not elf.relocatable:
        return result
    undefined = (symbols.section == NO_SECTION) & (symbols.value == 0)
    # A loop over the sections of code.
    for index in elf.executable.tolist():
        base = int(elf.headers["addr"][index])
        for table in elf.relocation_tables.get(index, []):
            found = entries(elf, symbols, table)
            found = found.take(undefined[found.symbol])
            names = symbols.strings.slices(symbols.name[found.symbol])
            result.update(zip((found.place + np.uint64(base)).tolist(), names, strict=True))
    return result


def _code(frames: Frames, start: int, end: int) -> Bytes:
    elf = frames.image.elf
    for index in elf.executable.tolist():
        base, size = int(elf.headers["addr"][index]), int(elf.headers["size"][index])
        if base <= start and end <= base + size:
            return frames.contents(index)[start - base : end - base]
    return elf.data[:0]


def _read(frames: Frames, start: int, end: int, names: dict[int, bytes]) -> tuple[Argument, ...]:
    """What the instructions from ``start`` to ``end`` leave in the registers of arguments."""
    code = _code(frames, start, end)
    lengths = instruction_lengths(np.concatenate([code, np.zeros(TAIL, np.uint8)]), 64).tolist()
    raw, at = code.tobytes(), 0
    values: dict[int, Argument] = {}
    while at < len(raw):
        after = at + lengths[at]
        _apply(raw[at:after], start + after, names.get(start + after - 4), values)
        at = after
    return tuple(values.get(register) for register in ARGUMENTS)


def _apply(code: bytes, end: int, name: bytes | None, values: dict[int, Argument]) -> None:
    """What one instruction does to the registers: a number is put into one, or it is lost.

    Args:
        code: the instruction's bytes.
        end: the address after it.
        name: the symbol that its last four bytes stand for.
        values: what is known of the registers; changed.
    """
    rex = code[0] if code[0] & 0xF0 == 0x40 else 0
    body = code[1:] if rex else code
    opcode = body[0] if body else 0
    modrm = body[1] if len(body) > 1 else 0
    mod, reg, rm = modrm >> 6, modrm >> 3 & 7 | rex << 1 & 8, modrm & 7 | rex << 3 & 8
    immediate = int.from_bytes(code[-4:], "little", signed=bool(rex & 8)) & _MASK
    if opcode == 0xC7 and mod == 3:
        values[rm] = name or immediate
    elif 0xB8 <= opcode < 0xC0:
        values[opcode & 7 | rex << 3 & 8] = name or immediate if len(body) == 5 else None
    elif opcode == 0x8D and modrm & 0xC7 == 5:
        values[reg] = name or end + int.from_bytes(code[-4:], "little", signed=True) & _MASK
    elif opcode in (0x31, 0x33) and mod == 3 and reg == rm:
        values[reg] = 0
    elif opcode == 0x89 and mod != 3:
        pass
    elif opcode in (0x89, 0x8B) and mod == 3:
        source, target = (reg, rm) if opcode == 0x89 else (rm, reg)
        values[target] = values.get(source)
    elif 0x58 <= opcode < 0x60:
        values[opcode & 7 | rex << 3 & 8] = None
    elif opcode in _WRITES:
        # The second operand is in memory, unless ``mod`` is 3.
        for register in (reg, rm) if mod == 3 else (reg,):
            values[register] = None
    elif opcode not in _READS:
        values.clear()
