"""What x86 instructions do to the stack, one by one."""

import numpy as np
import pytest

from stackgauge.isa.model import NO_AMOUNT, SAVED, Code, Effect, Flow, Ranges, Steps
from stackgauge.isa.x86 import X86_64

BASE = 0xFFFF_FFFF_8100_0000


def read(code: str) -> Steps:
    raw = np.frombuffer(bytes.fromhex(code), np.uint8)
    start = np.array([BASE], np.uint64)
    return X86_64.read(Code(raw, BASE), Ranges(start, start + np.uint64(len(raw))))


def effects(code: str) -> list[tuple[Effect, int, int]]:
    steps = read(code)
    return [
        (Effect(effect), value, slot)
        for effect, value, slot in zip(
            steps.effect.tolist(), steps.value.tolist(), steps.slot.tolist(), strict=True
        )
        if effect
    ]


@pytest.mark.parametrize(
    ("code", "effect", "value"),
    [
        ("55", Effect.ADD, -8),  # push rbp
        ("41 57", Effect.ADD, -8),  # push r15
        ("6a 00", Effect.ADD, -8),  # push 0
        ("68 00 00 00 00", Effect.ADD, -8),
        ("ff 35 00 00 00 00", Effect.ADD, -8),  # push [rip]
        ("9c", Effect.ADD, -8),  # pushf
        ("0f a0", Effect.ADD, -8),  # push fs
        ("5d", Effect.ADD, 8),
        ("41 5c", Effect.ADD, 8),  # pop r12, whose low bits are rsp's
        ("8f 00", Effect.ADD, 8),  # pop [rax]
        ("9d", Effect.ADD, 8),
        ("48 83 ec 18", Effect.ADD, -0x18),
        ("48 81 ec 80 02 00 00", Effect.ADD, -640),
        ("48 83 c4 18", Effect.ADD, 0x18),
        ("48 83 ec 80", Effect.ADD, 128),  # sub of a negative
        ("48 8d 64 24 f8", Effect.ADD, -8),  # lea -8(%rsp),%rsp
        ("48 8d a4 24 00 ff ff ff", Effect.ADD, -256),
        ("48 83 e4 f0", Effect.ALIGN, 16),
        ("48 81 e4 00 ff ff ff", Effect.ALIGN, 256),
        ("48 31 e4", Effect.LOST, 0),  # xor %rsp,%rsp
        ("48 8b 20", Effect.LOST, 0),  # mov (%rax),%rsp
        ("48 89 c4", Effect.LOST, 0),  # mov %rax,%rsp
        ("48 94", Effect.LOST, 0),  # xchg %rax,%rsp
        ("bc 00 00 00 00", Effect.LOST, 0),  # mov $0,%esp
        ("48 29 c4", Effect.DYNAMIC, NO_AMOUNT),
        ("48 2b 23", Effect.DYNAMIC, NO_AMOUNT),
    ],
)
def test_one_instruction(code: str, effect: Effect, value: int) -> None:
    assert effects(code) == [(effect, value, 0)]


@pytest.mark.parametrize(
    "code",
    [
        "49 83 ec 18",  # sub $0x18,%r12
        "49 89 e4"[:0] + "48 89 04 24",  # mov %rax,(%rsp)
        "48 3b e0",  # cmp %rax,%rsp
        "48 83 fc 10",  # cmp $16,%rsp
        "49 94",  # xchg %rax,%r12
        "4c 8b 20",  # mov (%rax),%r12
        "41 bc 00 00 00 00",  # mov $0,%r12d
        "f3 0f 1e fa",  # endbr64
        "66 90",
    ],
)
def test_instructions_that_only_look_like_it(code: str) -> None:
    assert effects(code) == []


def test_frame_pointer() -> None:
    assert effects("55 48 89 e5 48 8d 65 d8 c9") == [
        (Effect.ADD, -8, 0),
        (Effect.COPY, 0, 0),
        (Effect.RESTORE, -40, 0),
        (Effect.RESTORE, 8, 0),
    ]


