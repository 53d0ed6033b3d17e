"""Where routines are entered: a call to itself, and code that only an indirect jump reaches."""

from __future__ import annotations

from stackgauge.evidence.table import Base
from stackgauge.isa.model import Effect, Flow
from tests.evidence.test_flow import Program, depths


def test_a_call_of_itself_may_go_past_what_is_for_other_callers() -> None:
    code = Program()
    code.skip(2)  # what a caller from another module needs (powerpc's global entry point)
    code.add(Effect.ADD, -48)
    code.add(flow=Flow.CALL, target=2)
    code.add(Effect.ADD, 48)
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert depths(followed) == [8, 8, 8, 56, 56, 8]
    assert not followed.dynamic.any()


def test_nops_after_an_indirect_jump_are_no_target_of_it() -> None:
    code = Program()
    code.add(Effect.ADD, -48)
    code.add(flow=Flow.BRANCH, target=5)
    code.add(Effect.ADD, 48)
    code.add(flow=Flow.INDIRECT)  # a tail call
    code.skip()  # aligns what follows
    code.add(Effect.ADD, 48)
    code.add(flow=Flow.STOP)
    followed = code.run()
    assert depths(followed)[5:] == [56, 8]
    assert followed.rows.base.tolist().count(Base.UNREACHED) == 1
    assert not followed.doubtful.any()
