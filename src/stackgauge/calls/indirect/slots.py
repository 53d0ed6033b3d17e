"""Places on the stack where a function keeps a register for a while, followed like registers.

A place is told by how far it is from the caller's stack pointer, which the common table says for
each instruction. Only those are followed that lie below everything on the stack whose address is
taken, so that nothing but the instructions seen here can change them: compilers lay out what they
spill there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.values import REGISTERS
from stackgauge.evidence.table import Base, Rows, known, sample
from stackgauge.image.arrays import member, sorted_unique
from stackgauge.isa.operands import NO_REGISTER, Convention, Op, Operands

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]

_FAR = 1 << 40


def with_slots(
    code: Operands, routine: Indices, tables: Sequence[Rows], convention: Convention
) -> Operands:
    """Loads from and stores to such places as copies from and to registers of their own.

    Args:
        code: instructions.
        routine: by instruction, the function that it is part of.
        tables: where the stack pointer is; the first that says it counts.
        convention: the architecture's.
    """
    stack = convention.stack
    rows = np.flatnonzero((code.base == stack) & (code.target != stack))
    place = stack_places(code, rows, tables)
    op = code.op[rows]
    reads, writes = op == Op.LOAD, (op == Op.STORE) | (op == Op.STORE_CONSTANT)
    plain = (reads | writes | (op == Op.CHANGE)) & ~code.indexed[rows]
    limit = np.full(int(routine.max(initial=0)) + 1, _FAR)
    # A frame pointer that is only kept for whoever unwinds the stack is no way to it.
    uses = np.zeros(len(limit), bool)
    uses[routine[code.base == convention.frame]] = True
    kept_only = (code.target[rows] == convention.frame) & ~uses[routine[rows]]
    rows, place, op = rows[~kept_only], place[~kept_only], op[~kept_only]
    reads, writes, plain = reads[~kept_only], writes[~kept_only], plain[~kept_only]
    # Where the stack pointer is not known, no place of the function is.
    np.minimum.at(limit, routine[rows[~plain]], np.where(op == Op.GO, _FAR, place)[~plain])
    np.minimum.at(limit, routine[rows[place < -_FAR]], -2 * _FAR)
    kept = np.flatnonzero(plain & (place + convention.width <= limit[routine[rows]]))
    rows, place, op = rows[kept], place[kept], op[kept]
    reads, writes = reads[kept], writes[kept]
    if not len(rows):
        return code
    # Both stored and loaded, else there is nothing to follow.
    low = int(place.min())
    key = routine[rows].astype(np.int64) * _FAR + (place - low)
    used = sorted_unique(key[reads])
    used = used[member(used, key[writes])]
    owner = used // _FAR
    rank = np.arange(len(used)) - np.searchsorted(owner, owner)
    used = used[rank < REGISTERS - len(convention.names)]
    at = np.minimum(np.searchsorted(used, key), max(len(used) - 1, 0))
    some = used[at] == key if len(used) else np.zeros(len(key), bool)
    slot = (at - np.searchsorted(used // _FAR, key // _FAR) + len(convention.names))[some]
    return _replaced(code, rows[some], slot, op[some])


def stack_places(code: Operands, rows: Indices, tables: Sequence[Rows]) -> Numbers:
    """How far what instructions address by the stack pointer is from the caller's, before the call.

    Args:
        code: instructions.
        rows: those that are asked about.
        tables: where the stack pointer is; the first that says it counts.

    Returns:
        Bytes, negative inside the frame; below all that can be where it is not known.
    """
    depth = np.full(len(rows), 4 * _FAR)
    left = np.arange(len(rows))
    for table in tables:
        row = sample(table, code.start[rows[left]])
        if len(table):
            says = (row >= 0) & known(table)[row] & (table.base[row] == Base.SP)
            says &= table.depth[row] == table.most[row]
            depth[left[says]] = table.depth[row[says]]
        left = left[row < 0]
    place: Numbers = code.disp[rows] - depth
    return place


def _replaced(code: Operands, rows: Indices, slot: Indices, op: NDArray[np.uint8]) -> Operands:
    target, base, disp = code.target.copy(), code.base.copy(), code.disp.copy()
    writes, new = code.writes.copy(), code.op.copy()
    loads, stores = op == Op.LOAD, op == Op.STORE
    numbers, changes = op == Op.STORE_CONSTANT, op == Op.CHANGE
    base[rows[loads]] = slot[loads]
    target[rows[stores]], base[rows[stores]] = slot[stores], code.source[rows[stores]]
    target[rows[numbers]], base[rows[numbers]] = slot[numbers], NO_REGISTER
    disp[rows[numbers]] = code.value[rows[numbers]]
    new[rows[loads | stores]] = Op.COPY
    new[rows[numbers]], new[rows[changes]] = Op.ADDRESS, Op.OTHER
    writes[rows[~loads]] |= np.uint64(1) << slot[~loads].astype(np.uint64)
    return replace(code, op=new, target=target, base=base, disp=disp, writes=writes)
