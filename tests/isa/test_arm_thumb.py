"""Thumb code: where instructions begin, what IT does to them, and its data."""

from __future__ import annotations

import capstone
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stackgauge.isa.arm.thumb16 import boundaries
from stackgauge.isa.model import Effect, Flow, Ranges, Steps
from tests.isa.arm_code import BASE, read, read_thumb

PUSH_R4_LR = 0xB510
POP_R4_PC = 0xBD10
BX_LR = 0x4770


def steps_of(*halves: int, marks: tuple[tuple[int, str], ...] = ()) -> Steps:
    return read_thumb(np.array(halves, np.uint16), *marks)


def moves(steps: Steps) -> list[tuple[int, Effect, int]]:
    """What moves the stack pointer, by the offset of the instruction."""
    columns = (steps.start - np.uint64(BASE)).tolist(), steps.effect.tolist(), steps.value.tolist()
    return [(at, Effect(e), v) for at, e, v in zip(*columns, strict=True) if e != Effect.NONE]


def flows(steps: Steps) -> list[tuple[int, Flow, int]]:
    """Where the code leads, by the offset of the instruction."""
    columns = (steps.start - np.uint64(BASE)).tolist(), steps.flow.tolist(), steps.target.tolist()
    return [(at, Flow(f), to) for at, f, to in zip(*columns, strict=True) if f != Flow.NEXT]


def walked(halves: NDArray[np.uint16], inside: NDArray[np.bool_], begin: list[int]) -> list[int]:
    """The same as ``boundaries``, one instruction after the other."""
    found, at = [], 0
    while at < len(halves):
        if not inside[at]:
            at += 1
            continue
        size = 2 if halves[at] >= 0xE800 else 1
        last = at + size - 1
        # Cut off by data, by the end, or where another stretch begins.
        whole = last < len(halves) and inside[last] and not (size == 2 and last in begin)
        if whole:
            found.append(at)
        at += size if whole else 1
    return found


halves = st.lists(st.sampled_from([0x0000, 0xB510, 0xE7FE, 0xE800, 0xF000, 0xFFFF]), max_size=40)


@given(halves, st.data())
def test_boundaries_are_those_of_a_walk(values: list[int], data: st.DataObject) -> None:
    code = np.array(values, np.uint16)
    outside = data.draw(st.lists(st.booleans(), min_size=len(code), max_size=len(code)))
    inside = ~np.array(outside, bool)
    at, wide = boundaries(code, inside, np.array([0], np.intp))
    assert at.tolist() == walked(code, inside, [0])
    assert wide.tolist() == [bool(code[one] >= 0xE800) for one in at.tolist()]


