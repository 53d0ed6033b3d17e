"""What 32-bit x86 instructions do to the stack, where that is not as in 64-bit code."""

import numpy as np
import pytest

from stackgauge.evidence.flow import follow
from stackgauge.evidence.pieces import Pieces
from stackgauge.evidence.table import peaks
from stackgauge.isa.model import NO_AMOUNT, SAVED, Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.x86 import I386

BASE = 0xC100_0000


def read(code: str) -> Steps:
    raw = np.frombuffer(bytes.fromhex(code), np.uint8)
    start = np.array([BASE], np.uint64)
    return I386.read(Code(raw, BASE), Ranges(start, start + np.uint64(len(raw))))


def effects(code: str) -> list[tuple[Effect, int, int]]:
    steps = read(code)
    return [
        (Effect(effect), value, slot)
        for effect, value, slot in zip(
            steps.effect.tolist(), steps.value.tolist(), steps.slot.tolist(), strict=True
        )
        if effect
    ]


def frame(code: str) -> tuple[int, int, bool]:
    """Of a function: least, most, and whether all of it is known."""
    steps = read(code)
    start = np.array([BASE], np.uint64)
    end = start + np.uint64(len(bytes.fromhex(code)))
    pieces = Pieces(start, end, np.zeros(1, np.intp), np.ones(1, bool))
    found = peaks(follow(steps, pieces, I386).rows, start, end)
    return int(found.depth[0]), int(found.most[0]), bool(found.settled[0])


@pytest.mark.parametrize(
    ("code", "effect", "value", "slot"),
    [
        ("53", Effect.ADD, -4, 0),  # push ebx
        ("0e", Effect.ADD, -4, 0),  # push cs
        ("1f", Effect.ADD, 4, 0),  # pop ds
        ("0f a0", Effect.ADD, -4, 0),  # push fs
        ("60", Effect.ADD, -32, 0),  # pusha
        ("61", Effect.ADD, 32, 0),  # popa
        ("9c", Effect.ADD, -4, 0),  # pushf
        ("ff 71 fc", Effect.ADD, -4, 0),  # push -4(%ecx)
        ("8f 45 08", Effect.ADD, 4, 0),  # pop 8(%ebp)
        ("83 ec 1c", Effect.ADD, -28, 0),
        ("81 c4 8c 00 00 00", Effect.ADD, 140, 0),
        ("83 e4 f0", Effect.ALIGN, 16, 0),
        ("8d 64 24 fc", Effect.ADD, -4, 0),  # lea -4(%esp),%esp
        ("89 e5", Effect.COPY, 0, 0),  # mov %esp,%ebp
        ("8b ec", Effect.COPY, 0, 0),
        ("8d 4c 24 04", Effect.COPY, 4, 1),  # lea 4(%esp),%ecx
        ("8d 7c 24 08", Effect.COPY, 8, 2),  # lea 8(%esp),%edi
        ("8d 65 f4", Effect.RESTORE, -12, 0),  # lea -12(%ebp),%esp
        ("8d 61 fc", Effect.RESTORE, -4, 1),  # lea -4(%ecx),%esp
        ("c9", Effect.RESTORE, 4, 0),
        ("5c", Effect.RESTORE, 0, SAVED),
        ("29 c4", Effect.DYNAMIC, NO_AMOUNT, 0),
        ("89 c4", Effect.LOST, 0, 0),  # mov %eax,%esp
        ("bc 00 00 00 00", Effect.LOST, 0, 0),
        ("c8 10 00 00", Effect.LOST, 0, 0),  # enter
        ("81 c4 00 00 00 40", Effect.LOST, 0, 0),  # add $-PAGE_OFFSET,%esp
        ("66 83 ec 04", Effect.LOST, 0, 0),  # sub $4,%sp
        ("cf", Effect.ADD, 12, 0),
    ],
)
def test_one_instruction(code: str, effect: Effect, value: int, slot: int) -> None:
    assert effects(code) == [(effect, value, slot)]


@pytest.mark.parametrize(
    "code",
    [
        "8d 74 26 00",  # lea 0(%esi,%eiz,1),%esi
        "8d b4 26 00 00 00 00",
        "8d 44 24 10",  # lea 16(%esp),%eax, which is not followed
        "c5 f8 77",  # vzeroupper
        "c4 e2 79 18 44 24 08",  # vbroadcastss 8(%esp),%xmm0
        "89 04 24",  # mov %eax,(%esp)
        "39 c4",  # cmp %eax,%esp
        "2e 8d 74 26 00",
    ],
)
def test_no_step(code: str) -> None:
    assert len(read(code)) == 0


@pytest.mark.parametrize(
    ("code", "flow", "target"),
    [
        ("e8 fb ff ff ff", Flow.CALL, BASE),
        ("e9 00 00 00 40", Flow.JUMP, 0x0100_0005),  # addresses have 32 bits
        ("74 02", Flow.BRANCH, BASE + 4),
        ("0f 84 0a 00 00 00", Flow.BRANCH, BASE + 0x10),
        ("ff d0", Flow.CALL, 0),
        ("ff e0", Flow.INDIRECT, 0),
        ("c2 04 00", Flow.STOP, 0),
        ("0f 0b", Flow.TRAP, 0),
        ("0f 35", Flow.STOP, 0),  # sysexit
    ],
)
def test_flow(code: str, flow: Flow, target: int) -> None:
    steps = read(code)
    assert steps.flow.tolist() == [flow]
    assert steps.target.tolist() == [target]


def test_a_frame_with_pushed_arguments() -> None:
    # push ebp; mov esp,ebp; sub $16,esp; push 1; push 2; call .; add $8,esp; leave; ret
    code = "55 89 e5 83 ec 10 6a 01 6a 02 e8 00 10 00 00 83 c4 08 c9 c3"
    assert frame(code) == (32, 32, True)


def test_a_realigned_frame_whose_arguments_ecx_points_to() -> None:
    # lea 4(esp),ecx; and $-16,esp; push -4(ecx); push ebp; mov esp,ebp; push ecx; sub $20,esp;
    # mov -4(ebp),ecx; leave; lea -4(ecx),esp; ret
    code = "8d 4c 24 04 83 e4 f0 ff 71 fc 55 89 e5 51 83 ec 14 8b 4d fc c9 8d 61 fc c3"
    assert frame(code) == (36, 48, True)


def test_a_realigned_frame_whose_arguments_edi_points_to() -> None:
    # push edi; lea 8(esp),edi; and $-8,esp; push -4(edi); push ebp; mov esp,ebp; push edi;
    # sub $8,esp; pop edi...; lea -8(edi),esp; pop edi; ret
    code = "57 8d 7c 24 08 83 e4 f8 ff 77 fc 55 89 e5 57 83 ec 08 83 c4 08 5f 5d 8d 67 f8 5f c3"
    assert frame(code) == (28, 32, True)


def test_the_address_of_the_next_instruction() -> None:
    # call 1f; 1: pop ebx; ret
    assert frame("e8 00 00 00 00 5b c3") == (8, 8, True)


def test_a_probe_loop_is_one_adjustment() -> None:
    # lea -0x4000(%esp),%eax; 1: sub $0x1000,%esp; orl $0,(%esp); cmp %eax,%esp; jne 1b
    code = "8d 84 24 00 c0 ff ff 81 ec 00 10 00 00 83 0c 24 00 39 c4 75 f2"
    assert effects(code) == [(Effect.ADD, -0x4000, 0)]
