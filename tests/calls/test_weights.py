"""Depths of compiled code, against GCC's own figures (``-fstack-usage``)."""

from __future__ import annotations

import numpy as np
import pytest

from stackgauge.calls.annotations import Rule, Statement
from stackgauge.calls.applied import Applied, apply_rules
from stackgauge.calls.chains import Chains
from stackgauge.calls.deepest import deepest
from stackgauge.calls.depths import Depths, Why, status
from stackgauge.calls.graph import Graph, read_graph
from stackgauge.calls.model import Reason
from stackgauge.calls.toward import toward
from stackgauge.calls.weights import weigh
from stackgauge.errors import InputError
from stackgauge.evidence.table import NO_LIMIT
from stackgauge.image.opening import open_images
from tests.calls import depth_program


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, dict[str, int]]:
    """The program's graph, and each function's frame as GCC says it."""
    path, sizes = depth_program.built(tmp_path_factory.mktemp("program"))
    return read_graph(open_images(path)), sizes


def _applied(graph: Graph, *rules: Rule, without: tuple[Reason, ...] = ()) -> Applied:
    return apply_rules(graph, graph.names(np.arange(len(graph))), rules, without)


def _rule(statement: Statement, caller: str, callee: str, times: int = 0) -> Rule:
    return Rule(statement, caller, callee, times, "", "notes.toml, line 7", True)


def _depths(graph: Graph, *rules: Rule, without: tuple[Reason, ...] = ()) -> Depths:
    return deepest(weigh(graph, _applied(graph, *rules, without=without).changes))


def _of(graph: Graph, depths: Depths, name: str) -> tuple[int, str]:
    row = int(graph.find(name)[0])
    return int(depths.depth[row]), status(int(depths.why[row]))


