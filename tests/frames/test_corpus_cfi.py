"""Instructions of the corpus say what the compilers' call frame information says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.frames.verify import verify
from stackgauge.image.opening import open_images

OBJECTS = Path(__file__).parents[1] / "corpus" / "objects"
FLAVOURS = sorted(path.stem for path in OBJECTS.glob("*-cfi.o"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_instructions_equal_cfi(flavour: str) -> None:
    [image] = open_images(OBJECTS / f"{flavour}.o")
    found = verify(image)
    [agreement] = [one for one in found.agreements if {one.one, one.two} == {"cfi", "instructions"}]
    assert agreement.compared >= 55
    assert not found.unexplained, agreement.differences
