"""Moves of the stack pointer by a register and from one: constants, limits and copies."""

from __future__ import annotations

import pytest

from stackgauge.isa.arm64.slots import FRAME_SLOT, NOTHING
from stackgauge.isa.model import NO_AMOUNT, Effect
from tests.isa.arm64_listing import flows, read, rows

FORGET = NOTHING << 24


def last(listing: str) -> list[tuple[Effect, int, int]]:
    """The effects of the last instruction: effect, slot, value."""
    steps = rows(read(listing))
    place = listing.strip().count("\n")
    return [(effect, slot, value) for at, effect, slot, value in steps if at == place]


@pytest.mark.parametrize(
    ("before", "site", "value"),
    [
        ("d282760c mov x12, #5040", "cb2c63ff sub sp, sp, x12", -5040),
        ("d282760c mov x12, #5040", "8b2c63ff add sp, sp, x12", 5040),
        ("928275ec mov x12, #-5040", "8b2c63ff add sp, sp, x12", -5040),
        ("b27c1fec mov x12, #4080", "cb2c63ff sub sp, sp, x12", -4080),
        ("d282760c mov x12, #5040", "cb2c6fff sub sp, sp, x12, lsl #3", -40320),
        ("d282760c mov x12, #5040", "cb2c43ff sub sp, sp, w12, uxtw", -5040),
        ("128001ec mov w12, #-16", "cb2ccbff sub sp, sp, w12, sxtw #2", 64),
        (
            """
            d282760c mov x12, #5040
            d503201f nop
            f2a0002c movk x12, #1, lsl #16
            9100418c add x12, x12, #16
            """,
            "cb2c63ff sub sp, sp, x12",
            -(65536 + 5040 + 16),
        ),
    ],
)
def test_a_constant(before: str, site: str, value: int) -> None:
    assert last(f"{before.strip()}\n{site}") == [(Effect.ADD, 0, value)]


@pytest.mark.parametrize(
    ("before", "most"),
    [
        # The kernel's random offset (arch/arm64/kernel/syscall.c): 1,023, rounded up to 16.
        (
            """
            92402400 and x0, x0, #0x3ff
            91003c00 add x0, x0, #15
            927c1800 and x0, x0, #0x7f0
            """,
            1024,
        ),
        ("927c1800 and x0, x0, #0x7f0", 0x7F0),
        ("39400020 ldrb w0, [x1]", 255),
        ("d37c1400 ubfiz x0, x0, #4, #6", 63 * 16),
        ("53147c00 lsr w0, w0, #20", 4095),
        (
            """
            91003c00 add x0, x0, #15
            927cec00 and x0, x0, #0xfffffffffffffff0
            """,
            NO_AMOUNT,
        ),
        ("2a0103e0 mov w0, w1", NO_AMOUNT),
        ("d503201f nop", NO_AMOUNT),
    ],
)
def test_a_limit(before: str, most: int) -> None:
    assert last(f"{before.strip()}\ncb2063ff sub sp, sp, x0") == [(Effect.DYNAMIC, 0, most)]


def test_an_unknown_addition_is_lost() -> None:
    assert last("8b2c63ff add sp, sp, x12") == [(Effect.LOST, 0, 0)]


@pytest.mark.parametrize(
    "between",
    [
        "94000100 bl .+1024",  # may change it
        "f9400020 ldr x0, [x1]",
        "b4000041 cbz x1, .+8\nd2800200 mov x0, #16",  # leads to the subtraction
    ],
)
def test_a_constant_that_may_not_hold(between: str) -> None:
    listing = f"d2800400 mov x0, #32\n{between}\ncb2063ff sub sp, sp, x0"
    assert last(listing) == [(Effect.DYNAMIC, 0, NO_AMOUNT)]


def test_a_constant_does_not_hold_past_the_end_of_a_line_or_a_stretch() -> None:
    listing = "d2800400 mov x0, #32\n{}\ncb2063ff sub sp, sp, x0"
    unlimited = [(2, Effect.DYNAMIC, 0, NO_AMOUNT)]
    assert rows(read(listing.format("d65f03c0 ret"))) == unlimited
    assert rows(read(listing.format("d503201f nop"), starts=(0, 1))) == unlimited
    assert rows(read(listing.format("d503201f nop"))) == [(2, Effect.ADD, 0, -32)]


