"""RISC-V instructions, one by one and together."""

from __future__ import annotations

from functools import partial

import pytest

from stackgauge.isa.model import NO_AMOUNT, SAVED, Effect, Flow
from stackgauge.isa.riscv.reader import read_riscv
from tests.isa.hex_listing import BASE, effects, flows, steps_of

RV64 = partial(read_riscv, bits=64, pushes=False)
RV32 = partial(read_riscv, bits=32, pushes=False)
ZCMP = partial(read_riscv, bits=64, pushes=True)
NOTHING = SAVED - 1


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("130101ff addi sp, sp, -16", -16),
        ("13010180 addi sp, sp, -2048", -2048),
        ("0111 c.addi sp, -32", -32),
        ("4101 c.addi sp, 16", 16),
        ("0171 c.addi16sp sp, -512", -512),
        ("7d61 c.addi16sp sp, 496", 496),
    ],
)
def test_immediates(line: str, value: int) -> None:
    for read in (RV64, RV32):
        assert effects(read, line) == [(0, Effect.ADD, 0, value)]


def test_the_frame_pointer() -> None:
    listing = """
        7971       c.addi16sp sp, -48
        0018       c.addi4spn s0, sp, 48
    """
    assert effects(RV64, listing) == [(0, Effect.ADD, 0, -48), (1, Effect.COPY, 0, 48)]
    assert effects(RV64, "13040103 addi s0, sp, 48") == [(0, Effect.COPY, 0, 48)]
    assert effects(RV64, "0a84 c.mv s0, sp") == [(0, Effect.COPY, 0, 0)]


def test_taking_the_stack_pointer_from_a_copy() -> None:
    listing = """
        0018     c.addi4spn s0, sp, 48
        130104fd addi sp, s0, -48
    """
    assert effects(RV64, listing) == [(0, Effect.COPY, 0, 48), (1, Effect.RESTORE, 0, -48)]
    listing = """
        8a84     c.mv s1, sp
        2681     c.mv sp, s1
    """
    assert effects(RV64, listing) == [(0, Effect.COPY, 1, 0), (1, Effect.RESTORE, 1, 0)]
    # From one that is overwritten in between: by a load, which is compressed.
    listing = """
        8a84     c.mv s1, sp
        8460     c.ld s1, 0(s1)
        2681     c.mv sp, s1
    """
    assert effects(RV64, listing)[1:] == [
        (1, Effect.MOVE, 1, NOTHING << 24), (2, Effect.RESTORE, 1, 0)
    ]  # fmt: skip


def test_constants_in_registers() -> None:
    listing = """
        fd72     c.lui t0, 0xfffff
        1681     c.mv sp, t0
    """
    assert effects(RV64, listing)[-1][1] == Effect.LOST
    listing = """
        fd72     c.lui t0, 0xfffff
        9382027f addi t0, t0, 2032
        1691     c.add sp, t0
        8962     c.lui t0, 2
        33015140 sub sp, sp, t0
    """
    assert effects(RV64, listing) == [(2, Effect.ADD, 0, -2064), (4, Effect.ADD, 0, -8192)]


def test_amounts_known_at_run_time() -> None:
    assert effects(RV64, "3301f140 sub sp, sp, a5") == [(0, Effect.DYNAMIC, 0, NO_AMOUNT)]
    listing = """
        93f7f73f andi a5, a5, 1023
        bd07     c.addi a5, 15
        c19b     c.andi a5, -16
        3301f140 sub sp, sp, a5
    """
    assert effects(RV64, listing) == [(3, Effect.DYNAMIC, 0, 1024)]
    # LLVM makes the difference first.
    listing = """
        33055140 sub a0, sp, t0
        2a81     c.mv sp, a0
    """
    assert effects(RV64, listing) == [(1, Effect.DYNAMIC, 0, NO_AMOUNT)]
    listing = """
        33055140 sub a0, sp, t0
        0111     c.addi sp, -32
        2a81     c.mv sp, a0
    """
    assert effects(RV64, listing)[-1] == (2, Effect.LOST, 0, 0)


def test_alignment() -> None:
    assert effects(RV64, "137101fc andi sp, sp, -64") == [(0, Effect.ALIGN, 0, 64)]


