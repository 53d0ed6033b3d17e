"""LoongArch instructions, one by one and together."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.isa.loongarch.encoding import written_registers
from stackgauge.isa.loongarch.reader import read_loongarch
from stackgauge.isa.model import NO_AMOUNT, SAVED, Effect, Flow, Steps
from tests.isa.hex_listing import BASE, steps_of
from tests.isa.hex_listing import effects as effects_of
from tests.isa.hex_listing import flows as flows_of

NOTHING = SAVED - 1


def _bytes(listing: str) -> str:
    """A listing of words as objdump prints them, as one of bytes."""
    lines = [line.split(maxsplit=1) for line in listing.splitlines() if line.strip()]
    return "\n".join(f"{bytes.fromhex(word)[::-1].hex()} {text}" for word, text in lines)


def effects(listing: str) -> list[tuple[int, Effect, int, int]]:
    return effects_of(read_loongarch, _bytes(listing))


def flows(listing: str) -> list[tuple[int, Flow, int | None]]:
    return flows_of(read_loongarch, _bytes(listing))


def _steps(listing: str) -> Steps:
    return steps_of(read_loongarch, _bytes(listing))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("02ffc063 addi.d $sp, $sp, -16", -16),
        ("02e00063 addi.d $sp, $sp, -2048", -2048),
        ("02c08063 addi.d $sp, $sp, 32", 32),
        ("13fffc63 addu16i.d $sp, $sp, -1", -65536),
    ],
)
def test_immediates(line: str, value: int) -> None:
    assert effects(line) == [(0, Effect.ADD, 0, value)]


def test_the_frame_pointer() -> None:
    listing = """
        02c10076 addi.d $fp, $sp, 64
        02ff02c3 addi.d $sp, $fp, -64
    """
    assert effects(listing) == [(0, Effect.COPY, 0, 64), (1, Effect.RESTORE, 0, -64)]
    assert effects("00150076 move $fp, $sp") == [(0, Effect.COPY, 0, 0)]


def test_another_copy() -> None:
    listing = """
        00150077 move $s0, $sp
        001502e3 move $sp, $s0
    """
    assert effects(listing) == [(0, Effect.COPY, 1, 0), (1, Effect.RESTORE, 1, 0)]
    listing = """
        00150077 move $s0, $sp
        28c000d7 ld.d $s0, $a2, 0
        001502e3 move $sp, $s0
    """
    assert effects(listing)[1:] == [
        (1, Effect.MOVE, 1, NOTHING << 24), (2, Effect.RESTORE, 1, 0)
    ]  # fmt: skip


def test_constants_in_registers() -> None:
    listing = """
        15ffffed lu12i.w $t1, -1
        039fc1ad ori $t1, $t1, 0x7f0
        0010b463 add.d $sp, $sp, $t1
        1400002d lu12i.w $t1, 1
        0011b463 sub.d $sp, $sp, $t1
    """
    assert effects(listing) == [(2, Effect.ADD, 0, -2064), (4, Effect.ADD, 0, -4096)]


def test_amounts_known_at_run_time() -> None:
    assert effects("0011b063 sub.d $sp, $sp, $t0") == [(0, Effect.DYNAMIC, 0, NO_AMOUNT)]
    listing = """
        034ffd8c andi $t0, $t0, 0x3ff
        02c03d8c addi.d $t0, $t0, 15
        00df118c bstrpick.d $t0, $t0, 0x1f, 0x4
        0041118c slli.d $t0, $t0, 0x4
        0011b063 sub.d $sp, $sp, $t0
    """
    assert effects(listing) == [(4, Effect.DYNAMIC, 0, 1024)]
    # LLVM makes the difference first.
    listing = """
        0011b064 sub.d $a0, $sp, $t0
        00150083 move $sp, $a0
    """
    assert effects(listing) == [(1, Effect.DYNAMIC, 0, NO_AMOUNT)]


def test_alignment() -> None:
    assert effects("00850003 bstrins.d $sp, $zero, 0x5, 0x0") == [(0, Effect.ALIGN, 0, 64)]


@pytest.mark.parametrize(
    "line",
    [
        "28c06063 ld.d $sp, $sp, 24",
        "0400c023 csrwr $sp, 0x30",
        "14000003 lu12i.w $sp, 0",
        "0114b803 movfr2gr.d $sp, $fa0",
    ],
)
def test_what_is_lost(line: str) -> None:
    assert effects(line) == [(0, Effect.LOST, 0, 0)]


@pytest.mark.parametrize(
    "line",
    [
        "29c06063 st.d $sp, $sp, 24",
        "27000063 stptr.d $sp, $sp, 0",
        "01010003 fadd.d $fa3, $fa0, $fa0",
        "0114a803 movgr2fr.d $fa3, $zero",
        "38720003 dbar 0x3",
        "2ac00003 preld",
        "382c8083 preldx",
        "381c0003 stx.d",
        "06000003 cacop",
        "70000003 vector",
    ],
)
def test_what_leaves_it_alone(line: str) -> None:
    assert effects(line) == []


def test_where_control_goes() -> None:
    listing = """
        58000c85 beq $a0, $a1, 12
        40000880 beqz $a0, 8
        5c000485 bne $a0, $a1, 4
        50000400 b 4
        57ffffff bl -4
        4c000020 ret
        4c000180 jr $t0
        4c000181 jirl $ra, $t0, 0
        48000500 bcnez $fcc0, 4
        53fffbff b -8
        58000800 beq $zero, $zero, 8
        002a0001 break 1
        06483800 ertn
    """
    assert flows(listing) == [
        (0, Flow.BRANCH, 3), (1, Flow.BRANCH, 3), (2, Flow.BRANCH, 3), (3, Flow.JUMP, 4),
        (4, Flow.CALL, 3), (5, Flow.STOP, None), (6, Flow.INDIRECT, None), (7, Flow.CALL, None),
        (8, Flow.BRANCH, 9), (9, Flow.JUMP, 7), (10, Flow.JUMP, 12), (11, Flow.TRAP, None),
        (12, Flow.STOP, None),
    ]  # fmt: skip


def test_pairs_lead_far_away() -> None:
    listing = """
        1e000001 pcaddu18i $ra, 0
        4c000c21 jirl $ra, $ra, 12
        1e00000c pcaddu18i $t0, 0
        4c000580 jirl $zero, $t0, 4
    """
    assert flows(listing) == [(1, Flow.CALL, 3), (3, Flow.JUMP, 3)]


def test_a_trap_ends_after_the_nops_that_follow() -> None:
    steps = _steps("002a0001 break 1\n03400000 nop\n03400000 nop\n4c000020 ret")
    assert (steps.end[0] - BASE, steps.flow[0]) == (12, Flow.TRAP)


def test_written_registers() -> None:
    def written(word: int) -> list[int]:
        found = int(written_registers(np.array([word], np.uint32))[0])
        return [one for one in range(32) if found >> one & 1]

    assert written(0x0000688C) == [4, 12]  # rdtime.d $t0, $a0: both
    assert written(0x386A36EC) == [12]  # amadd_db.w
    assert written(0x06480C0C) == [12]  # iocsrrd.d
    assert written(0x06481C0C) == []  # iocsrwr.d
    assert written(0x54000000) == [1, *range(4, 21)]  # bl
    assert written(0x4C000020) == []  # ret
