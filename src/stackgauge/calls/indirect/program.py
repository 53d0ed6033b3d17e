"""The instructions of an image, with calls through thunks read as what they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.blocks import Blocks, find_blocks
from stackgauge.calls.indirect.pages import with_pages
from stackgauge.calls.indirect.slots import with_slots
from stackgauge.calls.indirect.values import REGISTERS
from stackgauge.evidence.table import Rows
from stackgauge.frames.measure import Frames, Measurer
from stackgauge.image.elf import EM_AARCH64, EM_X86_64
from stackgauge.image.symbols import Symbols
from stackgauge.isa.model import Code, Flow, Ranges
from stackgauge.isa.operands import NO_REGISTER, Convention, Op, Operands, joined_operands
from stackgauge.kernel.noreturns import noreturns
from stackgauge.kernel.tables import table_jumps
from stackgauge.kernel.thunks import Role, roles

Indices = NDArray[np.intp]


def convention_of(machine: int) -> Convention | None:
    """How functions are called on a machine; None where its instructions are not read here."""
    if machine == EM_X86_64:
        from stackgauge.isa.x86.operands import X86_64_CALLS

        return X86_64_CALLS
    if machine == EM_AARCH64:
        from stackgauge.isa.arm64.operands import ARM64_CALLS

        return ARM64_CALLS
    return None


@dataclass(frozen=True, eq=False)
class Program:
    """The functions of an image.

    Attributes:
        code: all their instructions.
        blocks: their blocks.
        convention: how functions are called.
        tables: where the stack pointer is; the first that says it counts.
    """

    code: Operands
    blocks: Blocks
    convention: Convention
    tables: tuple[Rows, ...]

    def argument(self, register: Indices) -> Indices:
        """Which of the first arguments registers hold when a function begins; -1 for none."""
        number = np.full(REGISTERS, -1)
        number[list(self.convention.arguments)] = np.arange(len(self.convention.arguments))
        return number[register]

    def routine(self, row: Indices) -> Indices:
        """The function that instructions are part of."""
        return self.blocks.routine[self.blocks.of[row]]


def read_program(frames: Frames, convention: Convention) -> Program:
    """Read the instructions of all functions.

    Args:
        frames: the image, as measured.
        convention: its architecture's.
    """
    elf, functions = frames.image.elf, frames.functions
    parts = []
    # A loop over sections, in the order of their addresses.
    used = np.unique(functions.section)
    for section in used[np.argsort(elf.headers["addr"][used], kind="stable")].tolist():
        here = functions.section == section
        text = Code(frames.contents(section), int(elf.headers["addr"][section]))
        parts.append(convention.read(text, Ranges(functions.start[here], functions.end[here])))
    code = _through_thunks(joined_operands(parts), frames.image.symbols, convention)
    first = np.searchsorted(code.start, functions.start)
    piece = np.repeat(np.arange(len(functions)), np.diff(first, append=len(code)))
    tables = (frames.rows, Measurer(frames.image).table)
    code = with_slots(code, functions.routine[piece], tables, convention)
    blocks = find_blocks(
        code, piece, functions.routine, functions.parent < 0,
        table_jumps(elf, frames.image.symbols, frames.contents), noreturns(frames.image.symbols),
    )  # fmt: skip
    return Program(with_pages(code, blocks, len(convention.names)), blocks, convention, tables)


def _through_thunks(code: Operands, symbols: Symbols, convention: Convention) -> Operands:
    """A call of a thunk as one of what its register holds; one of the tracer as nothing."""
    role = roles(symbols)
    goes = np.flatnonzero((code.op == Op.GO) & (code.base == NO_REGISTER))
    target = code.disp[goes].view(np.uint64)
    op, base, disp = code.op.copy(), code.base.copy(), code.disp.copy()
    flow, writes = code.flow.copy(), code.writes.copy()
    special = np.flatnonzero(
        ((role == Role.INDIRECT) | (role == Role.NOTHING)) & (symbols.section >= 0)
    )
    special = special[np.argsort(symbols.value[special], kind="stable")]
    value = symbols.value[special]
    first, last = np.searchsorted(value, target), np.searchsorted(value, target, "right")
    met = np.flatnonzero(first < last)
    order = np.argsort(first[met], kind="stable")
    met, which = goes[met[order]], first[met[order]]
    bounds = np.searchsorted(which, np.arange(len(special) + 1))
    # A loop over thunks, one a register.
    for index, symbol in enumerate(special.tolist()):
        rows = met[bounds[index] : bounds[index + 1]]
        if role[symbol] == Role.NOTHING:
            op[rows], flow[rows], writes[rows] = Op.OTHER, Flow.NEXT, 0
            continue
        # Of the names of an address one says the register.
        same = special[value == symbols.value[symbol]]
        names = [symbols.strings[int(symbols.name[one])].rsplit("_", 1)[-1] for one in same]
        known = [name for name in names if name in convention.names]
        if known and len(rows):
            base[rows], disp[rows] = convention.names.index(known[0]), 0
            flow[rows[flow[rows] == Flow.JUMP]] = Flow.INDIRECT
    return replace(code, op=op, base=base, disp=disp, flow=flow, writes=writes)
