"""ARM's exception tables: what their instructions say of a frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.evidence.ehabi import ehabi_rows
from stackgauge.evidence.table import UNKNOWN, Base, Evidence, Rows, sample
from stackgauge.frames.measure import Measurer, judge
from stackgauge.image.elf import EM_X86_64, SHF_ALLOC, SHF_EXECINSTR, Elf, header_dtypes
from stackgauge.image.opening import open_images

OBJECTS = Path(__file__).parents[1] / "corpus" / "objects"

TEXT, INDEX, TABLE = 0x8000, 0x9000, 0xA000
_EXIDX, _PROGBITS = 0x7000_0001, 1
CANTUNWIND = 1


def prel31(place: int, target: int) -> int:
    return target - place & 0x7FFFFFFF


def tables(entries: list[int], table: bytes = b"", order: str = "<") -> Elf:
    """A file whose index has an entry for every 16 bytes of code, with these second words."""
    words = []
    for number, second in enumerate(entries):
        words += [prel31(INDEX + 8 * number, TEXT + 16 * number), second]
    index = np.array(words, f"{order}u4").tobytes()
    sections = [
        (0, 0, 0, b""),
        (_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, bytes(16 * max(len(entries), 1))),
        (_EXIDX, SHF_ALLOC, INDEX, index),
        (_PROGBITS, SHF_ALLOC, TABLE, table),
    ]
    headers = np.zeros(len(sections), header_dtypes(32, order)[1])
    data = b""
    for header, (kind, flags, address, raw) in zip(headers, sections, strict=True):
        header["type"], header["flags"], header["addr"] = kind, flags, address
        header["offset"], header["size"] = len(data), len(raw)
        data += raw
    return Elf("made", np.frombuffer(data, np.uint8), 32, order, 40, 2, headers, 0)


def rows_of(elf: Elf) -> Rows:
    return ehabi_rows(elf, elf.contents)


def inline(*code: int) -> int:
    """An entry with up to three instructions' bytes in itself."""
    first, second, third = (*code, 0xB0, 0xB0, 0xB0)[:3]
    return 1 << 31 | first << 16 | second << 8 | third


def depths(*entries: int, table: bytes = b"") -> list[int]:
    found: list[int] = rows_of(tables([*entries], table)).depth.tolist()
    return found


@pytest.mark.parametrize(
    ("code", "depth"),
    [
        ((), 0),
        ((0x00,), 4),
        ((0x3F,), 256),
        ((0x01, 0x40), 4),
        ((0x80, 0x01), 4),  # r4
        ((0x88, 0x08), 8),  # r7 and the PC
        ((0x84, 0x00), 4),  # LR
        ((0xA0,), 4),
        ((0xA7,), 32),
        ((0xA8,), 8),
        ((0xAF,), 36),
        ((0xB0, 0x00), 0),  # ends before it
        ((0xB1, 0x0F), 16),
        ((0xB2, 0x00), 0x204),
        ((0xB2, 0x81, 0x01), 0x204 + (129 << 2)),
        ((0xB3, 0x03), 8 * 4 + 4),
        ((0xB4,), 4),
        ((0xB5,), 0),
        ((0xB8,), 12),
        ((0xBF,), 68),
        ((0xC0,), 8),
        ((0xC6, 0x12), 24),
        ((0xC7, 0x05), 8),
        ((0xC8, 0x0F), 128),
        ((0xC9, 0x80), 8),
        ((0xD0,), 8),
        ((0xD7,), 64),
        ((0x03, 0xAB, 0xB0), 16 + 20),
    ],
)
def test_what_an_instruction_adds(code: tuple[int, ...], depth: int) -> None:
    assert depths(inline(*code)) == [depth]


@pytest.mark.parametrize(
    "code",
    [
        (0x80, 0x00),  # refuses to unwind
        (0x82, 0x00),  # pops the stack pointer itself
        (0x9D,), (0x9F,),  # reserved
        (0xB1, 0x00), (0xB1, 0x10), (0xB6,), (0xB7,), (0xC7, 0x00), (0xC7, 0x10),
        (0xCA,), (0xCF,), (0xD8,), (0xFF,),  # spare
        (0x40,),  # less than nothing
        (0x00, 0x00, 0x80), (0x00, 0xB2, 0x80),  # cut off
    ],
)  # fmt: skip
def test_what_is_not_known(code: tuple[int, ...]) -> None:
    assert depths(inline(*code)) == [UNKNOWN]


def test_a_frame_that_another_register_holds() -> None:
    rows = rows_of(tables([inline(0x9B, 0x41, 0x84), inline(0x9B, 0x01)]))
    # The second is 8 bytes from r11; of the first, the operand is cut off.
    assert rows.depth.tolist() == [UNKNOWN, 8]
    assert rows.base[1] == Base.OTHER


def test_an_entry_that_says_that_nothing_can_be_unwound() -> None:
    assert depths(CANTUNWIND, inline(0x00)) == [UNKNOWN, 4]


def test_the_longer_models() -> None:
    # Model 1 with two words more, model 0 in the table, and one with a routine of its own.
    words = [0x8102B200, 0xB0B0B0B0, 0xB0B0B0B0, 0x80A8B0B0, 0x00001234]
    table = np.array(words, "<u4").tobytes()
    places = [prel31(INDEX + 8 * number + 4, TABLE + at) for number, at in enumerate((0, 12, 16))]
    assert depths(*places, table=table) == [0x204, 8, UNKNOWN]


def test_what_lies_outside_the_file_is_not_known() -> None:
    table = np.array([0x81FFB0B0], "<u4").tobytes()
    assert depths(prel31(INDEX + 4, TABLE), prel31(INDEX + 12, 0x100), table=table) == [
        UNKNOWN, UNKNOWN,
    ]  # fmt: skip


def test_rows_reach_to_the_next_entry_and_the_end_of_the_code() -> None:
    rows = rows_of(tables([inline(0x00), inline(0xA8)]))
    assert rows.start.tolist() == [TEXT, TEXT + 16]
    assert rows.end.tolist() == [TEXT + 16, TEXT + 32]
    assert set(rows.evidence.tolist()) == {Evidence.EHABI}


def test_big_endian() -> None:
    assert rows_of(tables([inline(0xAB)], order=">")).depth.tolist() == [20]


def test_other_machines_have_none() -> None:
    assert not len(rows_of(replace(tables([inline()]), machine=EM_X86_64)))


@pytest.mark.parametrize("flavour", ["arm-kernel-O2-cfi", "arm-thumb-O2-cfi"])
def test_the_corpus_agrees_with_call_frame_information(flavour: str) -> None:
    work = Measurer(open_images(OBJECTS / f"{flavour}.o")[0])
    functions = work.functions
    ours, theirs = (
        judge(work.peaks(table), functions.routine, len(functions))
        for table in (work.ehabi, work.cfi)
    )
    both = ours.settled & theirs.settled
    assert both.sum() > 50
    assert (ours.least == theirs.least)[both].all()
    # A stack that is dynamic is counted from the frame pointer.
    [vla] = [at for at in range(len(functions)) if functions.name(at) == "vla_plain"]
    row = sample(work.ehabi, functions.start[vla : vla + 1])
    assert work.ehabi.base[row].tolist() == [Base.OTHER]


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=20), st.binary(max_size=60))
def test_any_tables(entries: list[int], table: bytes) -> None:
    rows = rows_of(tables(entries, table))
    assert (rows.start < rows.end).all()
    assert (rows.depth >= UNKNOWN).all()
