"""Frames of small kernels, from each kind of evidence and from their combination."""

from stackgauge.evidence.table import Evidence
from stackgauge.frames.measure import Frames, Kind, measure
from tests.frames.made_kernel import LOCAL, MadeKernel

PUSH3 = "55 41 54 53"  # push rbp, r12, rbx
POP3 = "5b 41 5c 5d"
DISTRUST = 0  # an ORC register: undefined


def frames(kernel: MadeKernel) -> dict[str, tuple[int, int, Kind, Evidence]]:
    found: Frames = measure(kernel.image())
    return {
        found.functions.name(index): (
            int(found.least[index]),
            int(found.frame[index]),
            Kind(int(found.kind[index])),
            Evidence(int(found.evidence[index])),
        )
        for index in range(len(found.functions))
        if found.functions.parent[index] < 0
    }


def test_without_tables_the_instructions_say_it() -> None:
    kernel = MadeKernel()
    kernel.add("f", f"{PUSH3} 48 83 ec 10 48 83 c4 10 {POP3} c3")
    assert frames(kernel)["f"] == (48, 48, Kind.STATIC, Evidence.INSTRUCTIONS)


def test_orc_settles_what_it_follows_by_the_stack_pointer() -> None:
    kernel = MadeKernel()
    place = kernel.add("f", "50 58 c3")
    kernel.hint(place, 8)
    kernel.hint(place + 1, 400)
    kernel.hint(place + 2, 8)
    kernel.hint(place + 3, 0, DISTRUST, 0)
    assert frames(kernel)["f"] == (400, 400, Kind.STATIC, Evidence.ORC)


def test_where_orc_follows_the_frame_pointer_the_instructions_say_it() -> None:
    # push rbp; mov rsp,rbp; sub $0x400,rsp; leave; ret: ORC says 16 all along.
    kernel = MadeKernel()
    place = kernel.add("do_sys_poll", "55 48 89 e5 48 81 ec 00 04 00 00 c9 c3")
    kernel.hint(place, 8)
    kernel.hint(place + 1, 16)
    kernel.hint(place + 4, 16, 4)
    kernel.hint(place + 12, 8)
    kernel.hint(place + 13, 0, DISTRUST, 0)
    assert frames(kernel)["do_sys_poll"] == (1040, 1040, Kind.STATIC, Evidence.INSTRUCTIONS)


def test_where_orc_says_nothing_of_code_it_is_not_taken_for_nothing() -> None:
    # objtool skips __crash_kexec, and ORC says 0.
    kernel = MadeKernel()
    place = kernel.add("__crash_kexec", f"{PUSH3} {POP3} c3")
    kernel.hint(place, 0, DISTRUST, 0)
    kernel.hint(place + 0x1000, 8)
    assert frames(kernel)["__crash_kexec"] == (32, 32, Kind.STATIC, Evidence.INSTRUCTIONS)


def test_padding_that_orc_leaves_out_does_not_matter() -> None:
    kernel = MadeKernel()
    place = kernel.add("thunk", "ff e0 cc 31 c0 c3")
    kernel.hint(place, 8)
    kernel.hint(place + 2, 0, DISTRUST, 0)
    kernel.hint(place + 3, 8)
    kernel.hint(place + 6, 0, DISTRUST, 0)
    assert frames(kernel)["thunk"] == (8, 8, Kind.STATIC, Evidence.ORC)


def test_saved_registers_of_an_interrupt_count() -> None:
    kernel = MadeKernel()
    place = kernel.add("asm_exc", "50 c3")
    kernel.hint(place, 8, 5, 4)
    kernel.hint(place + 1, 16, 5, 3)
    kernel.hint(place + 2, 0, DISTRUST, 0)
    kernel.hint(place + 0x1000, 8)
    kernel.hint(place + 0x1001, 8)
    kernel.hint(place + 0x1002, 8)
    assert frames(kernel)["asm_exc"][1] == 16 + 168


def test_a_frame_is_that_of_the_function_and_its_cold_piece() -> None:
    kernel = MadeKernel()
    body = kernel.add("f", "85 ff 0f 85 00 00 00 00 c3")
    cold = kernel.add("f.cold", "48 81 ec 80 00 00 00 0f 0b", binding=LOCAL)
    jump = (cold - (body + 8)).to_bytes(4, "little")
    start = body - 0xFFFF_FFFF_8100_0000
    kernel.text = kernel.text[: start + 4] + jump + kernel.text[start + 8 :]
    found = measure(kernel.image())
    assert found.frame.tolist()[0] == 8 + 128
    assert found.pieces.depth.tolist() == [8, 136]


def test_an_alloca_is_dynamic_with_a_least() -> None:
    kernel = MadeKernel()
    kernel.add("f", "55 48 89 e5 48 29 fc c9 c3")
    assert frames(kernel)["f"] == (16, 16, Kind.DYNAMIC, Evidence.INSTRUCTIONS)


def test_a_realigned_frame_is_a_range() -> None:
    kernel = MadeKernel()
    kernel.add("f", "55 48 89 e5 48 83 e4 f0 48 83 ec 20 c9 c3")
    assert frames(kernel)["f"][:3] == (48, 56, Kind.STATIC)


def test_what_cannot_be_followed_is_unknown() -> None:
    kernel = MadeKernel()
    kernel.add("f", "48 8b 20 50 c3")  # mov (%rax),%rsp; push
    assert frames(kernel)["f"][2] == Kind.UNKNOWN


def test_an_interrupts_entry_is_not_taken_for_a_called_function() -> None:
    kernel = MadeKernel()
    kernel.add("entry", "50 58 48 cf")  # ends in iretq
    assert frames(kernel)["entry"][2] == Kind.UNKNOWN


def test_what_jumps_into_such_an_entry_is_none_either() -> None:
    kernel = MadeKernel()
    entry = kernel.add("entry", "50 58 48 cf")
    place = kernel.add("stub", "6a 20 e9 00 00 00 00")
    distance = (entry - (place + 7)).to_bytes(4, "little", signed=True)
    kernel.text = kernel.text[:-4] + distance
    assert frames(kernel)["stub"][2] == Kind.UNKNOWN
