"""The distributed image gives the frames of the one with debug information."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stackgauge.frames.measure import Frames, Kind, measure
from stackgauge.image.opening import open_images

pytestmark = pytest.mark.kernels


def measured(path: Path) -> Frames:
    [image] = open_images(path)
    return measure(image)


def by_address(frames: Frames) -> dict[int, tuple[str, int, Kind, int]]:
    """Frame, kind and end by address; names are not what is compared."""
    functions = frames.functions
    return {
        int(functions.start[index]): (
            functions.name(index),
            int(frames.frame[index]),
            Kind(int(frames.kind[index])),
            int(functions.end[index]),
        )
        for index in range(len(functions))
        if functions.parent[index] < 0 and functions.symbol[index] >= 0
    }


def compared(stripped: Frames, full: Frames) -> tuple[int, list[str]]:
    """How many functions both have, and those whose frames differ without a known cause."""
    ours, theirs = by_address(stripped), by_address(full)
    both = ours.keys() & theirs.keys()
    unlike = []
    for address in sorted(both):
        name, frame, kind, end = ours[address]
        _, full_frame, full_kind, full_end = theirs[address]
        if (frame, kind) == (full_frame, full_kind):
            continue
        # kallsyms has no sizes, so code that no symbol covers counts with the function before it,
        # and a label inside assembly cuts a function in two.
        if end == full_end:
            unlike.append(
                f"{name} {address:#x}: {frame} {kind.name} for {full_frame} {full_kind.name}"
            )
        elif kind != Kind.UNKNOWN:
            assert frame >= full_frame or end < full_end, name
    return len(both), unlike


def test_amd64_vmlinuz(amd64_vmlinux: Path, amd64_vmlinuz: Path) -> None:
    count, unlike = compared(measured(amd64_vmlinuz), measured(amd64_vmlinux))
    assert count > 45_000
    # Without sizes these seem to go on in the code behind them, with something on the stack.
    assert {text.split()[0] for text in unlike if "UNKNOWN for" in text} <= {
        "early_idt_handler_array",
        "early_idt_handler_common",
        "error_return",
        "xen_iret",
    }
    assert [text for text in unlike if "UNKNOWN for" not in text] == []


def test_arm64_vmlinuz(arm64_vmlinux: Path, arm64_vmlinuz: Path) -> None:
    """The flat image has no sections, and so no alternatives, whose callbacks may be reached."""
    count, unlike = compared(measured(arm64_vmlinuz), measured(arm64_vmlinux))
    assert count > 40_000
    assert [text for text in unlike if "UNKNOWN" not in text] == []
    assert len(unlike) < 0.001 * count


def test_amd64_without_orc_and_cfi(amd64_vmlinux: Path, tmp_path: Path) -> None:
    bare = tmp_path / "vmlinux"
    sections = [".orc_unwind", ".orc_unwind_ip", ".debug_frame"]
    # Symbols at their bounds keep the sections; under another name nobody looks at them.
    remove = [part for name in sections for part in ("--rename-section", f"{name}=gone{name}")]
    subprocess.run(["objcopy", "-g", *remove, amd64_vmlinux, bare], check=True)
    stripped, full = measured(bare), measured(amd64_vmlinux)
    ours, theirs = by_address(stripped), by_address(full)
    known = [a for a, (_, _, kind, _) in theirs.items() if kind != Kind.UNKNOWN]
    equal = sum(ours[address][1:3] == theirs[address][1:3] for address in known)
    wrong = [
        (theirs[address][0], ours[address][1], theirs[address][1])
        for address in known
        if ours[address][2] != Kind.UNKNOWN and ours[address][1] < theirs[address][1]
    ]
    assert equal > 0.999 * sum(ours[address][2] != Kind.UNKNOWN for address in known)
    assert len(known) - equal < 0.01 * len(known)
    # What an entry's assembly finds on the stack, only ORC can know.
    assert len(wrong) < 20
