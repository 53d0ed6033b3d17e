"""Breaks files, and asks everything of what is left: for tests that expect no other error."""

from __future__ import annotations

import resource
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from stackgauge.errors import StackgaugeError
from stackgauge.frames.listing import list_frames
from stackgauge.frames.measure import measure
from stackgauge.frames.summary import summarize
from stackgauge.frames.verify import verify
from stackgauge.image.opening import open_images
from stackgauge.kernel.identity import identify

# Of files of some 30 KB.
SECONDS = 10
MEMORY = 2 << 30

# Numbers that are at the edge of something, or beyond it.
EDGES = [0, 1, 4, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32,
         1 << 40, 1 << 63, (1 << 63) - 1, (1 << 64) - 1, (1 << 64) - 16]  # fmt: skip

several = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def bounded() -> Iterator[None]:
    """Allow this process a certain amount of memory more than it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def _late(*_: object) -> None:
    raise TimeoutError


def ask_everything(path: Path, system_map: Path | None = None) -> None:
    """Everything that a file is asked for; anything but an error of ours is a defect."""
    signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            images = open_images(path, system_map=system_map)
            measured = [measure(image) for image in images]
            for frames in measured:
                identify(frames.image, frames.isa.name, None, frames.isa.red_zone)
            for row in list_frames(measured) + list_frames(measured, pieces=True):
                assert row.frame is None or 0 <= (row.least or 0) <= row.frame
            summarize(measured)
            for image in images:
                verify(image)
    except StackgaugeError as error:
        said = str(error)
    else:
        said = f"{path}: well"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert said.startswith(str(path))
    assert said.isprintable()


def change(data: st.DataObject, raw: bytearray, first: int, end: int) -> None:
    """Change a few bytes of ``raw[first:end]``, keeping its length."""
    at = data.draw(st.integers(first, end - 1), "at")
    size = min(data.draw(st.sampled_from([1, 1, 1, 2, 4, 8, 16, 100]), "size"), end - at)
    match data.draw(st.sampled_from(["set", "flip", "fill", "copy", "random"])):
        case "set":
            value = data.draw(st.sampled_from(EDGES)) & ((1 << 8 * size) - 1)
            raw[at : at + size] = value.to_bytes(size, "little")
        case "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        case "fill":
            raw[at : at + size] = bytes([data.draw(st.sampled_from(b"\0\xff\x90\x80"))]) * size
        case "copy":
            source = data.draw(st.integers(first, end - size))
            raw[at : at + size] = raw[source : source + size]
        case "random":
            raw[at : at + size] = data.draw(st.binary(min_size=size, max_size=size))
