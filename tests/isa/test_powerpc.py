"""Power instructions one by one and together: the stack pointer, its back chain, the flow."""

from __future__ import annotations

from functools import partial

import capstone
import pytest

from stackgauge.isa.model import NO_AMOUNT, SAVED, Effect, Flow
from stackgauge.isa.powerpc.reader import read_powerpc
from tests.isa.listing import Listings


def _listings(bits: int, order: str) -> Listings:
    read = partial(read_powerpc, order=order, bits=bits, alignment=16)
    mode = capstone.CS_MODE_64 if bits == 64 else capstone.CS_MODE_32
    unchecked = {"bcl", "prefix", "pli", "stbux", "twui", "beq", "bne", "bnelr", "paddi"}
    return Listings(read, order, capstone.CS_ARCH_PPC, mode, frozenset(unchecked))


PPC64 = _listings(64, "<")
PPC32 = _listings(32, ">")

CHAIN_SLOT = 1


@pytest.mark.parametrize(
    ("listing", "effect", "value"),
    [
        ("f821ffe1 stdu r1, -32(r1)", Effect.ADD, -32),
        ("f921ffa1 stdu r9, -96(r1)", Effect.ADD, -96),
        ("9421ffd0 stwu r1, -48(r1)", Effect.ADD, -48),
        ("38210020 addi r1, r1, 32", Effect.ADD, 32),
        ("3c210001 addis r1, r1, 1", Effect.ADD, 65536),
        ("3c217fff addis r1, r1, 32767", Effect.LOST, 0),
        ("85610010 lwzu r11, 16(r1)", Effect.ADD, 16),
        ("7c21016a stdux r1, r1, r0", Effect.DYNAMIC, NO_AMOUNT),
        ("e8230010 ld r1, 16(r3)", Effect.LOST, 0),
        ("7c230214 add r1, r3, r0", Effect.LOST, 0),
        ("7c611b78 mr r1, r3", Effect.LOST, 0),
        ("7c210b78 mr r1, r1", None, 0),  # lowers the thread's priority
        ("60210000 ori r1, r1, 0", Effect.LOST, 0),
        ("f8230010 std r1, 16(r3)", None, 0),
        ("7c2301ce stvx v1, r3, r0", None, 0),
        ("7c2300ce lvx v1, r3, r0", None, 0),
        ("10211484 vor v1, v1, v2", None, 0),
        ("c8230010 lfd f1, 16(r3)", None, 0),
        ("38610020 addi r3, r1, 32", None, 0),
    ],
)
def test_one_instruction(listing: str, effect: Effect | None, value: int) -> None:
    rows = [row for row in PPC64.rows(listing) if row[1] is not Effect.COPY]
    assert rows == ([] if effect is None else [(0, effect, 0, value)])


@pytest.mark.parametrize(
    ("listing", "flow", "target"),
    [
        ("48000010 b .+16", Flow.JUMP, 4),
        ("4bfffff1 bl .-16", Flow.CALL, -4),
        ("4182000c beq .+12", Flow.BRANCH, 3),
        ("429f0005 bcl 20, 31, .+4", Flow.CALL, 1),
        ("4e800020 blr", Flow.STOP, 0),
        ("4e800420 bctr", Flow.INDIRECT, 0),
        ("4e800421 bctrl", Flow.CALL, 0),
        ("4e800021 blrl", Flow.CALL, 0),
        ("4c000024 rfid", Flow.STOP, 0),
        ("0fe00000 twui r0, 0", Flow.TRAP, 0),
        ("7fe00008 trap", Flow.TRAP, 0),
    ],
)
def test_where_it_leads(listing: str, flow: Flow, target: int) -> None:
    assert PPC64.flows(listing) == [(0, 0, flow, target)]


@pytest.mark.parametrize("listing", ["4d820020 beqlr", "0b090000 tdnei r9, 0", "44000002 sc"])
def test_what_may_go_on_as_it_is(listing: str) -> None:
    assert PPC64.flows(listing) == []


def test_absolute_branches() -> None:
    assert PPC32.flows("48010042 ba 0x10040") == [(0, 0, Flow.JUMP, 16)]


def test_a_trap_ends_after_the_nops_that_align_what_follows() -> None:
    listing = """
        0fe00000 twui r0, 0
        60000000 nop
        60420000 ori r2, r2, 0
        38600000 li r3, 0
        """
    assert PPC64.flows(listing) == [(0, 2, Flow.TRAP, 0)]


