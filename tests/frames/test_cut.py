"""Functions without sizes that a label cuts: the first part's figure is not taken for the whole."""

import pytest

from stackgauge.frames.measure import Kind
from tests.frames.made_kernel import MadeKernel
from tests.frames.test_measure import frames

PUSH, POP, RET = "50", "58", "c3"
CALL_NEXT = "e8 00 00 00 00"


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (f"{PUSH} 90", Kind.UNKNOWN),
        (PUSH, Kind.UNKNOWN),
        # With nothing on the stack it is what a tail call does.
        (f"{PUSH} {POP} 90", Kind.STATIC),
        # The end of a call that does not return may look like padding, and is none.
        (f"{PUSH} {CALL_NEXT}", Kind.STATIC),
        (f"{PUSH} {POP} {RET}", Kind.STATIC),
        # To the label with a jump, over three instructions of its own.
        (f"{PUSH} eb 03 {POP} {RET} 90", Kind.UNKNOWN),
        (f"{PUSH} 74 02 {POP} {RET}", Kind.UNKNOWN),
    ],
)
def test_without_tables(first: str, kind: Kind) -> None:
    kernel = MadeKernel()
    kernel.add("first", first, size=0)
    kernel.add("label", f"{PUSH} {POP} {POP} {RET}", size=0, align=1)
    assert frames(kernel)["first"][2] == kind


def test_a_size_says_where_a_function_ends() -> None:
    kernel = MadeKernel()
    kernel.add("first", f"{PUSH} 90")
    kernel.add("label", f"{PUSH} {POP} {POP} {RET}", align=1)
    assert frames(kernel)["first"][:3] == (16, 16, Kind.STATIC)


def test_the_next_function_is_not_entered_from_the_end_of_a_call() -> None:
    # The call's last byte looks like padding, so it ends behind its function.
    kernel = MadeKernel()
    # Both are realigned, so that they are followed path by path.
    realigned = "55 48 89 e5 48 83 e4 f0"
    kernel.add("first", f"{realigned} {PUSH} {PUSH} e8 f0 00 00 00", size=0)
    kernel.add("next", f"{realigned} c9 {RET}", size=0, align=1)
    assert frames(kernel)["next"][:2] == (16, 24)


def with_orc(first: str, deepest: int) -> MadeKernel:
    """A function whose label is met with 16 bytes on the stack and goes down to ``deepest``."""
    kernel = MadeKernel()
    place = kernel.add("first", first, size=0)
    kernel.hint(place, 8)
    kernel.hint(place + 1, 16)
    label = kernel.add("label", f"{PUSH} {POP} {POP} {RET}", size=0, align=1)
    kernel.hint(label + 1, deepest)
    kernel.hint(label + 2, 16)
    kernel.hint(label + 3, 8)
    kernel.hint(label + 4, 0, 0, 0)
    return kernel


@pytest.mark.parametrize(
    ("first", "deepest", "kind"),
    [
        (f"{PUSH} f8", 24, Kind.UNKNOWN),
        # The label's part is no deeper.
        (f"{PUSH} f8", 16, Kind.STATIC),
        (f"{PUSH} eb 01 cc", 24, Kind.UNKNOWN),
        # It is jumped over, and ends with a trap.
        (f"{PUSH} 0f 0b", 24, Kind.STATIC),
    ],
)
def test_with_a_table(first: str, deepest: int, kind: Kind) -> None:
    assert frames(with_orc(first, deepest))["first"][2] == kind
