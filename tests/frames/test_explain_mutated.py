"""Broken debug information leaves bytes unnamed, and nothing else: no traceback, no hang."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackgauge.frames.explain import explain_rows
from stackgauge.frames.measure import Frames, measure
from stackgauge.image.opening import open_images
from stackgauge.image.source import Bytes
from tests.frames.explained import WORK, build, whole

KINDS = {
    "DWARF 5": ("gcc", "-gdwarf-5"),
    "DWARF 4": ("gcc", "-gdwarf-4"),
    "aligned": ("gcc", "-m32", "-mincoming-stack-boundary=2"),
    "other units": ("gcc", "-g", "-flto", "-ffat-lto-objects"),
    "big-endian": ("mips-linux-gnu-gcc", "-g"),
    "arm64": ("aarch64-linux-gnu-gcc", "-g", "-fstack-protector-all"),
}
SECTIONS = (".debug_info", ".debug_abbrev", ".debug_loclists", ".debug_loc", ".debug_frame",
            ".eh_frame", ".debug_line", ".debug_str", ".debug_aranges")  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def frames(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Frames:
    compiler, *options = KINDS[request.param]
    folder: Path = tmp_path_factory.mktemp("program")
    [image] = open_images(build(folder, WORK, "-O2", "-g", *options, compiler=compiler))
    return measure(image)


def _changed(raw: Bytes, data: st.DataObject) -> Bytes:
    at = data.draw(st.integers(0, len(raw) - 1))
    length = data.draw(st.sampled_from([1, 1, 1, 4, 16, 300]))
    raw = raw.copy()
    match data.draw(st.sampled_from(["set", "set", "copy", "cut", "end"])):
        case "set":
            raw[at : at + length] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        case "copy":
            begin = data.draw(st.integers(0, len(raw) - 1))
            part = raw[begin : begin + length]
            raw[at : at + len(part)] = part[: len(raw) - at]
        case "cut":
            raw = np.delete(raw, slice(at, at + length))
        case _:
            raw = raw[:at]
    return raw


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_sections(frames: Frames, data: st.DataObject) -> None:
    sections = {name: frames.contents(name) for name in SECTIONS}
    there = [name for name in SECTIONS if len(sections[name])]
    for name in data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=3)):
        if len(sections[name]):
            sections[name] = _changed(sections[name], data)

    def contents(which: str | int) -> Bytes:
        own = sections.get(which) if isinstance(which, str) else None
        return frames.contents(which) if own is None else own

    begun = time.process_time()
    rows = np.flatnonzero(frames.functions.parent < 0)
    for one in explain_rows(replace(frames, contents=contents), rows):
        whole(one)
    assert time.process_time() - begun < 30  # of a hundredth on average


@pytest.mark.parametrize("size", [1, 11, 12, 200])
@pytest.mark.parametrize("byte", [0, 1, 0x2E, 0x80, 0x9C, 0xFF])
def test_sections_of_one_byte(frames: Frames, size: int, byte: int) -> None:
    raw = np.full(size, byte, np.uint8)

    def contents(which: str | int) -> Bytes:
        return raw if isinstance(which, str) else frames.contents(which)

    rows = np.flatnonzero(frames.functions.parent < 0)
    for one in explain_rows(replace(frames, contents=contents), rows):
        whole(one)
        assert one.notes
