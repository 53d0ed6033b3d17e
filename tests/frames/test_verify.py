"""Kinds of evidence held against each other: counts, and the cause of each difference."""

from __future__ import annotations

import dataclasses

from stackgauge.frames.verify import (
    ASSEMBLY,
    JUMPED_INTO,
    KNOWN,
    REGISTERS,
    UNEXPLAINED,
    Difference,
    Verified,
    verify,
)
from stackgauge.image.opening import Image, open_images
from tests.frames.made_kernel import BASE, MadeKernel
from tests.seeds import OBJECTS

DISTRUST = 0
CODE = "50 58 c3"


def with_orc(
    name: str, depths: dict[int, int], code: str = CODE, kind: int = 2, **other: int
) -> Image:
    """A function of 16 bytes of stack, what ORC says of it, and another one on which they agree."""
    made = MadeKernel()
    place = made.add(name, code)
    for offset, depth in depths.items():
        made.hint(place + offset, depth, kind=other.get(f"kind_{offset}", kind))
    made.hint(place + len(bytes.fromhex(code)), 0, DISTRUST, 0)
    plain = made.add("plain", CODE)
    for offset, depth in ((0, 8), (1, 16), (2, 8)):
        made.hint(plain + offset, depth)
    made.hint(plain + 3, 0, DISTRUST, 0)
    return made.image()


def differences(verified: Verified) -> list[Difference]:
    return [one for agreement in verified.agreements for one in agreement.differences]


def test_agreement() -> None:
    verified = verify(with_orc("f", {0: 8, 1: 16, 2: 8}))
    assert verified.functions == 2
    assert verified.settled == {"orc": 2, "instructions": 2}
    (agreement,) = verified.agreements
    assert dataclasses.astuple(agreement) == ("orc", "instructions", 2, 2, ())
    assert verified.unexplained == 0


def test_a_difference_of_no_known_cause() -> None:
    verified = verify(with_orc("f", {0: 8, 1: 24, 2: 8}))
    assert differences(verified) == [Difference(BASE, "f", 24, 16, UNEXPLAINED)]
    assert verified.unexplained == 1
    # Also where ORC is the smaller: nothing makes up for it.
    verified = verify(with_orc("f", {0: 8}))
    assert differences(verified) == [Difference(BASE, "f", 8, 16, UNEXPLAINED)]


def test_assembly_that_is_known_by_name() -> None:
    name = next(iter(KNOWN))
    verified = verify(with_orc(name, {0: 8, 1: 24, 2: 8}))
    assert [one.cause for one in differences(verified)] == [KNOWN[name]]
    assert verified.unexplained == 0


def test_assembly_that_is_jumped_into() -> None:
    verified = verify(with_orc("f", {0: 16, 1: 24, 2: 16}))
    assert [one.cause for one in differences(verified)] == [JUMPED_INTO]


def test_saved_registers() -> None:
    verified = verify(with_orc("f", {0: 8, 1: 16, 2: 8}, kind_1=3))
    assert [one.cause for one in differences(verified)] == [REGISTERS]
    assert differences(verified)[0].one == 16 + 21 * 8


def test_what_one_kind_does_not_settle_is_not_compared() -> None:
    image = with_orc("f", {0: 8, 1: 16, 2: 8}, "48 8b 20 50 c3")
    verified = verify(image)
    assert verified.settled == {"orc": 2, "instructions": 1}
    assert [one.compared for one in verified.agreements] == [1]


def test_an_image_with_one_kind_has_nothing_to_compare() -> None:
    made = MadeKernel()
    made.add("f", CODE)
    verified = verify(made.image())
    assert verified.settled == {"instructions": 1}
    assert verified.agreements == ()


def test_inline_assembly_in_an_object() -> None:
    (image,) = open_images(OBJECTS / "x86_64-kernel-O2-cfi.o")
    verified = verify(image)
    assert set(verified.settled) == {"cfi", "instructions"}
    found = differences(verified)
    assert found
    assert {one.cause for one in found} == {ASSEMBLY}
    assert all(one.one < one.two for one in found)
    text = image.elf.section(".text")
    assert text is not None
    assert all(one.address < text.size for one in found)
