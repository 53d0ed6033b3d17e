"""Lines that are cut, repeated and mixed: what is read is a part of what was there."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.logs.reading import read_chains, read_marks
from tests.logs.formats import FORMATS, PREFIXES, Printed
from tests.logs.test_recorded import RECORDED

_COMMS = st.text("abkw/:_-0123456789 .", min_size=1, max_size=15).map(str.strip).filter(bool)

_TASKS = st.lists(
    st.builds(
        Printed,
        comm=_COMMS,
        pid=st.integers(1, 4194304),
        ppid=st.integers(0, 99999),
        free=st.integers(1, 4000).map(lambda words: 4 * words),
        running=st.booleans(),
    ),
    min_size=5,
    max_size=12,
    unique_by=lambda task: task.pid,
)

# What is done to a line: where, and how.
_HARM = st.tuples(
    st.integers(0, 11),
    st.integers(0, 120),
    st.sampled_from(["cut", "tail lost", "head lost", "twice", "another inside", "joined"]),
)

_OTHERS = st.sampled_from(
    ["usb 1-1: new device", "  foo  12  34", "[   13.000001] random: done", "login: ", "\x00\r"]
)


def _harmed(lines: list[str], where: int, at: int, how: str, other: str) -> None:
    where %= len(lines)
    line = lines[where]
    at %= len(line) + 1
    following = lines[(where + 1) % len(lines)]
    lines[where] = {
        "cut": line[:at] + "\n" + line[at:],
        "tail lost": line[:at],
        "head lost": line[at:],
        "twice": line + "\n" + line,
        "another inside": line[:at] + other + "\n" + line[at:],
        "joined": line[:at] + following,
    }[how]


def _read(text: str) -> set[tuple[int | None, str, int | None]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_text(text)
        try:
            marks = read_marks([str(path)])
        except InputError:
            return set()
    return {(task.pid, task.comm, task.free) for task in marks.tasks}


@given(
    _TASKS,
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(sorted(PREFIXES.values())),
    st.lists(_HARM, max_size=2),
    _OTHERS,
)
def test_no_task_is_invented(
    tasks: list[Printed], version: str, prefix: str, harm: list[tuple[int, int, str]], other: str
) -> None:
    lines = [prefix + FORMATS[version](task) for task in tasks]
    width = 13 if version.startswith("2.") else 15
    there = {(task.pid, task.comm[:width].rstrip(), task.free) for task in tasks}
    for where, at, how in harm:
        _harmed(lines, where, at, how, other)
    found = _read("\n".join(lines) + "\n")
    assert found <= there
    # Each harm touches two lines at most.
    assert len(found) >= len(there) - 2 * len(harm)


@given(st.integers(0, 20000), st.integers(0, 300), st.sampled_from([b"", b"\n", b"\r", b"\xff\0"]))
def test_a_recorded_log_cut_anywhere(at: int, lost: int, between: bytes) -> None:
    raw = (RECORDED / "sysrq-t-7.3-amd64.dmesg").read_bytes()
    whole = {(task.pid, task.comm) for task in read_marks(
        [str(RECORDED / "sysrq-t-7.3-amd64.dmesg")]).tasks}  # fmt: skip
    at %= len(raw)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(raw[:at] + between + raw[at + lost :])
        found = {(task.pid, task.comm) for task in read_marks([str(path)]).tasks}
        places = {
            line.location for trace in read_chains([str(path)]).traces for line in trace.lines
        }
    assert found <= whole or lost
    assert len(found) >= len(whole) - 3
    known = {
        line.location
        for trace in read_chains([str(RECORDED / "sysrq-t-7.3-amd64.dmesg")]).traces
        for line in trace.lines
    }
    # A place whose end was lost is none; one that lost its beginning may look like another.
    assert len(places - known) <= 2


@given(st.binary(max_size=2000))
def test_any_bytes(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(raw)
        for read in (read_marks, read_chains):
            with suppress(InputError):
                read([str(path)])