def test_calls_and_jumps_add_up(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    depths = _depths(graph)
    large = su["large"] + su["small"] + su["use"]
    assert _of(graph, depths, "use") == (su["use"], "bounded")
    assert _of(graph, depths, "large") == (large, "bounded")
    # It jumps to large, which takes the place of its frame.
    assert _of(graph, depths, "jumps") == (large, "bounded")
    assert _of(graph, depths, "both") == (su["both"] + large, "bounded")
    row = int(graph.find("both")[0])
    links = Chains(depths).of(row, bounded=True)
    names = graph.names(np.array([link.function for link in links]))
    assert names == ["both", "large", "small", "use"]
    assert [link.bytes for link in links] == [su[name] for name in names]


def test_what_is_not_known_is_said(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    depths = _depths(graph)
    assert _of(graph, depths, "pointer") == (su["pointer"] + su["use"], "at-least")
    size, said = _of(graph, depths, "dynamic")
    assert said == "at-least"
    assert size >= su["small"] + su["use"]
    assert _of(graph, depths, "again") == (su["again"] + su["use"], "unbounded")
    assert _of(graph, depths, "main")[1] == "unbounded"
    row = int(graph.find("top")[0])
    assert depths.why[row] == Why.CIRCLE | Why.UNRESOLVED
    assert depths.most[row] == NO_LIMIT


def test_a_call_through_a_pointer_can_be_annotated(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    rule = _rule(Statement.CALL, "pointer", "smal?")
    depths = _depths(graph, rule)
    expected = su["pointer"] + su["small"] + su["use"]
    assert _of(graph, depths, "pointer") == (expected, "assumed")
    # And with it left out again.
    applied = _applied(graph, rule)
    assert applied.used == {rule: 1}
    more = _depths(graph, rule, _rule(Statement.CALL, "pointer", "large"))
    expected = su["pointer"] + su["large"] + su["small"] + su["use"]
    assert _of(graph, more, "pointer") == (expected, "assumed")


def test_a_call_that_no_site_shows_counts_at_the_whole_frame(
    built: tuple[Graph, dict[str, int]],
) -> None:
    graph, su = built
    depths = _depths(graph, _rule(Statement.CALL, "use", "again"))
    assert _of(graph, depths, "use")[1] == "unbounded"
    depths = _depths(graph, _rule(Statement.CALL, "small", "large"))
    assert _of(graph, depths, "small")[1] == "unbounded"
    depths = _depths(graph, _rule(Statement.CALL, "again", "both"))
    row = int(graph.find("again")[0])
    assert depths.least[row] == su["again"] + _of(graph, depths, "both")[0]


def test_never(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    rule = _rule(Statement.NEVER, "large", "small")
    assert _of(graph, _depths(graph, rule), "both") == (
        su["both"] + su["large"] + su["use"],
        "assumed",
    )
    assert _applied(graph, rule).used == {rule: 1}
    everything = _depths(graph, _rule(Statement.NEVER, "pointer", "*"))
    assert _of(graph, everything, "pointer") == (su["pointer"], "assumed")


def test_never_through_a_pointer(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    rule = _rule(Statement.NEVER, "pointer", "(*)")
    # What it calls by name it still does.
    assert _of(graph, _depths(graph, rule), "pointer") == (su["pointer"] + su["use"], "assumed")
    assert _applied(graph, rule).used == {rule: 1}
    assert _applied(graph, _rule(Statement.NEVER, "both", "(*)")).used == {}


def test_many_callers_count_where_they_call_through_pointers(
    built: tuple[Graph, dict[str, int]],
) -> None:
    graph, su = built
    depths = _depths(graph, _rule(Statement.CALL, "p*", "small"))
    expected = su["pointer"] + su["small"] + su["use"]
    assert _of(graph, depths, "pointer") == (expected, "assumed")
    assert depths.own_why[int(graph.find("pong")[0])] == Why.CIRCLE


def test_ignored(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    depths = _depths(graph, _rule(Statement.IGNORE, "", "[us]*"))
    assert _of(graph, depths, "both") == (su["both"] + su["large"], "assumed")
    assert depths.why[int(graph.find("both")[0])] == Why.IGNORED


def test_recursion(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    rule = _rule(Statement.RECURSION, "", "again", 4)
    depths = _depths(graph, rule)
    assert _of(graph, depths, "again") == (4 * su["again"] + su["use"], "assumed")
    assert _of(graph, depths, "ping")[1] == "unbounded"
    # The smallest of several counts.
    rules = (
        rule,
        _rule(Statement.RECURSION, "", "ag*", 2),
        _rule(Statement.RECURSION, "", "again", 3),
    )
    assert _of(graph, _depths(graph, *rules), "again") == (2 * su["again"] + su["use"], "assumed")
    depths = _depths(graph, _rule(Statement.RECURSION, "", "pong", 2))
    expected = 3 * su["ping"] + 2 * su["pong"] + su["large"] + su["small"] + su["use"]
    assert _of(graph, depths, "ping") == (expected, "assumed")


def test_a_name_that_is_not_there(built: tuple[Graph, dict[str, int]]) -> None:
    graph, _ = built
    for rule in (
        _rule(Statement.NEVER, "large", "smal"),
        _rule(Statement.CALL, "x*", "small"),
        _rule(Statement.RECURSION, "", "?", 2),
    ):
        with pytest.raises(InputError, match=r"^notes\.toml, line 7: no function is called '"):
            _applied(graph, rule)
    shipped = Rule(Statement.IGNORE, "", "panic", 0, "", "shipped", False)
    assert _applied(graph, shipped).used == {}


def test_without_direct_edges_nothing_is_settled(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    depths = _depths(graph, without=(Reason.DIRECT, Reason.TAIL))
    assert _of(graph, depths, "both") == (su["both"], "at-least")
    assert depths.why[int(graph.find("both")[0])] == Why.OUTSIDE


def test_toward(built: tuple[Graph, dict[str, int]]) -> None:
    graph, su = built
    whole = _depths(graph)
    small = graph.find("small")
    found = deepest(toward(whole.calls, small, whole.why))
    assert _of(graph, found, "small") == (su["small"], "bounded")
    assert _of(graph, found, "both") == (su["both"] + su["large"] + su["small"], "bounded")
    # A call through a pointer may lead there too.
    assert _of(graph, found, "top")[1] == "unbounded"
    assert found.least[int(graph.find("use")[0])] < 0
    assert found.least[int(graph.find("again")[0])] < 0
    use = deepest(toward(whole.calls, graph.find("use"), whole.why))
    assert _of(graph, use, "large") == (su["large"] + su["small"] + su["use"], "bounded")
