"""Calls that are in the code and in no chain."""

from __future__ import annotations

from stackgauge.calls.annotations import Rule, Statement
from stackgauge.calls.graph import Graph, read_graph
from stackgauge.calls.phases import of_boot, preempting, without
from stackgauge.calls.survey import Survey
from stackgauge.kernel.identity import identify
from tests.frames.made_kernel import BASE, MadeKernel
from tests.image.tiny_elf import ALLOC, EXEC, Section

INIT = BASE + 0x10_0000
RETURN = "c3"


def _call(at: int, target: int) -> str:
    """A call instruction at an address."""
    return "e8" + (target - at - 5).to_bytes(4, "little", signed=True).hex()


def _kernel(*, preemptible: bool) -> Graph:
    """``plain`` calls ``early``, which is gone after boot, and ``preempt_schedule``."""
    made = MadeKernel()
    schedule = made.add("__schedule", "4881ec00010000" + "4881c400010000" + RETURN)
    jump = len(made.text) + (-len(made.text) % 16) + BASE
    preempt = made.add("preempt_schedule", "50" + _call(jump + 1, schedule) + "58" + RETURN)
    if preemptible:
        made.add("preempt_schedule_irq", RETURN)
    place = len(made.text) + (-len(made.text) % 16) + BASE
    code = "5050" + _call(place + 2, INIT) + _call(place + 7, preempt) + "5858" + RETURN
    made.add("plain", code)
    early = bytes.fromhex("4883ec40" + "4883c440" + RETURN)
    made.sections.append(Section(".init.text", early, INIT, flags=ALLOC | EXEC))
    return read_graph([made.image()])


def _depth(graph: Graph, name: str) -> int:
    image = graph.frames[0].image
    survey = Survey(graph, identify(image, "x86_64"), annotations=[])
    return int(survey.depths.depth[int(graph.find(name)[0])])


def test_code_of_boot_is_gone() -> None:
    graph = _kernel(preemptible=False)
    boot = of_boot(graph)
    names = dict(zip(graph.names(boot.nonzero()[0]), boot.nonzero()[0], strict=True))
    assert len(names) == 1
    edges = without(graph, graph.edges, boot)
    assert len(edges) == len(graph.edges) - 1
    assert not boot[edges.callee].any()


def test_preemption_comes_on_top_where_interrupts_preempt() -> None:
    assert not preempting(_kernel(preemptible=False)).any()
    graph = _kernel(preemptible=True)
    assert graph.names(preempting(graph).nonzero()[0]) == ["preempt_schedule"]
    # Where they do not, the call is in the chain: pushes, a push, the frame of __schedule.
    assert _depth(_kernel(preemptible=False), "plain") == 24 + 16 + 264
    assert _depth(graph, "plain") == 24
    assert _depth(graph, "preempt_schedule") == 16 + 264


def test_rules_are_no_matter_here() -> None:
    graph = _kernel(preemptible=True)
    image = graph.frames[0].image
    rule = Rule(Statement.IGNORE, "", "__schedule", 0, "", "x", True)
    survey = Survey(graph, identify(image, "x86_64"), annotations=[rule])
    assert survey.depths.depth[int(graph.find("preempt_schedule")[0])] == 16
