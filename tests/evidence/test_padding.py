"""Where code begins and ends in stretches with padding, against looking at every byte."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.evidence.padding import code_end, first_code, without_padding
from stackgauge.evidence.table import UNKNOWN, Base, Evidence, make_rows
from stackgauge.image.elf import Elf, parse_elf
from stackgauge.isa.x86 import X86_64
from tests.image.tiny_elf import ALLOC, EXEC, Section, write_elf

BASE, GAP = 0x40_0000, 0x1000


def image(*texts: bytes) -> Elf:
    """Sections of code, GAP apart from begin to begin."""
    sections = [
        Section(f".text.{number}", text, BASE + number * GAP, flags=ALLOC | EXEC)
        for number, text in enumerate(texts)
    ]
    return parse_elf(np.frombuffer(write_elf(sections), np.uint8), "image")


def _addresses(places: list[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return (np.array(places, np.int64) + BASE).astype(np.uint64)


# Padding is much of it, so that there are stretches of nothing else, long ones too.
bodies = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=9),
        st.integers(1, 150).map(lambda count: b"\xcc" * count),
    ),
    max_size=12,
).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(bodies.filter(len), min_size=1, max_size=3),
    data=st.data(),
    alignment=st.sampled_from([1, 2, 4]),
)
def test_against_a_loop(texts: list[bytes], data: st.DataObject, alignment: int) -> None:
    isa = replace(X86_64, filler=b"\xcc\x90", instruction_alignment=alignment)
    edges = [number * GAP + place * alignment for number, text in enumerate(texts)
             for place in range(len(text) // alignment + 2)]  # fmt: skip
    chosen = sorted(data.draw(st.lists(st.sampled_from(edges), min_size=2, max_size=20)))
    starts, ends = chosen[0::2], chosen[1::2]
    starts = starts[: len(ends)]

    def is_code(place: int) -> bool:
        text = texts[place // GAP] if place // GAP < len(texts) else b""
        return place % GAP < len(text) and text[place % GAP] not in isa.filler

    first, last = [], []
    for start, end in zip(starts, ends, strict=True):
        # What lies in a section of code is looked at up to the section's end.
        places = [place for place in range(start, min(end, start // GAP * GAP + GAP))
                  if is_code(place)]  # fmt: skip
        first.append(places[0] // alignment * alignment if places else end)
        inside = start % GAP < len(texts[start // GAP])
        size = len(texts[start // GAP])
        limit = min(end, start // GAP * GAP + size) if inside else end
        up = -(-(places[-1] + 1 - start) // alignment) * alignment + start if places else end
        last.append(min(up, limit) if places else end)
    elf = image(*texts)
    assert first_code(elf, isa, _addresses(starts), _addresses(ends)).tolist() == [
        BASE + place for place in first
    ]
    assert code_end(elf, isa, _addresses(starts), _addresses(ends)).tolist() == [
        BASE + place for place in last
    ]


def test_unknown_rows_over_padding_say_that_nothing_runs_there() -> None:
    elf = image(b"\x55\xc3\xcc\xcc\x55\x5d\xc3\xcc")
    start, end = _addresses([0, 2, 4, 7]), _addresses([2, 4, 7, 8])
    depth = np.array([8, UNKNOWN, UNKNOWN, UNKNOWN], np.int32)
    rows = without_padding(make_rows(start, end, depth, Evidence.ORC), elf, X86_64)
    assert rows.depth.tolist() == [8, 0, UNKNOWN, 0]
    assert rows.base.tolist() == [Base.SP, Base.PADDING, Base.SP, Base.PADDING]
    assert depth.tolist() == [8, UNKNOWN, UNKNOWN, UNKNOWN]