@pytest.mark.parametrize(
    "line",
    [
        "03310102 ld sp, 32(sp)",
        "0261 c.ldsp sp, 0",
        "73110114 csrrw sp, sscratch, sp",
        "37010000 lui sp, 0",
        "3371b500 and sp, a0, a1",
        "2f315500 amoadd.d sp, t0, (a0)",
    ],
)
def test_what_is_lost(line: str) -> None:
    assert effects(RV64, line) == [(0, Effect.LOST, 0, 0)]


@pytest.mark.parametrize(
    "line",
    ["23302100 sd sp, 0(sp)", "5310a100 fcvt... fd", "02e1 c.fsdsp", "63002100 beq sp, sp, 0"],
)
def test_what_leaves_it_alone(line: str) -> None:
    assert effects(RV64, line) == []


def test_pushes() -> None:
    listing = """
        52b8 cm.push {ra, s0}, -16
        42b8 cm.push {ra}, -16
        f6b8 cm.push {ra, s0-s11}, -128
        6abe cm.popret {ra, s0-s1}, 64
    """
    assert effects(ZCMP, listing) == [
        (0, Effect.ADD, 0, -16), (1, Effect.ADD, 0, -16), (2, Effect.ADD, 0, -128),
        (3, Effect.ADD, 0, 64),
    ]  # fmt: skip
    assert flows(ZCMP, listing) == [(3, Flow.STOP, None)]
    assert not effects(RV64, listing)
    assert not flows(RV64, listing)


def test_where_control_goes() -> None:
    listing = """
        19c0     c.beqz s0, +6
        11a0     c.j +4
        0100     c.nop
        6304b500 beq a0, a1, +8
        ef000000 jal ra, +0
        6f004000 j +4
        0290     c.ebreak
        8280     c.jr ra
        0287     c.jr a4
        0297     c.jalr a4
        67800000 ret
        67000700 jr 0(a4)
        e7000700 jalr 0(a4)
        73002010 sret
        73001000 ebreak
        0000     c.unimp
    """
    assert flows(RV64, listing) == [
        (0, Flow.BRANCH, 3), (1, Flow.JUMP, 3), (3, Flow.BRANCH, 5), (4, Flow.CALL, 4),
        (5, Flow.JUMP, 6), (6, Flow.TRAP, None), (7, Flow.STOP, None), (8, Flow.INDIRECT, None),
        (9, Flow.CALL, None), (10, Flow.STOP, None), (11, Flow.INDIRECT, None),
        (12, Flow.CALL, None), (13, Flow.STOP, None), (14, Flow.TRAP, None),
        (15, Flow.STOP, None),
    ]  # fmt: skip


def test_what_only_32_bits_have() -> None:
    listing = """
        1120     c.jal +4
        0100     c.nop
        0100     c.nop
    """
    assert flows(RV32, listing) == [(0, Flow.CALL, 2)]
    assert flows(RV64, listing) == []


def test_pairs_lead_far_away() -> None:
    listing = """
        97000000 auipc ra, 0
        e7800001 jalr ra, 16(ra)
        17030000 auipc t1, 0
        67008300 jr 8(t1)
        0100     c.nop
    """
    assert flows(RV64, listing) == [(1, Flow.CALL, 4), (3, Flow.JUMP, 4)]


def test_routines_that_take_the_stack_for_their_caller() -> None:
    # -msave-restore: what it takes is not known; a part of the same routine is followed.
    listing = """
        97020000 auipc t0, 0
        e7828210 jalr t0, 264(t0)
    """
    assert effects(RV64, listing) == [(1, Effect.LOST, 0, 0)]
    listing = """
        ef024000 jal t0, +4
        0100     c.nop
    """
    assert effects(RV64, listing) == []


def test_a_trap_ends_after_the_nops_that_follow() -> None:
    listing = """
        0290     c.ebreak
        0100     c.nop
        13000000 nop
        8280     c.jr ra
    """
    steps = steps_of(RV64, listing)
    assert (steps.end[0] - BASE, steps.flow[0]) == (8, Flow.TRAP)


def test_instructions_of_more_bytes_are_not_known() -> None:
    listing = """
        1f0000000000 48 bits
        0111         c.addi sp, -32
    """
    assert effects(RV64, listing)[0] == (0, Effect.LOST, 0, 0)
    assert flows(RV64, listing) == [(0, Flow.STOP, None)]
