"""MIPS instructions and delay slots: what they do to the stack pointer, and where they lead."""

from __future__ import annotations

from functools import partial

import capstone
import pytest

from stackgauge.isa.mips.encoding import Dialect
from stackgauge.isa.mips.reader import read_mips
from stackgauge.isa.model import NO_AMOUNT, Effect, Flow
from tests.isa.listing import BASE, Listings


def _listings(dialect: Dialect, order: str = "<", alignment: int = 8) -> Listings:
    read = partial(read_mips, order=order, dialect=dialect, stack_alignment=alignment)
    mode = capstone.CS_MODE_MIPS64
    unchecked = {
        "jal",
        "j",
        "bbit0",
        "bc",
        "balc",
        "beqzc",
        "jic",
        "bnec",
        "blezalc",
        "aui",
        "unchecked",
    }
    return Listings(read, order, capstone.CS_ARCH_MIPS, mode, frozenset(unchecked))


MIPS = _listings(Dialect.CLASSIC)
MIPS64 = _listings(Dialect.CLASSIC, alignment=16)
OCTEON = _listings(Dialect.OCTEON, ">", 16)
RELEASE_6 = _listings(Dialect.RELEASE_6)


@pytest.mark.parametrize(
    ("listing", "effect", "value"),
    [
        ("27bdffe0 addiu $sp, $sp, -32", Effect.ADD, -32),
        ("27bd7ff0 addiu $sp, $sp, 32752", Effect.ADD, 32752),
        ("67bdfff0 daddiu $sp, $sp, -16", Effect.ADD, -16),
        ("7c1d1804 ins $sp, $zero, 0, 4", Effect.ALIGN, 16),
        ("03a2e823 subu $sp, $sp, $v0", Effect.DYNAMIC, NO_AMOUNT),
        ("8fbd0000 lw $sp, ($sp)", Effect.LOST, 0),
        ("8c9d0010 lw $sp, 16($a0)", Effect.LOST, 0),
        ("241d0010 addiu $sp, $zero, 16", Effect.LOST, 0),
        ("0080e825 move $sp, $a0", Effect.LOST, 0),
        ("409de000 mtc0 $sp, $gp, 0", None, 0),
        ("401d4000 mfc0 $sp, $t0, 0", Effect.LOST, 0),
        ("afbd0010 sw $sp, 16($sp)", None, 0),
        ("7c9dd000 ext $sp, $a0, 0, 27", Effect.LOST, 0),
        ("7fa4e800 ext $a0, $sp, 0, 30", None, 0),
        ("27a40010 addiu $a0, $sp, 16", None, 0),
    ],
)
def test_one_instruction(listing: str, effect: Effect | None, value: int) -> None:
    assert MIPS.rows(listing) == ([] if effect is None else [(0, effect, 0, value)])


@pytest.mark.parametrize(
    ("listing", "flow", "target"),
    [
        ("10000005 b .+24", Flow.JUMP, 6),
        ("1440fffb bnez $v0, .-16", Flow.BRANCH, -4),
        ("04110003 bal .+16", Flow.CALL, 4),
        ("0480fffe bltz $a0, .-4", Flow.BRANCH, -1),
        ("45010003 bc1t .+16", Flow.BRANCH, 4),
        ("08004010 j 0x10040", Flow.JUMP, 16),
        ("0c004010 jal 0x10040", Flow.CALL, 16),
        ("0320f809 jalr $t9", Flow.CALL, 0),
        ("03200008 jr $t9", Flow.INDIRECT, 0),
        ("03e00008 jr $ra", Flow.STOP, 0),
    ],
)
def test_a_branch_ends_after_its_delay_slot(listing: str, flow: Flow, target: int) -> None:
    assert MIPS.flows(f"{listing}\n00000000 nop") == [(0, 1, flow, target)]


@pytest.mark.parametrize(
    ("listing", "flow"),
    [
        ("0000000d break", Flow.TRAP),
        ("00000034 teq $zero, $zero", Flow.TRAP),
        ("42000018 eret", Flow.STOP),
    ],
)
def test_what_has_no_delay_slot(listing: str, flow: Flow) -> None:
    assert MIPS.flows(listing) == [(0, 0, flow, 0)]
    assert MIPS.flows("00430034 teq $v0, $v1") == []


@pytest.mark.parametrize("word", ["41606000", "41626020", "42000002", "43000018", "42000020"])
def test_other_instructions_of_coprocessor_0_lead_nowhere(word: str) -> None:
    # DI, EI, TLBWI, one with a code where a branch would have its kind, WAIT.
    assert MIPS.flows(f"{word} unchecked") == []


def test_the_slot_takes_effect_with_its_branch() -> None:
    steps = MIPS.steps(
        """
        03e00008 jr $ra
        27bd0020 addiu $sp, $sp, 32
        """
    )
    assert steps.start.tolist() == [BASE, BASE]
    assert steps.end.tolist() == [BASE + 8, BASE + 8]
    assert steps.effect.tolist() == [Effect.ADD, Effect.NONE]
    assert steps.flow.tolist() == [Flow.NEXT, Flow.STOP]


def test_a_slot_in_another_stretch_belongs_to_its_branch_all_the_same() -> None:
    steps = MIPS.steps("03e00008 jr $ra\n27bd0020 addiu $sp, $sp, 32", starts=(0, 1))
    assert steps.start.tolist() == [BASE, BASE]
    assert steps.effect.tolist() == [Effect.ADD, Effect.NONE]
    # The branch ends where its stretch does.
    assert steps.end.tolist()[1] == BASE + 4


