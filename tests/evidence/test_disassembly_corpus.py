"""Frames from objdump's text of the corpus are those from the objects themselves."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest

from stackgauge.evidence.disassembly import read_listing
from stackgauge.frames.measure import measure
from stackgauge.image.opening import open_images
from stackgauge.isa.objdump_patterns import dialect_of
from tests.oracles.compare import figures_of

OBJECTS = Path(__file__).parents[1] / "corpus" / "objects"
# Call frame information alone tells of the error code that the processor pushed.
ENTERED_DEEPER = "interrupt_with_error"
FLAVOURS = sorted(path.stem for path in OBJECTS.glob("x86_64-*.o"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_text_and_object_say_the_same(flavour: str) -> None:
    path = OBJECTS / f"{flavour}.o"
    text = subprocess.run(["objdump", "-d", path], stdout=subprocess.PIPE, check=True).stdout
    found = read_listing(io.BytesIO(text), dialect_of("x86_64"))
    [image] = open_images(path)
    figures = {figure.name: figure for figure in figures_of(measure(image))}
    compared = 0
    for name, frame, dynamic in zip(found.function, found.frame, found.dynamic, strict=True):
        figure = figures.get(name)
        if figure is None or figure.kind == "unknown" or name == ENTERED_DEEPER:
            continue
        compared += 1
        if figure.kind == "dynamic":
            assert dynamic, name
        elif not dynamic:
            assert frame == figure.most, name
    assert compared >= 60