def test_boundaries_are_capstones() -> None:
    random = np.random.default_rng(2)
    code = random.integers(0, 1 << 16, 4000, dtype=np.uint16)
    at, _ = boundaries(code, np.ones(len(code), bool), np.array([0], np.intp))
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB)
    engine.skipdata = True
    sizes = {one.address // 2: one.size for one in engine.disasm(code.tobytes(), 0)}
    # Capstone goes on behind the first halfword of one that it does not know.
    known = [place for place in at.tolist() if place in sizes]
    assert len(known) > 0.5 * len(at)


class TestConditions:
    """IT gives up to four instructions a condition."""

    def test_a_return(self) -> None:
        # push; it eq; popeq {r4, pc}; pop {r4, pc}
        steps = steps_of(PUSH_R4_LR, 0xBF08, POP_R4_PC, POP_R4_PC)
        assert moves(steps) == [(0, Effect.ADD, -8), (6, Effect.ADD, 8)]
        assert flows(steps) == [(6, Flow.STOP, 0)]

    def test_then_and_else(self) -> None:
        # itee ne: addne sp, #8; subeq sp, #4; subeq.w sp, sp, #16; sub sp, #32
        steps = steps_of(0xBF16, 0xB002, 0xB081, 0xF1AD, 0x0D10, 0xB088)
        assert moves(steps) == [
            (2, Effect.ADD, 8), (2, Effect.DYNAMIC, 8), (4, Effect.DYNAMIC, 4),
            (6, Effect.DYNAMIC, 16), (10, Effect.ADD, -32),
        ]  # fmt: skip

    def test_a_branch(self) -> None:
        # it eq; beq; b
        steps = steps_of(0xBF08, 0xE7FE, 0xE7FE)
        assert flows(steps) == [(2, Flow.BRANCH, BASE + 2), (4, Flow.JUMP, BASE + 4)]

    def test_compare_and_branch(self) -> None:
        # cbz r0, +4 and cbnz r7, +130
        steps = steps_of(0xB100, 0xBBFF)
        assert flows(steps) == [
            (0, Flow.BRANCH, BASE + 4), (2, Flow.BRANCH, BASE + 2 + 4 + 0x7E),
        ]  # fmt: skip


def test_profiling() -> None:
    # push {r4, lr}; push {lr}; bl; pop {r4, pc}
    steps = steps_of(PUSH_R4_LR, 0xB500, 0xF000, 0xF900, POP_R4_PC)
    assert moves(steps) == [(0, Effect.ADD, -8), (8, Effect.ADD, 8)]


def test_a_call_of_a32_code_counts_from_a_multiple_of_4() -> None:
    # nop; blx +8
    steps = steps_of(0xBF00, 0xF000, 0xE804)
    assert flows(steps) == [(2, Flow.CALL, BASE + 4 + 8)]


def test_the_frame_pointer_is_r7() -> None:
    # push {r7, lr}; sub sp, #8; add r7, sp, #0; adds r7, #8; mov sp, r7; pop {r7, pc}
    steps = steps_of(0xB580, 0xB082, 0xAF00, 0x3708, 0x46BD, 0xBD80)
    # The last writes r7 as well.
    assert moves(steps)[:6] == [
        (0, Effect.ADD, -8), (2, Effect.ADD, -8), (4, Effect.COPY, 0), (6, Effect.MOVE, 8),
        (8, Effect.RESTORE, 0), (10, Effect.ADD, 8),
    ]  # fmt: skip


class TestData:
    """Data in the text, by mapping symbols or without them."""

    # Whose second halfword looks like a push.
    LOOKS = (0x0000, 0xB5F0)

    def test_a_literal(self) -> None:
        # ldr r3, [pc, #0]; bx lr
        code = np.array([0x4B00, BX_LR, *self.LOOKS, *[0x4608] * 8], "<u2").tobytes()
        assert moves(read(code)) == []
        assert flows(read(code)) == [(2, Flow.STOP, 0), (6, Flow.STOP, 0)]
        marks = (BASE, "t"), (BASE + 4, "d"), (BASE + 8, "t")
        assert flows(read(code, *marks)) == flows(read(code))

    def test_a_table_of_distances(self) -> None:
        # tbb [pc, r3] with four bytes, the last of which looks like the first half of a push.
        table = [0x0302, 0xB504]
        code = np.array([0xE8DF, 0xF003, *table, *[0x4608] * 8], "<u2").tobytes()
        assert moves(read(code)) == []
        assert flows(read(code)) == [(0, Flow.INDIRECT, 0), (6, Flow.STOP, 0)]

    def test_a_trap_written_as_data(self) -> None:
        marks = (BASE, "t"), (BASE + 4, "d")
        # bl; .short 0xde02; .word
        steps = steps_of(0xF000, 0xF900, 0xDE02, *self.LOOKS, marks=marks)
        assert flows(steps)[1:] == [(4, Flow.TRAP, 0), (8, Flow.STOP, 0)]
        assert moves(steps) == []


def test_both_instruction_sets_in_one_section() -> None:
    # A32: push {r4, lr}; bx lr. Thumb: push {r4, lr}; pop {r4, pc}.
    code = np.array([0xE92D4010, 0xE12FFF1E], "<u4").tobytes()
    code += np.array([PUSH_R4_LR, POP_R4_PC], "<u2").tobytes()
    steps = read(code, (BASE, "a"), (BASE + 8, "t"))
    assert moves(steps) == [(0, Effect.ADD, -8), (8, Effect.ADD, -8), (10, Effect.ADD, 8)]
    assert (np.diff(steps.start.astype(np.int64)) >= 0).all()


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.sampled_from("atd"))),
       st.sampled_from("<>"), st.sampled_from("<>"), st.integers(0, 3))  # fmt: skip
def test_any_bytes(
    raw: bytes, marks: list[tuple[int, str]], order: str, data_order: str, cut: int
) -> None:
    own = sorted((BASE + place, kind) for place, kind in marks)
    places = np.array([BASE + cut, BASE + cut + len(raw) // 2, BASE + len(raw)], np.uint64)
    ranges = Ranges(places[:-1], np.maximum(places[1:], places[:-1]))
    steps = read(raw, *own, ranges=ranges, order=order, data_order=data_order)
    assert (steps.end > steps.start).all()
    assert (np.diff(steps.start.astype(np.int64)) >= 0).all()