def test_the_frame_pointer_gives_it_back() -> None:
    assert rows(
        read(
            """
            910003fd mov x29, sp
            cb2063ff sub sp, sp, x0
            d10083bf sub sp, x29, #32
            a8c27bfd ldp x29, x30, [sp], #32
            """
        )
    ) == [
        (0, Effect.COPY, FRAME_SLOT, 0),
        (1, Effect.DYNAMIC, 0, NO_AMOUNT),
        (2, Effect.RESTORE, FRAME_SLOT, -32),
        (3, Effect.ADD, 0, 32),
        (3, Effect.MOVE, FRAME_SLOT, FORGET),
    ]


def test_a_copy_in_a_register_that_is_taken_from() -> None:
    assert rows(
        read(
            """
            910003f3 mov x19, sp
            910003f4 mov x20, sp
            b4000041 cbz x1, .+8
            d503201f nop
            9100027f mov sp, x19
            """
        )
    ) == [(0, Effect.COPY, 1, 0), (4, Effect.RESTORE, 1, 0)]


def test_a_copy_passed_on() -> None:
    assert rows(
        read(
            """
            910003e0 mov x0, sp
            aa0003f3 mov x19, x0
            b4000041 cbz x1, .+8
            d503201f nop
            9100027f mov sp, x19
            """
        )
    ) == [(1, Effect.COPY, 1, 0), (4, Effect.RESTORE, 1, 0)]


def test_a_copy_that_is_overwritten() -> None:
    # On another path: the paths decide.
    assert rows(
        read(
            """
            910003f3 mov x19, sp
            b4000041 cbz x1, .+8
            f9400033 ldr x19, [x1]
            9100027f mov sp, x19
            """
        )
    ) == [(0, Effect.COPY, 1, 0), (2, Effect.MOVE, 1, FORGET), (3, Effect.RESTORE, 1, 0)]
    # On the only path.
    assert last("910003f3 mov x19, sp\nf9400033 ldr x19, [x1]\n9100027f mov sp, x19") == [
        (Effect.LOST, 0, 0)
    ]


def test_more_copies_than_slots() -> None:
    restores = ["9100029f mov sp, x20", "910002bf mov sp, x21", "910002df mov sp, x22"]
    restores.append("910002ff mov sp, x23")
    copies = ["910003f4 mov x20, sp", "910003f5 mov x21, sp", "910003f6 mov x22, sp"]
    copies.append("910003f7 mov x23, sp")
    found = rows(read("\n".join([*copies, "b4000041 cbz x1, .+8", "d503201f nop", *restores])))
    assert found[: NOTHING - 1] == [(n, Effect.COPY, n + 1, 0) for n in range(NOTHING - 1)]
    # The last has none, and what it gives is not known.
    assert found[-1] == (9, Effect.RESTORE, NOTHING, 0)
    assert all(slot != NOTHING for _, effect, slot, _ in found if effect != Effect.RESTORE)


def test_over_aligned_variables() -> None:
    # What clang makes of 9,000 bytes aligned to 64.
    found = rows(
        read(
            """
            a9bf7bfd stp x29, x30, [sp, #-16]!
            d101c3e9 sub x9, sp, #112
            d10d8129 sub x9, x9, #864
            910003fd mov x29, sp
            927ae53f and sp, x9, #0xffffffffffffffc0
            910003bf mov sp, x29
            """
        )
    )
    assert found == [
        (0, Effect.ADD, 0, -16),
        (1, Effect.COPY, 1, 0),
        (3, Effect.COPY, FRAME_SLOT, 0),
        (4, Effect.RESTORE, 1, -976),
        (4, Effect.ALIGN, 0, 64),
        (5, Effect.RESTORE, FRAME_SLOT, 0),
    ]


