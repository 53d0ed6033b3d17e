"""Sizes of a stack_trace's lines, predicted from what an image says of each place."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.calls.traced_model import Place
from stackgauge.calls.traced_sizes import compare_sizes
from stackgauge.image.opening import Image, open_images
from stackgauge.isa.arm64 import ARM64
from stackgauge.isa.model import Isa
from stackgauge.isa.x86 import X86_64
from stackgauge.logs.model import Line, Location
from tests.seeds import kernel


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    path: Path = tmp_path_factory.mktemp("kernel") / "vmlinux"
    path.write_bytes(kernel())
    return next(iter(open_images(path)))


def call(depth: int, saved: int = 8, most: int | None = None) -> Place:
    return Place(depth, depth if most is None else most, True, False, saved)


def _statuses(
    image: Image, isa: Isa, rows: list[tuple[int, Place | str]]
) -> list[tuple[int | None, str]]:
    """What is said of lines of these sizes, at these places."""
    depth = sum(size for size, _ in rows)
    lines = []
    for at, (size, _) in enumerate(rows):
        lines.append(Line(Location(f"f{at}+0x1/0x2", f"f{at}", 1, 2, ""), depth, size))
        depth -= size
    found = compare_sizes(image, isa, lines, [place for _, place in rows])
    return [(one.static, one.status) for one in found]


# Registers and the word below them, which an entry's call has pushed.
REGISTERS = Place(168, 168, True, True, 8)


def test_x86_entry_and_interrupt(image: Image) -> None:
    rows: list[tuple[int, Place | str]] = [
        (48, Place(8, 8, False, False, 8)),
        (40, call(40)),
        (136, REGISTERS),  # up to the interrupted address
        (48, Place(8, 8, False, False, 8)),
        (72, call(64, most=72)),
        (600, call(24, most=1056)),
        (24, call(24, most=1056)),
        (64, "not found"),
        (176, REGISTERS),
    ]
    assert _statuses(image, X86_64, rows) == [
        (None, "first line"),
        (40, "equal"),
        (136, "entry"),
        (40, "interrupted"),
        (64, "aligned"),
        (24, "random offset"),
        (24, "equal"),
        (None, "not found"),
        (176, "entry"),
    ]


def test_an_interrupt_right_behind_a_call(image: Image) -> None:
    rows: list[tuple[int, Place | str]] = [
        (48, call(8)), (136, REGISTERS), (104, call(72)), (80, call(72)), (176, REGISTERS)
    ]  # fmt: skip
    assert [status for _, status in _statuses(image, X86_64, rows)] == [
        "first line", "entry", "interrupted", "differs", "entry"
    ]  # fmt: skip


def test_arm64_saves_below_locals(image: Image) -> None:
    """Frames that Debian's 6.1 kernel has, and what its tracer printed of them."""
    rows: list[tuple[int, Place | str]] = [
        (16, Place(0, 0, False, False, None)),
        (240, call(240, 88)),  # 128 - 88 + 88, and 112 for what lies in between
        (96, call(240, 88)),
        (160, call(96, 88)),
        (112, call(160, 88)),
        (168, call(80, 56)),
        (344, call(16, 8)),
    ]
    statics = [static for static, _ in _statuses(image, ARM64, rows)]
    assert statics == [
        240 - 88 + 8,
        240 + 88 - 88,
        96 + 88 - 88,
        160 + 88 - 88,
        80 + 88 - 56,
        16 + 56 - 8,
        None,
    ]


def test_arm64_exception(image: Image) -> None:
    rows: list[tuple[int, Place | str]] = [
        (16, Place(0, 0, False, False, None)),
        (48, call(48, 40)),
        (264, call(16, 8)),
        (168, Place(0, 0, True, True, -256)),
        (96, Place(0, 0, False, False, None)),
        (344, call(16, 8)),
    ]
    assert _statuses(image, ARM64, rows)[2:] == [
        (264, "entry"), (None, "entry"), (None, "interrupted"), (None, "entry")
    ]  # fmt: skip


def test_lost_lines_leave_neighbours_unknown(image: Image) -> None:
    lines = [
        Line(Location(f"f{at}+0x1/0x2", f"f{at}", 1, 2, ""), depth, size)
        for at, (depth, size) in enumerate([(400, 16), (384, 32), (200, 48), (152, 152)])
    ]
    found = compare_sizes(image, ARM64, lines, [call(32, 24)] * 4)
    assert [one.status for one in found] == ["first line", "not known", "differs", "entry"]


def test_older_copies(image: Image) -> None:
    """Each place lower than the real one moves bytes from a line to the one above it."""
    real = [48, 100, 200, 300, 400, 176]
    places: list[Place | str] = [*(call(size) for size in real[:-1]), REGISTERS]

    def statuses(*moves: int) -> list[str]:
        sizes = [size + move for size, move in zip(real, (*moves, 0), strict=True)]
        found = _statuses(image, X86_64, list(zip(sizes, places, strict=True)))
        return [status for _, status in found[1:-1]]

    assert statuses(0, -8, 8, 0, 0) == ["older copy"] * 2 + ["equal"] * 2
    assert statuses(0, -8, -16, 8, 16) == ["older copy"] * 4
    assert statuses(0, -8, 8, -16, 16) == ["older copy"] * 4
    # A copy cannot lie above, and what does not add up again is no copy.
    assert statuses(0, 8, -8, 0, 0) == ["differs"] * 2 + ["equal"] * 2
    assert statuses(-8, 0, 0, 8, 0) == ["equal"] * 2 + ["differs", "equal"]
    assert statuses(0, 0, 0, 0, -8) == ["equal"] * 3 + ["differs"]
