"""What a guest says on its console."""

from __future__ import annotations

import base64
import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.runtime.console import Console, troubles


def _sent(name: str, data: bytes) -> bytes:
    text = base64.encodebytes(gzip.compress(data))
    return b"\n@@sg file " + name.encode() + b"\n" + text + b"\n@@sg end " + name.encode() + b"\n"


@given(st.binary(max_size=400), st.lists(st.integers(0, 900), max_size=6), st.booleans())
def test_files_arrive_whatever_the_pieces(data: bytes, cuts: list[int], carriage: bool) -> None:
    raw = b"early words\n@@sg step init runs\n" + _sent("dmesg", data) + b"@@sg done\n"
    if carriage:
        raw = raw.replace(b"\n", b"\r\n")
    console = Console()
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for begin, end in itertools.pairwise(places):
        console.take(raw[begin:end])
    assert console.files == {"dmesg": data}
    assert (console.step, console.done, console.damaged) == ("init runs", True, [])


@given(st.binary(max_size=2000))
def test_noise_is_no_file(noise: bytes) -> None:
    console = Console()
    console.take(noise)
    assert console.files == {}


def test_a_damaged_file_is_told() -> None:
    console = Console()
    sent = _sent("vmstat", bytes(range(256)))
    console.take(sent.replace(b"\n@@sg end", b"watchdog: a line between\n@@sg end"))
    console.take(b"\n@@sg file cut\nH4sI\n@@sg end cut\n")
    assert console.files == {}
    assert console.damaged == ["vmstat", "cut"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "", ".hidden"])
def test_names_stay_in_their_folder(name: str) -> None:
    console = Console()
    console.take(_sent(name, b"data"))
    assert console.files == {}


def test_a_file_that_unpacks_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackgauge.runtime.console.MOST_BYTES", 1000)
    console = Console()
    console.take(_sent("bomb", bytes(100_000)))
    assert console.damaged == ["bomb"]


def test_what_else_it_says() -> None:
    console = Console()
    console.take(b"@@sg core\n@@sg no-tracer\n")
    assert console.wants_core
    assert not console.traceable
    assert not console.done


@pytest.mark.parametrize(
    "line",
    [
        b"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
        b"watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [init:1]",
        b"rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        b"INFO: task sh:12 blocked for more than 120 seconds.",
        b"BUG: kernel NULL pointer dereference, address: 0000000000000000",
    ],
)
def test_troubles(line: bytes) -> None:
    log = b"[    1.0] fine\n[    2.0] " + line + b"\r\n[    3.0] " + line + b"\n"
    assert troubles(log) == [line.decode()]
    assert troubles(b"[    1.0] all is well\n") == []
