"""Flame graphs: what their tools read, and that widths are the bytes."""

from __future__ import annotations

import io
import json

from stackgauge.report.flame import depth_collapsed, depth_speedscope
from tests.report.test_depth import OPEN, PLAIN, POLL

# speedscope's src/lib/file-format-spec.ts: what a file and a sampled profile have to have.
UNITS = {"none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"}


def test_collapsed() -> None:
    out = io.StringIO()
    depth_collapsed(out, [POLL, OPEN, OPEN, PLAIN])
    above = "(pushed on entry);__x64_sys_poll"
    assert out.getvalue().splitlines() == [
        "(pushed on entry) 168",
        f"{above} 56",
        f"{above};loop (further rounds) 64",
        f"{above};loop (further rounds);do_sys_poll 1048",
        # What separates functions is no part of a name; chains that are alike are added up.
        "evil\\x1b[2J:name 800",
    ]


def test_speedscope() -> None:
    out = io.StringIO()
    depth_speedscope(out, [POLL, OPEN])
    facts = json.loads(out.getvalue())
    assert facts["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert set(facts) <= {
        "$schema", "version", "exporter", "name", "activeProfileIndex", "shared", "profiles",
    }  # fmt: skip
    assert all(isinstance(facts[key], str) for key in ("$schema", "version", "exporter", "name"))
    assert 0 <= facts["activeProfileIndex"] < len(facts["profiles"])
    frames = facts["shared"]["frames"]
    assert all(set(frame) == {"name"} and isinstance(frame["name"], str) for frame in frames)
    for profile, row in zip(facts["profiles"], (POLL, OPEN), strict=True):
        assert set(profile) == {
            "type", "name", "unit", "startValue", "endValue", "samples", "weights",
        }  # fmt: skip
        assert profile["type"] == "sampled"
        assert profile["unit"] in UNITS
        assert len(profile["samples"]) == len(profile["weights"]) == len(row.steps)
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"]) == row.depth
        for number, stack in enumerate(profile["samples"], 1):
            assert len(stack) == number
            assert all(isinstance(at, int) and 0 <= at < len(frames) for at in stack)
    last = facts["profiles"][0]["samples"][-1]
    assert [frames[at]["name"] for at in last] == [
        "(pushed on entry)", "__x64_sys_poll", "loop (further rounds)", "do_sys_poll",
    ]  # fmt: skip


def test_nothing() -> None:
    out = io.StringIO()
    depth_collapsed(out, [])
    assert out.getvalue() == ""
    depth_speedscope(out, [])
    assert json.loads(out.getvalue())["profiles"] == []
