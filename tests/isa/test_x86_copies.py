"""A copy of the stack pointer that was computed with is none any more."""

from __future__ import annotations

import pytest

from stackgauge.isa.model import Effect
from tests.isa.test_i386_reader import read as read_32
from tests.isa.test_x86_reader import read as read_64

# Longer than what is looked at first.
MANY = "0f 1f 40 00 " * 20

CHANGED = [
    "49 29 c4",  # sub %rax,%r12
    "4c 2b e0",  # sub %rax,%r12, the other way round
    "49 81 ec 00 01 00 00",  # sub $0x100,%r12
    "49 83 e4 c0",  # and $-64,%r12
    "4d 8d 24 04",  # lea (%r12,%rax),%r12
    "49 89 c4",  # mov %rax,%r12
    "49 f7 dc",  # neg %r12
    "41 bc 01 00 00 00",  # mov $1,%r12d
]
KEPT = [
    "",
    "4c 39 e0",  # cmp %r12,%rax
    "49 83 fc 10",  # cmp $0x10,%r12
    "48 29 c3",  # sub %rax,%rbx
    "4c 29 e0",  # sub %r12,%rax
    "4c 89 65 f8",  # mov %r12,-8(%rbp)
    "49 29 c4 4c 8b 65 f8",  # used meanwhile, then loaded: mov -8(%rbp),%r12
    "49 29 c4 41 5c",  # or popped
]


def restored(code: str) -> Effect:
    """What is made of ``mov %r12,%rsp`` behind a copy to r12 and some code."""
    steps = read_64(f"49 89 e4 {code} 4c 89 e4")
    assert steps.effect[0] == Effect.COPY
    return Effect(int(steps.effect[-1]))


@pytest.mark.parametrize("between", CHANGED)
@pytest.mark.parametrize("after", ["", MANY])
def test_changed(between: str, after: str) -> None:
    assert restored(f"{between} {after}") == Effect.LOST


@pytest.mark.parametrize("between", KEPT)
@pytest.mark.parametrize("after", ["", MANY])
def test_kept(between: str, after: str) -> None:
    assert restored(f"{between} {after}") == Effect.RESTORE


def test_what_comes_before_the_copy_is_no_matter() -> None:
    steps = read_64("49 29 c4 49 89 e4 4c 89 e4")
    assert steps.effect.tolist() == [Effect.COPY, Effect.RESTORE]


def test_32_bits() -> None:
    # mov %esp,%ecx; sub %edx,%ecx; mov %ecx,%esp
    assert read_32("89 e1 29 d1 89 cc").effect.tolist() == [Effect.COPY, Effect.LOST]
    assert read_32("89 e1 89 d1 8b 4d fc 89 cc").effect.tolist() == [Effect.COPY, Effect.RESTORE]