def test_the_slot_of_a_branch_likely_runs_only_if_it_is_taken() -> None:
    listing = """
        5040fffb beql $v0, $zero, .-16
        27bd0020 addiu $sp, $sp, 32
        """
    assert MIPS.rows(listing) == [(1, Effect.ADD, 0, 32)]
    assert MIPS.flows(listing) == [(0, 0, Flow.BRANCH, 2), (1, 1, Flow.JUMP, -4)]


def test_a_slot_that_is_jumped_to_is_run_by_itself_as_well() -> None:
    assert MIPS.rows(
        """
        03e00008 jr $ra
        27bd0020 addiu $sp, $sp, 32
        1000fffe b .-4
        00000000 nop
        """
    ) == [(0, Effect.ADD, 0, 32), (1, Effect.ADD, 0, 32)]


def test_mcount_gives_back_what_is_taken_for_it() -> None:
    assert (
        MIPS.rows(
            """
            03e00825 move $at, $ra
            27ac0014 addiu $t4, $sp, 20
            0c004010 jal 0x10040
            27bdfff8 addiu $sp, $sp, -8
            """
        )
        == []
    )
    kept = """
        00000000 nop
        0c004010 jal 0x10040
        27bdfff8 addiu $sp, $sp, -8
        """
    assert MIPS.rows(kept) == [(1, Effect.ADD, 0, -8)]


def test_a_large_frame_by_a_constant() -> None:
    assert MIPS.rows(
        """
        3c030130 lui $v1, 304
        3463ad30 ori $v1, $v1, 44336
        03a3e823 subu $sp, $sp, $v1
        34089178 ori $t0, $zero, 37240
        03a8e821 addu $sp, $sp, $t0
        """
    ) == [(2, Effect.ADD, 0, -0x130AD30), (4, Effect.ADD, 0, 0x9178)]


def test_a_limit_that_the_code_shows() -> None:
    assert MIPS.rows(
        """
        304203ff andi $v0, $v0, 1023
        24420007 addiu $v0, $v0, 7
        304207f8 andi $v0, $v0, 2040
        03a2e823 subu $sp, $sp, $v0
        """
    ) == [(3, Effect.DYNAMIC, 0, 1024)]


def test_the_frame_pointer_brings_the_stack_pointer_back() -> None:
    assert MIPS.rows(
        """
        03a0f025 move $fp, $sp
        03a2e823 subu $sp, $sp, $v0
        03c0e825 move $sp, $fp
        8fbe0008 lw $fp, 8($sp)
        """
    ) == [
        (0, Effect.COPY, 0, 0),
        (1, Effect.DYNAMIC, 0, NO_AMOUNT),
        (2, Effect.RESTORE, 0, 0),
        (3, Effect.MOVE, 0, 4 << 24),
    ]


def test_a_call_ends_copies_that_it_does_not_preserve() -> None:
    listing = """
        03a04025 move $t0, $sp
        03a08025 move $s0, $sp
        0c004010 jal 0x10040
        00000000 nop
        0100e825 move $sp, $t0
        0200e825 move $sp, $s0
        """
    ends = [row for row in MIPS.rows(listing) if row[1] is Effect.MOVE]
    assert [(at, value) for at, _, _, value in ends] == [(2, 4 << 24)]


def test_llvm_makes_the_new_stack_pointer_in_another_register() -> None:
    assert MIPS64.rows(
        """
        03a1802f dsubu $s0, $sp, $at
        0200e825 move $sp, $s0
        """
    ) == [(1, Effect.DYNAMIC, 0, NO_AMOUNT)]


def test_the_stack_pointer_is_rounded_by_a_mask() -> None:
    assert MIPS.rows(
        """
        2401ffe0 addiu $at, $zero, -32
        03a1e824 and $sp, $sp, $at
        """
    ) == [(1, Effect.ALIGN, 0, 32)]


def test_a_loop_of_probes_is_one_move() -> None:
    listing = """
        3c020006 lui $v0, 6
        03a21823 subu $v1, $sp, $v0
        27bdf000 addiu $sp, $sp, -4096
        17a3fffe bne $sp, $v1, .-4
        afa00ffc sw $zero, 4092($sp)
        """
    assert MIPS.rows(listing) == [(2, Effect.ADD, 0, -6 << 16)]
    assert MIPS.flows(listing) == []


def test_octeon_branches_on_a_bit() -> None:
    assert OCTEON.flows("c8440002 bbit0 $v0, 4, .+12\n00000000 nop") == [(0, 1, Flow.BRANCH, 3)]
    assert _listings(Dialect.CLASSIC, ">").flows("c8440002 bbit0\n00000000 nop") == []


@pytest.mark.parametrize(
    ("listing", "flow", "target"),
    [
        ("c8000005 bc .+24", Flow.JUMP, 6),
        ("ebffffff balc .", Flow.CALL, 0),
        ("d8400005 beqzc $v0, .+24", Flow.BRANCH, 6),
        ("60430005 bnec $v0, $v1, .+24", Flow.BRANCH, 6),
        ("18040005 blezalc $a0, .+24", Flow.CALL, 6),
        ("d81f0000 jic $ra, 0", Flow.STOP, 0),
        ("d8190000 jic $t9, 0", Flow.INDIRECT, 0),
    ],
)
def test_release_6_branches_without_a_slot(listing: str, flow: Flow, target: int) -> None:
    assert RELEASE_6.flows(f"{listing}\n00000000 nop") == [(0, 0, flow, target)]


def test_release_6_adds_to_the_upper_half() -> None:
    assert RELEASE_6.rows("3fbd0001 aui $sp, $sp, 1") == [(0, Effect.LOST, 0, 0)]
