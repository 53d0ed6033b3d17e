"""What the text of A64 instructions says of the stack pointer and the flow."""

from __future__ import annotations

import re
from typing import NamedTuple

from stackgauge.isa.model import Flow
from tests.oracles.objdump import Instruction

_SP_WRITERS = {"add", "sub", "mov", "and", "orr", "eor", "addg", "subg", "irg", "addvl", "addpl"}


class Said(NamedTuple):
    """What one instruction does.

    Attributes:
        added: what is added to the stack pointer; None where that is not a number in the text.
        moves: whether it moves the stack pointer at all.
        flow: where it leads.
        target: address of a direct branch, else 0.
    """

    added: int | None
    moves: bool
    flow: Flow
    target: int


def said(one: Instruction) -> Said:
    """Read one line of objdump."""
    flow, target = _flow(one)
    added = _added(one) if "sp" in one.operands else None
    moves = added is not None or (
        one.mnemonic in _SP_WRITERS and one.operands.startswith(("sp,", "wsp,"))
    )
    return Said(added, moves, flow, target)


def _added(one: Instruction) -> int | None:
    found = re.search(r"\[sp\], #(-?\d+)$|\[sp, #(-?\d+)\]!$", one.operands)
    if found:
        return int(found[1] or found[2])
    found = re.match(r"sp, sp, #(0x[0-9a-f]+)(, lsl #12)?$", one.operands)
    if not found or one.mnemonic not in ("add", "sub"):
        return None
    amount = int(found[1], 16) << (12 if found[2] else 0)
    return amount if one.mnemonic == "add" else -amount


_FLOWS = dict.fromkeys(("ret", "retaa", "retab", "eret", "eretaa", "eretab", "drps"), Flow.STOP)
_FLOWS |= {"b": Flow.JUMP, "bl": Flow.CALL, "blr": Flow.CALL, "br": Flow.INDIRECT}
_FLOWS |= dict.fromkeys(("blraa", "blraaz", "blrab", "blrabz"), Flow.CALL)
_FLOWS |= dict.fromkeys(("braa", "braaz", "brab", "brabz"), Flow.INDIRECT)
_FLOWS |= dict.fromkeys(("cbz", "cbnz", "tbz", "tbnz"), Flow.BRANCH)
_FLOWS |= {"brk": Flow.TRAP}


def _flow(one: Instruction) -> tuple[Flow, int]:
    name = one.mnemonic
    flow = Flow.BRANCH if name.startswith("b.") else _FLOWS.get(name, Flow.NEXT)
    direct = flow == Flow.BRANCH or name in ("b", "bl")
    return flow, int(one.operands.rpartition(", ")[2], 16) if direct else 0
