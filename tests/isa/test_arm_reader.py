"""What A32 code does that no other architecture's does."""

from __future__ import annotations

import numpy as np

from stackgauge.isa.model import NO_AMOUNT, Effect, Flow, Steps
from tests.isa.arm_code import BASE, read, read_a32

PUSH_R4_LR = 0xE92D4010
PUSH_LR = 0xE52DE004
POP_R4_PC = 0xE8BD8010
MOV_R0_R0 = 0xE1A00000
BX_LR = 0xE12FFF1E


def bl(place: int, target: int) -> int:
    return 0xEB000000 | (target - place - 8) // 4 & 0xFFFFFF


def steps_of(*words: int, marks: tuple[tuple[int, str], ...] = ()) -> Steps:
    return read_a32(np.array(words, np.uint32), *marks)


def moves(steps: Steps) -> list[tuple[int, Effect, int]]:
    """What moves the stack pointer, by the index of the instruction."""
    columns = zip(
        ((steps.start - np.uint64(BASE)) // np.uint64(4)).tolist(), steps.effect.tolist(),
        steps.value.tolist(), strict=True,
    )  # fmt: skip
    return [(at, Effect(effect), value) for at, effect, value in columns if effect != Effect.NONE]


def flows(steps: Steps) -> list[tuple[int, Flow, int]]:
    """Where the code leads, by the index of the instruction."""
    columns = zip(
        ((steps.start - np.uint64(BASE)) // np.uint64(4)).tolist(), steps.flow.tolist(),
        steps.target.tolist(), strict=True,
    )  # fmt: skip
    return [(at, Flow(flow), target) for at, flow, target in columns if flow != Flow.NEXT]


class TestProfiling:
    """``push {lr}; bl __gnu_mcount_nc``."""

    def test_the_callee_takes_off_what_is_pushed_for_it(self) -> None:
        far = BASE + 0x1000
        words = [PUSH_R4_LR, PUSH_LR, bl(BASE + 8, far), POP_R4_PC]
        assert moves(steps_of(*words)) == [(0, Effect.ADD, -8), (3, Effect.ADD, 8)]

    def test_a_call_without_a_push_shows_that_it_is_another_function(self) -> None:
        far = BASE + 0x1000
        words = [PUSH_LR, bl(BASE + 4, far), bl(BASE + 8, far), 0xE49DF004]
        assert moves(steps_of(*words)) == [(0, Effect.ADD, -4), (3, Effect.ADD, 4)]

    def test_to_an_undefined_symbol(self) -> None:
        # As a branch to address 0 is cut off to its width, 32 MiB below.
        undefined = -(1 << 25)
        words = [PUSH_LR, bl(BASE + 4, undefined), bl(BASE + 8, undefined), BX_LR]
        assert moves(steps_of(*words)) == []


class TestConditions:
    """Nearly all of A32 can have one."""

    def test_a_return_with_a_condition_takes_nothing_off_the_path_that_goes_on(self) -> None:
        steps = steps_of(PUSH_R4_LR, 0x08BD8010, POP_R4_PC)
        assert moves(steps) == [(0, Effect.ADD, -8), (2, Effect.ADD, 8)]
        assert flows(steps) == [(2, Flow.STOP, 0)]

    def test_nor_does_what_stands_before_it(self) -> None:
        # popeq {r4, lr}; bxeq lr
        steps = steps_of(PUSH_R4_LR, 0x08BD4010, 0x012FFF1E, POP_R4_PC)
        assert moves(steps) == [(0, Effect.ADD, -8), (3, Effect.ADD, 8)]

    def test_a_push_with_a_condition_may_take_stack(self) -> None:
        # subne sp, sp, #4
        assert moves(steps_of(0x124DD004)) == [(0, Effect.DYNAMIC, 4)]

    def test_a_pop_with_a_condition_may_give_it_back(self) -> None:
        # addne sp, sp, #4
        assert moves(steps_of(0x128DD004)) == [(0, Effect.ADD, 4), (0, Effect.DYNAMIC, 4)]

    def test_a_jump_with_a_condition_may_go_on(self) -> None:
        # bxne r3; bx r3
        steps = steps_of(0x112FFF13, 0xE12FFF13)
        assert flows(steps) == [(0, Flow.INDIRECT, BASE + 4), (1, Flow.INDIRECT, 0)]


class TestFlow:
    """Calls, returns and traps."""

    def test_a_call_by_way_of_the_link_register(self) -> None:
        # mov lr, pc; bx r3; mov lr, pc; ldr pc, [r3, #4]
        steps = steps_of(0xE1A0E00F, 0xE12FFF13, 0xE1A0E00F, 0xE593F004)
        assert flows(steps) == [(1, Flow.CALL, 0), (3, Flow.CALL, 0)]

    def test_returns(self) -> None:
        # pop {pc}; bx lr; mov pc, lr; movs pc, lr; ldm sp, {fp, sp, pc}; rfeia sp!
        words = [0xE49DF004, BX_LR, 0xE1A0F00E, 0xE1B0F00E, 0xE89DA800, 0xF8BD0A00]
        assert flows(steps_of(*words)) == [(at, Flow.STOP, 0) for at in range(6)]

    def test_a_return_that_pops_its_callers_push_shows_that(self) -> None:
        # __gnu_mcount_nc: push {lr}; ldr lr, [sp, #4]; ldr pc, [sp], #8
        steps = steps_of(PUSH_LR, 0xE59DE004, 0xE49DF008)
        assert moves(steps) == [(0, Effect.ADD, -4), (2, Effect.ADD, 8)]

    def test_traps(self) -> None:
        # udf #18 (BUG); bkpt
        assert flows(steps_of(0xE7F001F2, 0xE1200070)) == [(0, Flow.TRAP, 0), (1, Flow.TRAP, 0)]


class TestRegisters:
    """The stack pointer from another register."""

    def test_a_frame_of_the_old_apcs(self) -> None:
        # mov ip, sp; push {fp, ip, lr, pc}; sub fp, ip, #4; sub sp, sp, #8; bl; ldmdb fp, {fp, sp,
        # lr}: the stack pointer is what ip was when it was pushed.
        steps = steps_of(
            0xE1A0C00D, 0xE92DD800, 0xE24CB004, 0xE24DD008, 0xEB000400, 0xE91B6800, 0xEA000400
        )
        found = moves(steps)
        assert found[0] == (0, Effect.COPY, 0)
        pushed = steps.slot[steps.effect == Effect.RESTORE]
        assert [at for at, effect, _ in found if effect == Effect.RESTORE] == [5]
        copies = (steps.effect == Effect.MOVE) & (steps.slot == pushed[0])
        assert steps.start[copies].tolist() == [BASE + 4]

    def test_a_return_from_one_needs_no_stack_pointer(self) -> None:
        # ldmdb fp, {fp, sp, pc}
        assert moves(steps_of(0xE91BA800)) == []

    def test_a_list_with_a_caret_is_the_users(self) -> None:
        # ldmdb r2, {r0-lr}^
        assert moves(steps_of(0xE9527FFF)) == []

    def test_a_constant_from_a_literal(self) -> None:
        # ldr r3, [pc, #4]; add sp, sp, r3; bx lr; .word -5000
        marks = ((BASE, "a"), (BASE + 12, "d"))
        steps = steps_of(0xE59F3004, 0xE08DD003, BX_LR, -5000 & 0xFFFFFFFF, marks=marks)
        assert moves(steps) == [(1, Effect.ADD, -5000)]

    def test_an_amount_that_is_not_known(self) -> None:
        # sub sp, sp, r3
        assert moves(steps_of(0xE04DD003)) == [(0, Effect.DYNAMIC, NO_AMOUNT)]

    def test_an_amount_that_has_a_limit(self) -> None:
        # mov r2, sp; ubfx r3, r3, #0, #10; sub r3, r2, r3; mov sp, r3
        steps = steps_of(0xE1A0200D, 0xE7E93053, 0xE0423003, 0xE1A0D003)
        assert moves(steps)[-1] == (3, Effect.DYNAMIC, 1020)

    def test_rounding(self) -> None:
        # bic sp, sp, #15; bfc sp, #0, #5; sub r4, sp, #20; bfc r4, #0, #4; mov sp, r4
        steps = steps_of(0xE3CDD00F, 0xE7C4D01F, 0xE24D4014, 0xE7C3401F, 0xE1A0D004)
        assert moves(steps) == [
            (0, Effect.ALIGN, 16), (1, Effect.ALIGN, 32), (4, Effect.ADD, -20),
            (4, Effect.ALIGN, 16),
        ]  # fmt: skip


class TestData:
    """Data in the text."""

    PUSHES = 0xE92D4FF0

    def test_a_path_ends_where_mapping_symbols_say_that_data_is(self) -> None:
        steps = steps_of(BX_LR, self.PUSHES, BX_LR, marks=((BASE, "a"), (BASE + 4, "d")))
        assert moves(steps) == []
        assert flows(steps) == [(0, Flow.STOP, 0), (2, Flow.STOP, 0)]

    def test_instructions_written_as_data(self) -> None:
        # A trap after a call that does not return; an HVC that the code goes on after.
        marks = ((BASE, "a"), (BASE + 4, "d"), (BASE + 8, "a"), (BASE + 12, "d"), (BASE + 16, "a"))
        steps = steps_of(0xEB000400, 0xE7F001F2, 0xE1A00001, 0xE1400070, self.PUSHES, marks=marks)
        assert flows(steps)[1:] == [(1, Flow.TRAP, 0)]
        assert moves(steps) == [(4, Effect.ADD, -36)]

    def test_nops_before_data_align_it(self) -> None:
        marks = ((BASE, "a"), (BASE + 8, "d"))
        assert moves(steps_of(BX_LR, 0xE320F000, self.PUSHES, marks=marks)) == []

    def test_literals_without_mapping_symbols(self) -> None:
        # ldr r3, [pc]; bx lr; then a word that looks like a push; most words must look like A32.
        words = [0xE59F3000, BX_LR, self.PUSHES, *[MOV_R0_R0] * 8]
        steps = read(np.array(words, "<u4").tobytes())
        assert moves(steps) == []
        assert flows(steps) == [(1, Flow.STOP, 0), (2, Flow.STOP, 0)]

    def test_a_jump_table_without_mapping_symbols(self) -> None:
        # ldrls pc, [pc, r3, lsl #2]; b; two addresses in the stretch; a push.
        words = [0x979FF103, 0xEA000003, BASE + 16, BASE + 20, self.PUSHES, *[MOV_R0_R0] * 8]
        steps = read(np.array(words, "<u4").tobytes())
        assert flows(steps)[0] == (0, Flow.INDIRECT, BASE + 4)
        assert (3, Flow.STOP, 0) in flows(steps)
        assert moves(steps) == [(4, Effect.ADD, -36)]


def test_big_endian_code_with_little_endian_instructions() -> None:
    words = np.array([0xE59F3000, 0xE08DD003], "<u4").tobytes() + np.array([-64], ">i4").tobytes()
    steps = read(words, (BASE, "a"), (BASE + 8, "d"), data_order=">")
    assert moves(steps) == [(1, Effect.ADD, -64)]
    swapped = np.frombuffer(words[:8], "<u4").astype(">u4").tobytes() + words[8:]
    steps = read(swapped, (BASE, "a"), (BASE + 8, "d"), order=">", data_order=">")
    assert moves(steps) == [(1, Effect.ADD, -64)]
