"""A64 instructions one by one: what they do to the stack pointer, and where they lead."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.isa.arm64.forms import FLOW, _by_half
from stackgauge.isa.model import Effect, Flow
from tests.isa.arm64_listing import BASE, flows, read, rows


@pytest.mark.parametrize(
    ("listing", "value"),
    [
        ("d10103ff sub sp, sp, #64", -64),
        ("d14043ff sub sp, sp, #16, lsl #12", -65536),
        ("913fffff add sp, sp, #4095", 4095),
        ("918207ff addg sp, sp, #32, #1", 32),
        ("d18103ff subg sp, sp, #16, #0", -16),
        ("a9be7bfd stp x29, x30, [sp, #-32]!", -32),
        ("a8c27bfd ldp x29, x30, [sp], #32", 32),
        ("29bf07e0 stp w0, w1, [sp, #-8]!", -8),
        ("68c107e0 ldpsw x0, x1, [sp], #8", 8),
        ("ada007e0 stp q0, q1, [sp, #-1024]!", -1024),
        ("6cdfa7e8 ldp d8, d9, [sp], #504", 504),
        ("2da007e0 stp s0, s1, [sp, #-256]!", -256),
        ("69bf07e0 stgp x0, x1, [sp, #-32]!", -32),
        ("e98097e3 sttp x3, x5, [sp, #8]!", 8),
        ("f81f0ffe str x30, [sp, #-16]!", -16),
        ("f84107fe ldr x30, [sp], #16", 16),
        ("3c9f0fe0 str q0, [sp, #-16]!", -16),
        ("384017e0 ldrb w0, [sp], #1", 1),
        ("b88fffe0 ldrsw x0, [sp, #255]!", 255),
        ("3c100fe0 str b0, [sp, #-256]!", -256),
        ("f8600fe0 ldraa x0, [sp, #-4096]!", -4096),
        ("f8bfffe0 ldrab x0, [sp, #4088]!", 4088),
        ("d92017ff stg sp, [sp], #16", 16),
        ("d9bfcfe0 st2g x0, [sp, #-64]!", -64),
        ("99000be0 stilp w0, w0, [sp, #-8]!", -8),
        ("d9410be0 ldiapp x0, x1, [sp], #16", 16),
        ("d9800be3 stlr x3, [sp, #-8]!", -8),
        ("99c00be3 ldapr w3, [sp], #4", 4),
        ("4cdf73e0 ld1 {v0.16b}, [sp], #16", 16),
        ("0cdf63e0 ld1 {v0.8b, v1.8b, v2.8b}, [sp], #24", 24),
        ("4c9f23e8 st1 {v8.16b, v9.16b, v10.16b, v11.16b}, [sp], #64", 64),
        ("4cdf0be0 ld4 {v0.4s, v1.4s, v2.4s, v3.4s}, [sp], #64", 64),
        ("4cdf87e0 ld2 {v0.8h, v1.8h}, [sp], #32", 32),
        ("0d9f03e0 st1 {v0.b}[0], [sp], #1", 1),
        ("4ddf87e0 ld1 {v0.d}[1], [sp], #8", 8),
        ("0ddfb3e0 ld3 {v0.s, v1.s, v2.s}[1], [sp], #12", 12),
        ("4dffefe0 ld4r {v0.2d, v1.2d, v2.2d, v3.2d}, [sp], #32", 32),
        ("0dffc3e0 ld2r {v0.8b, v1.8b}, [sp], #2", 2),
    ],
)
def test_adds_what_it_says(listing: str, value: int) -> None:
    assert rows(read(listing)) == [(0, Effect.ADD, 0, value)]


@pytest.mark.parametrize(
    "listing",
    [
        "4c8173e0 st1 {v0.16b}, [sp], x1",
        "0420503f addvl sp, x0, #1",
        "110043ff add wsp, wsp, #16",
        "4b2043ff sub wsp, wsp, w0",
        "121c6c1f and wsp, w0, #0xfffffff0",
        "b27c03ff mov sp, #16",
        "d27c001f eor sp, x0, #16",
        "9adf101f irg sp, x0",
        "9a0123ff addpt sp, sp, x1",
        "d50041bf msr spsel, #1",
        "92400fff and sp, xzr, #15",
        "92400c1f and sp, x0, #15",
    ],
)
def test_loses_the_stack_pointer(listing: str) -> None:
    assert rows(read(listing)) == [(0, Effect.LOST, 0, 0)]


def test_vectors_have_a_least_and_a_most_length() -> None:
    assert rows(
        read(
            """
            043f57df addvl sp, sp, #-2
            047f571f addpl sp, sp, #-8
            043f507f addvl sp, sp, #3
            """
        )
    ) == [
        (0, Effect.ADD, 0, -32),
        (0, Effect.DYNAMIC, 0, 480),
        (1, Effect.ADD, 0, -16),
        (1, Effect.DYNAMIC, 0, 240),
        (2, Effect.ADD, 0, 48),
    ]


@pytest.mark.parametrize(
    "listing",
    [
        "a9417bfd ldp x29, x30, [sp, #16]",
        "a9017bfd stp x29, x30, [sp, #16]",
        "f94007e0 ldr x0, [sp, #8]",
        "f85f83e0 ldur x0, [sp, #-8]",
        "f8408be0 ldtr x0, [sp, #8]",
        "910043e0 add x0, sp, #16",
        "f10043e0 subs x0, sp, #16",
        "eb2063ff cmp sp, x0",
        "a8c10440 ldp x0, x1, [x2], #16",
        "f8216be0 str x0, [sp, x1]",
        "a83f07e0 stnp x0, x1, [sp, #-16]",
        "f82003e1 ldadd x0, x1, [sp]",
        "c89fffe0 stlr x0, [sp]",
        "f2400c1f tst x0, #15",
        "b1003c1f cmn x0, #15",
        "d96013e0 ldg x0, [sp, #16]",
        "d503233f paciasp",
        "d503201f nop",
        "d4000001 svc #0",
        "d4000002 hvc #0",
    ],
)
def test_says_nothing_of_the_stack_or_the_flow(listing: str) -> None:
    assert len(read(listing)) == 0


def test_a_copy_in_the_frame_pointer_is_always_followed() -> None:
    assert rows(
        read(
            """
            910003fd mov x29, sp
            910043fd add x29, sp, #16
            """
        )
    ) == [(0, Effect.COPY, 0, 0), (1, Effect.COPY, 0, 16)]


@pytest.mark.parametrize(
    ("listing", "flow", "target"),
    [
        ("14000002 b .+8", Flow.JUMP, 2),
        ("97ffffff bl .-4", Flow.CALL, -1),
        ("54ffffc0 b.eq .-8", Flow.BRANCH, -2),
        ("54000031 bc.ne .+4", Flow.BRANCH, 1),
        ("b4000080 cbz x0, .+16", Flow.BRANCH, 4),
        ("371c0000 tbnz w0, #3, .-32768", Flow.BRANCH, -8192),
        ("7423a005 cbhi w5, w3, .-1024", Flow.BRANCH, -256),
        ("d61f0200 br x16", Flow.INDIRECT, 0),
        ("d71f0a11 braa x16, x17", Flow.INDIRECT, 0),
        ("d61f0a1f braaz x16", Flow.INDIRECT, 0),
        ("d63f0200 blr x16", Flow.CALL, 0),
        ("d73f0a1f blraa x16, sp", Flow.CALL, 0),
        ("d65f03c0 ret", Flow.STOP, 0),
        ("d65f0120 ret x9", Flow.STOP, 0),
        ("d65f0bff retaa", Flow.STOP, 0),
        ("5500001f retaasppc .", Flow.STOP, 0),
        ("d69f03e0 eret", Flow.STOP, 0),
        ("d69f0bff eretaa", Flow.STOP, 0),
        ("d6bf03e0 drps", Flow.STOP, 0),
        ("d4210000 brk #0x800", Flow.TRAP, 0),
        ("00000001 udf #1", Flow.STOP, 0),
    ],
)
def test_leads_where_it_says(listing: str, flow: Flow, target: int) -> None:
    steps = read(listing)
    assert flows(steps) == [(0, flow, target)]
    assert rows(steps) == []
    assert steps.end.tolist() == [BASE + 4]


def test_of_many_zeros_the_first_and_the_last_stop() -> None:
    assert flows(read("00000000 udf #0\n" * 9)) == [(0, Flow.STOP, 0), (8, Flow.STOP, 0)]


def test_an_instruction_is_looked_at_for_one_reason() -> None:
    upper, _ = _by_half()
    assert set(np.unique(upper[upper & FLOW != 0]).tolist()) == {FLOW}