def test_a_pop_into_the_stack_pointer_takes_back_what_a_switch_saved() -> None:
    assert effects("5c") == [(Effect.RESTORE, 0, SAVED)]


@pytest.mark.parametrize(
    ("code", "flow", "target"),
    [
        ("e8 0b 00 00 00", Flow.CALL, 0x10),
        ("e9 fb ff ff ff", Flow.JUMP, 0),
        ("eb fe", Flow.JUMP, 0),
        ("74 02", Flow.BRANCH, 4),
        ("0f 84 0a 00 00 00", Flow.BRANCH, 0x10),
        ("2e e8 0a 00 00 00", Flow.CALL, 0x10),  # padded by a prefix
        ("e3 00", Flow.BRANCH, 2),  # jrcxz
        ("ff d0", Flow.CALL, None),
        ("ff e0", Flow.INDIRECT, None),
        ("3e ff e0", Flow.INDIRECT, None),  # notrack jmp
        ("41 ff e3", Flow.INDIRECT, None),
        ("c3", Flow.STOP, None),
        ("f3 c3", Flow.STOP, None),
        ("0f 0b", Flow.TRAP, None),
        ("cc", Flow.TRAP, None),
        ("48 0f 07", Flow.STOP, None),  # sysretq
    ],
)
def test_flow(code: str, flow: Flow, target: int | None) -> None:
    steps = read(code)
    assert steps.flow.tolist() == [flow]
    assert steps.target.tolist() == [0 if target is None else BASE + target]


def test_iret_pops_its_frame() -> None:
    steps = read("48 cf")
    assert (steps.effect.tolist(), steps.value.tolist()) == ([Effect.ADD], [40])


RANDOM_OFFSET = "25 ff 03 00 00 48 83 c0 0f 25 f8 07 00 00 48 29 c4"


def test_the_random_stack_offset_has_a_limit() -> None:
    # and $0x3ff,%eax; add $15,%rax; and $0x7f8,%eax; sub %rax,%rsp
    assert effects(RANDOM_OFFSET) == [(Effect.DYNAMIC, 0x408, 0)]


def test_no_limit_where_a_jump_lands_after_the_mask() -> None:
    # jmp to the subtraction: nothing is known of %rax there.
    jump = "74 0e"
    assert effects(f"{jump} {RANDOM_OFFSET}") == [(Effect.DYNAMIC, NO_AMOUNT, 0)]


def test_a_constant_in_a_register_is_an_amount() -> None:
    # mov $0x2000,%eax; sub %rax,%rsp
    assert effects("b8 00 20 00 00 48 29 c4") == [(Effect.ADD, -0x2000, 0)]


def test_an_unknown_instruction_in_between_ends_what_is_known() -> None:
    # mov $0x2000,%eax; rdtsc; sub %rax,%rsp
    assert effects("b8 00 20 00 00 0f 31 48 29 c4") == [(Effect.DYNAMIC, NO_AMOUNT, 0)]


def test_a_probe_loop_is_one_adjustment() -> None:
    # lea -0x5000(%rsp),%r11; 1: sub $0x1000,%rsp; orq $0,(%rsp); cmp %r11,%rsp; jne 1b
    code = "4c 8d 9c 24 00 b0 ff ff 48 81 ec 00 10 00 00 48 83 0c 24 00 4c 39 dc 75 ef"
    assert effects(code) == [(Effect.ADD, -0x5000, 0)]
    assert read(code).flow.tolist() == [Flow.NEXT, Flow.NEXT]


def test_ranges_far_apart_keep_their_addresses() -> None:
    raw = np.zeros(4096, np.uint8)
    raw[0], raw[4000] = 0x55, 0x5D
    start = np.array([BASE, BASE + 4000], np.uint64)
    steps = X86_64.read(Code(raw, BASE), Ranges(start, start + np.uint64(1)))
    assert steps.start.tolist() == start.tolist()
    assert steps.value.tolist() == [-8, 8]
