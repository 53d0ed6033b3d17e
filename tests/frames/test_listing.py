"""Which frames are listed, in which order, under which names."""

from __future__ import annotations

import re

import pytest

from stackgauge.frames.listing import FrameRow, list_frames
from stackgauge.frames.measure import Frames, measure
from tests.frames.made_kernel import BASE, LOCAL, WEAK, MadeKernel

UNKNOWN = "48 8b 20 50 c3"  # mov (%rax),%rsp


def pushes(count: int) -> str:
    """A function that pushes so many registers: its frame is 8 bytes larger than these."""
    return "50" * count + "58" * count + "c3"


def kernel() -> MadeKernel:
    made = MadeKernel()
    made.add("small", pushes(1))
    made.add("large.constprop.0", pushes(9), binding=LOCAL)
    made.add("odd", UNKNOWN)
    place = made.add("middle", pushes(4))
    made.alias("middle_too", place, 9, binding=WEAK)
    made.alias("middle_local", place, 9, binding=LOCAL)
    made.add("same_as_middle", pushes(4))
    return made


@pytest.fixture(scope="module")
def measured() -> Frames:
    return measure(kernel().image())


def names(rows: list[FrameRow]) -> list[str]:
    return [row.function for row in rows]


def test_largest_first_then_by_address(measured: Frames) -> None:
    rows = list_frames([measured])
    assert [(row.function, row.frame) for row in rows] == [
        ("large.constprop.0", 80),
        ("middle", 40),
        ("same_as_middle", 40),
        ("small", 16),
        ("odd", None),
    ]
    assert [row.address for row in rows[:2]] == [BASE + 16, BASE + 64]


def test_what_is_not_known_is_listed_whatever_the_minimum(measured: Frames) -> None:
    assert names(list_frames([measured], minimum=40))[-1] == "odd"
    assert names(list_frames([measured], minimum=10**9)) == ["odd"]
    (row,) = list_frames([measured], minimum=10**9)
    assert (row.kind, row.frame, row.least) == ("unknown", None, 8)


def test_minimum_top_and_match(measured: Frames) -> None:
    assert names(list_frames([measured], minimum=41)) == ["large.constprop.0", "odd"]
    assert names(list_frames([measured], top=2)) == ["large.constprop.0", "middle"]
    assert list_frames([measured], top=0) == []
    found = list_frames([measured], match=re.compile("middle$"))
    assert names(found) == ["middle", "same_as_middle"]
    assert list_frames([measured], match=re.compile("middle_too")) == []
    assert list_frames([measured], minimum=41, match=re.compile("small")) == []


def test_names(measured: Frames) -> None:
    rows = {row.function: row for row in list_frames([measured])}
    assert rows["middle"].aliases == ("middle_too", "middle_local")
    assert rows["large.constprop.0"].origin == "large"
    assert {row.origin for row in rows.values()} == {"large", ""}
    assert {(row.module, row.object) for row in rows.values()} == {("vmlinux", "made")}


def test_several_images_are_one_list(measured: Frames) -> None:
    rows = list_frames([measured, measured], top=4)
    assert names(rows) == ["large.constprop.0"] * 2 + ["middle", "same_as_middle"]
    assert list_frames([]) == []


def _split() -> Frames:
    """A function whose cold piece takes more than itself, and one that loses its stack there."""
    made = MadeKernel()
    for name, code in (("f", "48 83 ec 38 0f 0b"), ("g", f"{UNKNOWN} 0f 0b")):
        body = made.add(name, "85 ff 0f 85 00 00 00 00 c3")
        cold = made.add(f"{name}.cold", code, binding=LOCAL)
        at = body - BASE + 4
        distance = (cold - (body + 8)).to_bytes(4, "little", signed=True)
        made.text = made.text[:at] + distance + made.text[at + 4 :]
    return measure(made.image())


def test_pieces() -> None:
    measured = _split()
    assert [(row.function, row.frame) for row in list_frames([measured])] == [
        ("f", 64), ("g", None)
    ]  # fmt: skip
    rows = list_frames([measured], pieces=True)
    assert {row.function: (row.frame, row.kind) for row in rows} == {
        "f": (8, "static"),
        "f.cold": (64, "static"),
        # Of a function that is not known no piece is.
        "g": (None, "unknown"),
        "g.cold": (None, "unknown"),
    }
    assert {row.origin for row in rows} == {"", "f", "g"}
    assert "g.cold" in names(list_frames([measured], pieces=True, minimum=10**9))


def test_code_without_a_symbol_has_no_name() -> None:
    made = MadeKernel()
    made.add("f", pushes(1))
    made.add(None, pushes(7))
    rows = list_frames([measure(made.image())])
    assert [(row.function, row.frame, row.aliases) for row in rows] == [
        ("", 64, ()), ("f", 16, ())
    ]  # fmt: skip


def test_a_range_and_a_least_value() -> None:
    made = MadeKernel()
    made.add("aligned", "55 48 89 e5 48 83 e4 f0 48 83 ec 20 c9 c3")
    made.add("alloca", "55 48 89 e5 48 29 fc c9 c3")
    rows = {row.function: row for row in list_frames([measure(made.image())])}
    assert (rows["aligned"].least, rows["aligned"].frame) == (48, 56)
    assert rows["aligned"].kind == "static"
    assert (rows["alloca"].least, rows["alloca"].frame) == (16, 16)
    assert rows["alloca"].kind == "dynamic"
