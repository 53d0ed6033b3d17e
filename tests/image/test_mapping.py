"""Mapping symbols of an object."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stackgauge.image.mapping import MappingSymbols
from stackgauge.image.opening import open_images
from stackgauge.image.symbols import STT_FUNC

OBJECTS = Path(__file__).parents[1] / "corpus" / "objects"


def test_of_thumb_code() -> None:
    [image] = open_images(OBJECTS / "arm-thumb-O2.o")
    text = image.elf.section(".text")
    assert text is not None
    marks = MappingSymbols(image.elf).between(text.address, text.address + text.size)
    assert set(marks.kind.tolist()) == {ord("t"), ord("d")}
    assert marks.address[0] == text.address
    assert (np.diff(marks.address.astype(np.int64)) >= 0).all()
    assert not len(MappingSymbols(image.elf).between(0, 1).address)


def test_a_thumb_functions_address_is_even() -> None:
    [image] = open_images(OBJECTS / "arm-thumb-O2.o")
    functions = image.symbols.type == STT_FUNC
    assert functions.sum() > 50
    assert not (image.symbols.value[functions] & np.uint64(1)).any()
