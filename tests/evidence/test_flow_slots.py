"""Delay slots along the paths: MIPS code read and followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stackgauge.evidence.flow import follow
from stackgauge.evidence.pieces import Pieces
from tests.evidence.test_flow import ISA, depths
from tests.isa.listing import BASE
from tests.isa.test_mips import MIPS

TAKE, GIVE = "27bdffd0 addiu $sp, $sp, -48", "27bd0030 addiu $sp, $sp, 48"
NOP, RETURN = "00000000 nop", "03e00008 jr $ra"


def before_each(*lines: str) -> list[int]:
    """The depth before each instruction, -1 where no path leads."""
    bounds = np.array([BASE, BASE + 4 * len(lines)], np.uint64)
    pieces = Pieces(bounds[:1], bounds[1:], np.zeros(1, np.intp), np.ones(1, bool))
    followed = follow(MIPS.steps("\n".join(lines)), pieces, replace(ISA, entry_depth=0))
    assert not followed.doubtful.any()
    assert not followed.dynamic.any()
    return depths(followed)[::4]


def test_a_slot_counts_on_both_ways() -> None:
    found = before_each("10400003 beqz $v0, .+16", TAKE, RETURN, GIVE, RETURN, GIVE)
    assert found == [0, 0, 48, 48, 48, 48]


def test_the_slot_of_a_branch_likely_counts_where_it_is_taken() -> None:
    found = before_each("50400003 beql $v0, $zero, .+16", TAKE, RETURN, NOP, RETURN, GIVE)
    assert found == [0, 0, 0, 0, 48, 48]


@pytest.mark.parametrize("slot", [NOP, "00001025 move $v0, $zero"])
def test_a_slot_that_is_jumped_to_goes_on_while_its_branch_leads_away(slot: str) -> None:
    found = before_each(
        TAKE,
        "10400002 beqz $v0, .+12",  # to the slot of the next branch
        NOP,
        "10000003 b .+16",
        slot,
        RETURN,
        GIVE,
        RETURN,
        GIVE,
    )
    assert found == [0, *[48] * 8]


def test_a_slot_that_is_jumped_to_moves_the_stack_pointer_there_as_well() -> None:
    found = before_each(
        TAKE,
        "10400002 beqz $v0, .+12",
        NOP,
        RETURN,
        GIVE,
        RETURN,
        NOP,
    )
    assert found == [0, 48, 48, 48, 48, 0, 0]