def test_a_large_frame_and_the_way_back_by_the_chain() -> None:
    assert PPC64.rows(
        """
        3c00fffe lis r0, -2
        6000ee90 ori r0, r0, 61072
        7c21016a stdux r1, r1, r0
        e8210000 ld r1, 0(r1)
        """
    ) == [
        (2, Effect.COPY, CHAIN_SLOT, 0),
        (2, Effect.ADD, 0, -70000),
        (3, Effect.RESTORE, CHAIN_SLOT, 0),
    ]


def test_the_chain_in_a_register() -> None:
    found = PPC32.rows(
        """
        9421ffd0 stwu r1, -48(r1)
        81610000 lwz r11, 0(r1)
        7d615b78 mr r1, r11
        """
    )
    assert [row[:2] for row in found] == [
        (0, Effect.COPY),
        (0, Effect.ADD),
        (1, Effect.MOVE),
        (2, Effect.RESTORE),
    ]


def test_a_frame_made_larger_keeps_the_chain() -> None:
    # alloca: the word that was the chain is stored again.
    found = PPC64.rows(
        """
        f821ffd1 stdu r1, -48(r1)
        e9410000 ld r10, 0(r1)
        7d41496a stdux r10, r1, r9
        e8210000 ld r1, 0(r1)
        """
    )
    assert [row[1] for row in found] == [
        Effect.COPY,
        Effect.ADD,
        Effect.MOVE,
        Effect.MOVE,
        Effect.DYNAMIC,
        Effect.RESTORE,
    ]
    assert found[-1][2] == found[3][2]


def test_a_push_of_something_else_loses_the_chain() -> None:
    found = PPC64.rows(
        """
        f821ffd1 stdu r1, -48(r1)
        f861fff1 stdu r3, -16(r1)
        e8210000 ld r1, 0(r1)
        """
    )
    assert (1, Effect.MOVE, CHAIN_SLOT, 4 << 24) in found


def test_the_frame_pointer() -> None:
    assert PPC64.rows(
        """
        7c3f0b78 mr r31, r1
        7d41496a stdux r10, r1, r9
        383f0030 addi r1, r31, 48
        """
    ) == [
        (0, Effect.COPY, 0, 0),
        (1, Effect.DYNAMIC, 0, NO_AMOUNT),
        (2, Effect.RESTORE, 0, 48),
    ]


def test_a_limit_that_the_code_shows() -> None:
    assert PPC32.rows(
        """
        712903ff andi. r9, r9, 1023
        3929000f addi r9, r9, 15
        55290536 rlwinm r9, r9, 0, 20, 27
        7d2900d0 neg r9, r9
        7d41496e stwux r10, r1, r9
        """
    ) == [(4, Effect.DYNAMIC, 0, 1024)]


def test_llvm_rounds_the_stack_pointer_down() -> None:
    assert PPC32.rows(
        """
        542006fe clrlwi r0, r1, 27
        2000ff60 subfic r0, r0, -160
        7c21016e stwux r1, r1, r0
        """
    ) == [(2, Effect.ADD, 0, -160), (2, Effect.ALIGN, 0, 32)]


def test_a_loop_of_probes_is_one_move() -> None:
    listing = """
        3d81fffa addis r12, r1, -6
        7c200b78 mr r0, r1
        f801f001 stdu r0, -4096(r1)
        7c216000 cmpd r1, r12
        4082fff8 bne .-8
        """
    assert PPC64.rows(listing) == [(2, Effect.ADD, 0, -6 << 16)]
    assert PPC64.flows(listing) == []


def test_a_switch_to_another_stack_and_back() -> None:
    listing = """
        f83f3f91 stdu r1, 16272(r31)
        7fe1fb78 mr r1, r31
        48000011 bl .+16
        e8210000 ld r1, 0(r1)
        """
    found = [row for row in PPC64.rows(listing) if row[1] is not Effect.MOVE]
    assert found == [(1, Effect.LOST, 0, 0), (3, Effect.RESTORE, SAVED, 0)]


def test_prefixed_instructions_have_two_words() -> None:
    # The second word of a load looks like a move of the stack pointer, or like a branch.
    assert PPC64.rows("04100000 prefix pld\ne4210000 prefix r1") == [(1, Effect.LOST, 0, 0)]
    assert PPC64.rows("04000000 prefix pstd\nf4210000 prefix r1") == []
    assert PPC64.rows("06000000 prefix paddi\n38610020 prefix r3") == []
    assert PPC64.rows(
        """
        0603fffe pli r0, -70000
        3800ee90 pli
        7c21016a stdux r1, r1, r0
        """
    ) == [(2, Effect.ADD, 0, -70000)]