def test_an_amount_that_is_aligned_is_rounded_up() -> None:
    found = last("d100352a sub x10, x9, #13\n927ae53f and sp, x9, #0xffffffffffffffc0")
    assert found == [(Effect.RESTORE, 1, 0), (Effect.ALIGN, 0, 64)]
    found = last("d1003529 sub x9, x9, #13\n927ae53f and sp, x9, #0xffffffffffffffc0")
    assert found == [(Effect.RESTORE, 1, -16), (Effect.ALIGN, 0, 64)]


def test_a_variable_length_array_as_clang_makes_it() -> None:
    found = rows(
        read(
            """
            910003e8 mov x8, sp
            92402409 and x9, x0, #0x3ff
            cb090108 sub x8, x8, x9
            927ae500 and x0, x8, #0xffffffffffffffc0
            9100001f mov sp, x0
            """
        )
    )
    assert found == [
        (0, Effect.COPY, 1, 0),
        (4, Effect.RESTORE, 1, 0),
        (4, Effect.DYNAMIC, 0, 1024),
        (4, Effect.ALIGN, 0, 64),
    ]


def test_two_arrays_made_side_by_side_are_not_mixed_up() -> None:
    found = rows(
        read(
            """
            910003e8 mov x8, sp
            cb090100 sub x0, x8, x9
            d10103a9 sub x9, x29, #64
            9100001f mov sp, x0
            9100013f mov sp, x9
            """
        )
    )
    assert next(row for row in found if row[0] == 3)[:2] == (3, Effect.RESTORE)
    assert [row for row in found if row[0] == 4] == [(4, Effect.LOST, 0, 0)]


@pytest.mark.parametrize("guard", [12, 16])
def test_a_loop_of_probes_is_one_move(guard: int) -> None:
    page = (
        "d14043ff sub sp, sp, #16, lsl #12" if guard == 16 else "d14007ff sub sp, sp, #1, lsl #12"
    )
    steps = read(
        f"""
        d141efe9 sub x9, sp, #123, lsl #12
        {page}
        f90203ff str xzr, [sp, #1024]
        eb2963ff cmp sp, x9
        54ffffa1 b.ne .-12
        d10103ff sub sp, sp, #64
        """
    )
    assert rows(steps) == [(1, Effect.ADD, 0, -123 * 4096), (5, Effect.ADD, 0, -64)]
    assert flows(steps) == []


def test_a_loop_of_probes_whose_amount_is_not_known() -> None:
    steps = read(
        """
        cb2063e9 sub x9, sp, x0
        eb2963ff cmp sp, x9
        54000080 b.eq .+16
        d14043ff sub sp, sp, #16, lsl #12
        f90203ff str xzr, [sp, #1024]
        17fffffc b .-16
        d65f03c0 ret
        """
    )
    assert rows(steps) == [(3, Effect.DYNAMIC, 0, NO_AMOUNT)]
    assert [where for where, _, _ in flows(steps)] == [2, 6]


def test_a_loop_of_probes_that_may_overshoot() -> None:
    # LLVM's, for an amount that is not known, reaches up to a page past the register.
    steps = read(
        """
        92402400 and x0, x0, #0x3ff
        cb2063e8 sub x8, sp, x0
        d14007ff sub sp, sp, #1, lsl #12
        eb2863ff cmp sp, x8
        5400006d b.le .+12
        f90003ff str xzr, [sp]
        17fffffc b .-16
        d65f03c0 ret
        """
    )
    assert rows(steps) == [(2, Effect.DYNAMIC, 0, NO_AMOUNT)]
    assert [where for where, _, _ in flows(steps)] == [4, 7]


def test_other_stacks_are_lost() -> None:
    # cpu_switch_to and call_on_irq_stack (arch/arm64/kernel/entry.S).
    assert rows(
        read(
            """
            910003e9 mov x9, sp
            a8c1251d ldp x29, x9, [x8], #16
            9100013f mov sp, x9
            """
        )
    ) == [(2, Effect.LOST, 0, 0)]
    assert last("f9400020 ldr x0, [x1]\n910b401f add sp, x0, #720") == [(Effect.LOST, 0, 0)]
