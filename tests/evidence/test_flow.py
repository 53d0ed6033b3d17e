"""Depths along the paths of code, on steps made by hand and by hypothesis."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.evidence.flow import Followed, follow
from stackgauge.evidence.pieces import Pieces
from stackgauge.evidence.table import NO_LIMIT, UNKNOWN, Base
from stackgauge.isa.model import NO_AMOUNT, SAVED, Code, Effect, Flow, Isa, Ranges, Steps
from stackgauge.kernel.tables import NO_JUMPS, Jumps


def no_reader(code: Code, ranges: Ranges) -> Steps:
    raise NotImplementedError


ISA = Isa(
    name="test",
    bits=64,
    entry_depth=8,
    stack_alignment=8,
    sp_register=7,
    cfa_bias=0,
    instruction_alignment=1,
    filler=b"\0",
    read=no_reader,
)


@dataclass
class Program:
    """Instructions of one byte each, from address 100 on; targets are instruction numbers."""

    rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        effect: Effect = Effect.NONE,
        value: int = 0,
        slot: int = 0,
        flow: Flow = Flow.NEXT,
        target: int | None = None,
    ) -> int:
        place = 0 if target is None else 100 + target
        self.rows.append((100 + self.count, effect, slot, value, flow, place))
        self.count += 1
        return self.count - 1

    def skip(self, bytes_: int = 1) -> None:
        """Instructions that are no steps."""
        self.count += bytes_

    def run(
        self, jumps: Jumps = NO_JUMPS, cuts: tuple[int, ...] = (), entries: tuple[int, ...] = (0,)
    ) -> Followed:
        columns = list(zip(*self.rows, strict=True)) or [()] * 6
        start = np.array(columns[0], np.uint64)
        steps = Steps(
            start=start,
            end=start + np.uint64(1),
            effect=np.array(columns[1], np.uint8),
            slot=np.array(columns[2], np.uint8),
            value=np.array(columns[3], np.int32),
            flow=np.array(columns[4], np.uint8),
            target=np.array(columns[5], np.uint64),
        )
        bounds = np.array([0, *cuts, self.count], np.uint64) + np.uint64(100)
        pieces = Pieces(
            start=bounds[:-1],
            end=bounds[1:],
            routine=np.zeros(len(bounds) - 1, np.intp),
            entry=np.isin(np.arange(len(bounds) - 1), entries),
        )
        return follow(steps, pieces, ISA, jumps)


def depths(followed: Followed) -> list[int]:
    """The depth before each instruction."""
    rows = followed.rows
    return [
        int(depth)
        for start, end, depth in zip(rows.start, rows.end, rows.depth, strict=True)
        for _ in range(int(end) - int(start))
    ]


def test_straight_line() -> None:
    code = Program()
    code.add(Effect.ADD, -8)
    code.add(Effect.ADD, -32)
    code.skip()
    code.add(Effect.ADD, 40)
    code.add(flow=Flow.STOP)
    assert depths(code.run()) == [8, 16, 48, 48, 8]


def test_the_depth_is_not_carried_past_a_return() -> None:
    code = Program()
    code.add(Effect.ADD, -16)
    code.add(flow=Flow.BRANCH, target=4)
    code.add(Effect.ADD, 16)
    code.add(flow=Flow.STOP)
    code.skip()
    code.add(flow=Flow.JUMP, target=2)
    assert depths(code.run()) == [8, 24, 24, 8, 24, 24]


def test_after_a_trap_the_way_around_it_says_the_depth() -> None:
    code = Program()
    code.add(flow=Flow.BRANCH, target=3)  # to the second part, at the entry's depth
    code.add(Effect.ADD, -64)
    code.add(flow=Flow.TRAP)  # BUG()
    code.skip()
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert depths(followed) == [8, 8, 72, 8, 8]
    assert followed.rows.most.tolist()[-1] == 8


def test_after_a_call_that_might_return_the_deeper_of_both_ways_counts() -> None:
    code = Program()
    code.add(flow=Flow.BRANCH, target=3)
    code.add(Effect.ADD, -64)
    code.add(flow=Flow.CALL)
    code.add(Effect.ADD, -8)
    code.add(flow=Flow.STOP)
    rows = code.run().rows
    assert (rows.depth[-1], rows.most[-1]) == (16, 80)


def test_a_loop_that_takes_stack_before_a_call_has_no_limit() -> None:
    code = Program()
    code.add(flow=Flow.JUMP, target=3)
    top = code.add(Effect.ADD, -64)
    code.add(flow=Flow.CALL)
    code.add(flow=Flow.BRANCH, target=top)
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert followed.dynamic.tolist() == [True]
    assert followed.rows.most.max() == NO_LIMIT


def test_after_a_call_nothing_else_leads_to_the_depth_goes_on() -> None:
    code = Program()
    code.add(Effect.ADD, -64)
    code.add(flow=Flow.CALL)
    top = code.add()  # a loop's top, which the jump back makes a block of its own
    code.add(flow=Flow.BRANCH, target=top)
    code.add(flow=Flow.STOP)
    assert depths(code.run()) == [8, 72, 72, 72, 72]


def test_a_loop_that_takes_stack_at_each_turn_has_no_limit() -> None:
    code = Program()
    top = code.add(Effect.ADD, -4096)
    code.add(flow=Flow.BRANCH, target=top)
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert followed.dynamic.tolist() == [True]
    assert (depths(followed)[2], followed.rows.most.max()) == (8 + 4096, NO_LIMIT)


def test_two_depths_that_meet_are_a_range() -> None:
    code = Program()
    code.add(flow=Flow.BRANCH, target=2)
    code.add(Effect.ADD, -64)
    code.add(Effect.ADD, -8)
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert depths(followed) == [8, 8, 8, 16]
    assert followed.rows.most.tolist()[-1] == 80
    assert not followed.dynamic.any()


def test_a_loop_that_gives_back_at_each_turn_ends() -> None:
    code = Program()
    code.add(Effect.ADD, -64)
    top = code.add(Effect.ADD, 8)
    code.add(flow=Flow.BRANCH, target=top)
    code.add(flow=Flow.STOP)
    assert code.run().rows.most.max() == 72


def test_what_one_path_loses_is_in_doubt_where_it_meets_another() -> None:
    code = Program()
    code.add(flow=Flow.BRANCH, target=2)
    code.add(Effect.LOST)
    code.add(Effect.ADD, -8)
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert depths(followed) == [8, 8, 8, 16]
    assert followed.doubtful.tolist() == [True]


def test_popping_more_than_there_is_says_that_it_was_not_called() -> None:
    code = Program()
    code.add(Effect.ADD, 40)  # iret
    code.add(flow=Flow.STOP)
    assert code.run().doubtful.tolist() == [True]


def test_the_frame_pointer_brings_the_depth_back() -> None:
    code = Program()
    code.add(Effect.ADD, -8)
    code.add(Effect.COPY, 0, slot=0)
    code.add(Effect.DYNAMIC, NO_AMOUNT)
    code.add(flow=Flow.CALL)
    code.add(Effect.RESTORE, 8, slot=0)  # leave
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert depths(followed) == [8, 16, 16, 16, 16, 8]
    assert followed.rows.most.max() == NO_LIMIT
    assert followed.dynamic.tolist() == [True]


def test_realignment_is_a_range() -> None:
    code = Program()
    code.add(Effect.ADD, -8)
    code.add(Effect.COPY, 0, slot=0)
    code.add(Effect.ALIGN, 64)
    code.add(Effect.ADD, -128)
    code.add(Effect.RESTORE, 8, slot=0)
    code.add(flow=Flow.STOP)
    rows = code.run().rows
    peak = int(np.argmax(rows.most))
    # The stack is aligned to 8 before: at most 56 bytes are lost.
    assert (rows.depth[peak], rows.most[peak]) == (144, 200)
    assert (rows.depth[-1], rows.most[-1]) == (8, 8)


def test_a_limited_amount_is_a_range() -> None:
    code = Program()
    code.add(Effect.DYNAMIC, 1032)
    code.add(flow=Flow.STOP)
    rows = code.run().rows
    assert (rows.depth[-1], rows.most[-1]) == (8, 1040)


def test_a_copy_of_a_register_never_set_is_unknown() -> None:
    code = Program()
    code.add(Effect.RESTORE, 8, slot=0)
    code.add(flow=Flow.STOP)
    assert depths(code.run()) == [8, UNKNOWN]


def test_another_stack_and_back() -> None:
    code = Program()
    code.add(Effect.ADD, -24)
    code.add(Effect.LOST)  # mov %rbx,%rsp
    code.add(Effect.ADD, -8)
    code.add(Effect.RESTORE, 0, slot=SAVED)  # pop %rsp
    code.add(Effect.ADD, 24)
    code.add(flow=Flow.STOP)
    rows = code.run().rows
    assert depths(code.run()) == [8, 32, 32, 32, 32, 8]
    assert Base.ELSEWHERE in rows.base.tolist()


def test_another_stack_without_a_way_back_is_unknown() -> None:
    code = Program()
    code.add(Effect.LOST)
    code.add(Effect.ADD, -8)
    code.add(flow=Flow.STOP)
    assert depths(code.run()) == [8, UNKNOWN, UNKNOWN]


def test_targets_of_a_jump_table_have_the_depth_of_the_jump() -> None:
    code = Program()
    code.add(Effect.ADD, -56)
    code.add(flow=Flow.INDIRECT)
    code.add(Effect.ADD, -8)
    code.add(flow=Flow.STOP)
    code.add(Effect.ADD, -16)
    code.add(flow=Flow.STOP)
    assert depths(code.run()) == [8, 64, 64, 72, 64, 80]


def test_code_that_nothing_leads_to_is_unknown_where_it_takes_stack() -> None:
    code = Program()
    code.add(flow=Flow.STOP)
    code.add(Effect.ADD, -8)
    code.add(flow=Flow.STOP)
    code.add(flow=Flow.TRAP)
    rows = code.run().rows
    assert depths(code.run()) == [8, UNKNOWN, UNKNOWN, UNKNOWN]
    assert rows.base.tolist()[1:] == [Base.OTHER, Base.OTHER, Base.UNREACHED]


def test_a_fixup_has_the_depth_of_what_may_fault() -> None:
    code = Program()
    code.add(Effect.ADD, -8)
    code.skip()  # may fault
    code.add(Effect.ADD, 8)
    code.add(flow=Flow.STOP)
    code.add(flow=Flow.JUMP, target=2)  # the fixup
    table = Jumps(np.array([101], np.uint64), np.array([104], np.uint64))
    assert depths(code.run(table))[4] == 16


def test_a_jump_that_a_table_names_may_be_a_nop() -> None:
    code = Program()
    code.add(flow=Flow.JUMP, target=3)
    code.add(Effect.ADD, -8)
    code.add(Effect.ADD, 8)
    code.add(flow=Flow.STOP)
    table = Jumps(np.array([100], np.uint64), np.array([103], np.uint64))
    assert depths(code.run(table)) == [8, 8, 16, 8]


def test_a_cold_piece_begins_at_its_parents_depth() -> None:
    code = Program()
    code.add(Effect.ADD, -40)
    code.add(flow=Flow.BRANCH, target=4)
    code.add(Effect.ADD, 40)
    code.add(flow=Flow.STOP)
    code.add(Effect.ADD, -8)  # the cold piece
    code.add(flow=Flow.JUMP, target=2)
    assert depths(code.run(cuts=(4,)))[4:] == [48, 56]


def test_a_call_inside_the_function_pushes() -> None:
    code = Program()
    code.add(flow=Flow.CALL, target=2)
    code.add(flow=Flow.STOP)
    code.add(flow=Flow.STOP)
    assert depths(code.run()) == [8, 8, 16]


def test_no_code_at_all() -> None:
    nothing = np.zeros(0, np.uint64)
    pieces = Pieces(nothing, nothing, np.zeros(0, np.intp), np.zeros(0, bool))
    steps = Steps(*(np.zeros(0, kind) for kind in ("u8", "u8", "u1", "u1", "i4", "u1", "u8")))
    assert len(follow(steps, pieces, ISA).rows) == 0


@st.composite
def consistent_programs(draw: st.DrawFn) -> tuple[Program, list[int | None]]:
    """Blocks that each have one depth at their entry, and the depth before each instruction.

    None stands for a block that no path leads to.
    """
    count = draw(st.integers(1, 12))
    depth = [0, *draw(st.lists(st.integers(0, 20), min_size=count - 1, max_size=count - 1))]
    ways = [Flow.BRANCH, Flow.JUMP, Flow.STOP, Flow.NEXT]
    flow = draw(st.lists(st.sampled_from(ways), min_size=count, max_size=count))
    flow[-1] = Flow.STOP if flow[-1] in (Flow.BRANCH, Flow.NEXT) else flow[-1]
    target = [draw(st.integers(0, count - 1)) for _ in range(count)]
    # A block that goes two ways leaves with one depth, so its successors share theirs.
    for _ in range(count):
        for block in range(count - 1):
            if flow[block] == Flow.BRANCH:
                low = min(depth[target[block]], depth[block + 1])
                depth[target[block]] = depth[block + 1] = low
    bumps = [draw(st.integers(0, 5)) for _ in range(count)]
    reached, todo = set(), [0]
    while todo:
        block = todo.pop()
        if block not in reached:
            reached.add(block)
            if flow[block] in (Flow.BRANCH, Flow.JUMP):
                todo.append(target[block])
            if flow[block] in (Flow.BRANCH, Flow.NEXT):
                todo.append(block + 1)
    size = 4
    code, expected = Program(), []
    for block in range(count):
        after = {Flow.STOP: 0, Flow.NEXT: depth[min(block + 1, count - 1)]}.get(
            flow[block], depth[target[block]]
        )
        code.add(Effect.ADD, -8 * bumps[block])
        code.add(Effect.ADD, 8 * bumps[block])
        code.add(Effect.ADD, 8 * (depth[block] - after))
        goes = flow[block] in (Flow.BRANCH, Flow.JUMP)
        code.add(flow=flow[block], target=size * target[block] if goes else None)
        here = [depth[block], depth[block] + bumps[block], depth[block], after]
        expected += [8 + 8 * d if block in reached else None for d in here]
    return code, expected


@given(consistent_programs())
def test_every_path_of_a_consistent_program(made: tuple[Program, list[int | None]]) -> None:
    code, expected = made
    followed = code.run()
    assert depths(followed) == [UNKNOWN if depth is None else depth for depth in expected]
    assert not followed.doubtful.any()


@given(st.lists(consistent_programs(), min_size=2, max_size=4))
def test_routines_do_not_disturb_each_other(made: list[tuple[Program, list[int | None]]]) -> None:
    """Many routines at once give what each gives alone."""
    columns: list[tuple[int, ...]] = []
    bounds = [100]
    for code, _ in made:
        shift = bounds[-1] - 100
        columns += [
            (row[0] + shift, *row[1:5], row[5] + shift if row[5] else 0) for row in code.rows
        ]
        bounds.append(bounds[-1] + code.count)
    parts = list(zip(*columns, strict=True))
    start = np.array(parts[0], np.uint64)
    kinds = (np.uint8, np.uint8, np.int32, np.uint8, np.uint64)
    rest = [np.array(part, kind) for part, kind in zip(parts[1:], kinds, strict=True)]
    edges = np.array(bounds, np.uint64)
    routines = np.arange(len(made))
    pieces = Pieces(edges[:-1], edges[1:], routines, np.ones(len(made), bool))
    together = follow(Steps(start, start + np.uint64(1), *rest), pieces, ISA)
    alone = [depth for code, _ in made for depth in depths(code.run())]
    assert depths(together) == alone
