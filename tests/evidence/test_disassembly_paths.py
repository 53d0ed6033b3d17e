"""The depth of the stack along the paths of small functions, written as objdump prints them."""

from __future__ import annotations

import pytest

from tests.evidence.objdump_text import dynamic, frame


def test_an_epilogue_is_not_added_to_the_prologue() -> None:
    assert frame("sub    $0x280,%rsp", "call   5000 <g>", "add    $0x280,%rsp", "ret") == 648


def test_the_return_address_and_pushes_count() -> None:
    assert frame("push   %rbx", "push   $0x7", "pushf", "popf", "pop    %rax", "pop    %rbx") == 32


def test_after_a_return_the_depth_is_that_of_the_branch() -> None:
    assert (
        frame(
            "push   %rbx",
            "sub    $0x20,%rsp",
            "je     {7} <f+0x1c>",
            "add    $0x20,%rsp",
            "pop    %rbx",
            "ret",
            "nop",
            "push   %rax",  # 7: at the depth of the branch
            "call   5000 <g>",
            "pop    %rax",
            "jmp    {3} <f+0xc>",
        )
        == 56
    )


def test_what_follows_a_call_that_does_not_return_is_not_deeper_for_it() -> None:
    assert (
        frame(
            "test   %edi,%edi",
            "je     {5} <f+0x14>",
            "sub    $0x100,%rsp",
            "call   5000 <panic>",
            "nop",
            "sub    $0x80,%rsp",  # 5: only the branch comes here
            "add    $0x80,%rsp",
            "ret",
        )
        == 264
    )


def test_a_trap_that_is_resumed_keeps_the_depth() -> None:
    assert frame("push   %rbx", "ud2", "push   %rbp", "pop    %rbp", "pop    %rbx", "ret") == 24


def test_a_case_of_a_jump_table_is_as_deep_as_its_return_tells() -> None:
    case = ("push   $0x1", "call   5000 <g>", "add    $0x8,%rsp", "add    $0x68,%rsp", "ret")
    assert frame("sub    $0x68,%rsp", "jmp    *0x0(,%rax,8)", *case) == 8 + 0x68 + 8


def test_a_case_that_does_not_return_is_as_deep_as_the_jump() -> None:
    case = ("push   $0x1", "call   5000 <panic>", "nop")
    assert frame("sub    $0x68,%rsp", "jmp    *0x0(,%rax,8)", *case) == 8 + 0x68 + 8


def test_a_function_without_a_symbol_is_not_added_to_the_one_before() -> None:
    one = ("sub    $0x68,%rsp", "add    $0x68,%rsp", "ret")
    other = ("sub    $0x88,%rsp", "je     {8} <f+0x20>", "nop", "add    $0x88,%rsp", "ret")
    assert frame(*one, "nop", *other) == 8 + 0x88


def test_the_frame_pointer_gives_the_depth_back() -> None:
    assert (
        frame(
            "push   %rbp",
            "mov    %rsp,%rbp",
            "sub    $0x100,%rsp",
            "je     {6} <f+0x18>",
            "leave",
            "ret",
            "push   %rax",
            "call   5000 <g>",
            "leave",
            "ret",
        )
        == 8 + 8 + 0x100 + 8
    )


def test_alignment_takes_as_much_as_it_may() -> None:
    # From a multiple of 8 to one of 64: up to 56 bytes.
    aligned = ("push   %rbp", "mov    %rsp,%rbp", "and    $0xffffffffffffffc0,%rsp")
    assert frame(*aligned, "sub    $0x40,%rsp", "leave", "ret") == 16 + 56 + 0x40


def test_a_negative_number_that_is_printed_large() -> None:
    assert frame("add    $0xffffffffffffff80,%rsp", "sub    $0xffffffffffffff80,%rsp") == 136


def test_a_loop_that_touches_page_by_page_is_one_adjustment() -> None:
    assert (
        frame(
            "lea    -0x5000(%rsp),%r11",
            "sub    $0x1000,%rsp",
            "orq    $0x0,(%rsp)",
            "cmp    %r11,%rsp",
            "jne    {1} <f+0x4>",
            "sub    $0x10,%rsp",
            "add    $0x5010,%rsp",
            "ret",
        )
        == 8 + 0x5010
    )


@pytest.mark.parametrize(
    "instructions",
    [
        ("sub    %rax,%rsp",),
        ("mov    %rdi,%rsp",),
        ("mov    %gs:0x1234,%rsp",),
        ("pop    %rsp",),
        ("xchg   %rax,%rsp",),
        ("push   %rax", "dec    %ecx", "jne    {0} <f>", "mov    %rbp,%rsp"),
        ("push   %rax", "dec    %ecx", "jne    {0} <f>", "add    $0x80,%rsp"),
        ("enter  $0x10,$0x0", "sub    %rax,%rsp", "leave"),
        # A copy that was computed with is none any more.
        ("mov    %rsp,%r12", "sub    %rax,%r12", "mov    %r12,%rsp"),
        ("mov    %rsp,%rcx", "add    $0xffffffffffffffc0,%rcx", "mov    %rcx,%rsp"),
        ("mov    %rsp,%rcx", "lea    (%rax,%rcx,1),%rcx", "nop", "mov    %rcx,%rsp"),
        # Numbers that are not what comes to the subtraction.
        ("mov    $0x10,%eax", "imul   $0x10,%rax,%rax", "sub    %rax,%rsp"),
        ("mov    $0x10,%eax", "ret", "sub    %rax,%rsp"),
        ("je     {2} <f+0x8>", "mov    $0x10,%eax", "sub    %rax,%rsp"),
    ],
)
def test_what_the_text_does_not_tell_is_dynamic(instructions: tuple[str, ...]) -> None:
    assert dynamic(*instructions, "ret")[1]


@pytest.mark.parametrize(
    "instructions",
    [
        ("mov    %rsp,%rbx", "sub    %rax,%rcx", "mov    %rbx,%rsp"),
        ("mov    %rsp,%rbx", "cmp    %rax,%rbx", "mov    %rbx,%rsp"),
        ("mov    %rsp,%rbx", "add    %rbx,%rax", "mov    %rbx,%rsp"),
        # Kept in memory while the register was something else.
        ("mov    %rsp,%r10", "add    %rax,%r10", "mov    -0x8(%rbp),%r10", "mov    %r10,%rsp"),
        ("mov    %rsp,%rbx", "xor    %ebx,%ebx", "pop    %rbx", "mov    %rbx,%rsp"),
    ],
)
def test_a_copy_that_is_one_still(instructions: tuple[str, ...]) -> None:
    assert dynamic("push   %rbx", *instructions, "pop    %rbx", "ret") == (16, False)


def test_a_loop_that_takes_stack_for_a_call() -> None:
    loop = ("sub\tsp, sp, #0x40", "bl\t5000 <g>", "cmp\tw0, #0x0", "b.gt\t{3} <f+0xc>")
    begin = ("stp\tx29, x30, [sp, #-32]!", "mov\tx29, sp", "b\t{5} <f+0x14>")
    end = ("mov\tsp, x29", "ldp\tx29, x30, [sp], #32", "ret")
    assert dynamic(*begin, *loop, *end, arch="arm64") == (96, True)


def test_a_copy_that_was_aligned_elsewhere() -> None:
    code = ("sub\tx9, sp, #0x1, lsl #12", "sub\tx9, x9, #0xfe0", "mov\tx29, sp")
    aligned = "and\tsp, x9, #0xfffffffffffff000"
    assert dynamic(*code, aligned, "mov\tsp, x29", "ret", arch="arm64")[1]


def test_a_register_that_was_loaded_with_a_number_is_not_dynamic() -> None:
    assert frame("mov    $0x12340,%eax", "sub    %rax,%rsp", "add    $0x12340,%rsp", "ret") == (
        8 + 0x12340
    )


@pytest.mark.parametrize("jump", ["jmp    {2} <f+0x8>", "jmp    {1} <f+0x4>"])
def test_a_jump_that_is_not_linked_yet_ends_the_flow(jump: str) -> None:
    # In an object file a tail call seems to go to the next instruction, or to itself.
    assert frame("sub    $0x68,%rsp", jump, "sub    $0x80,%rsp", "add    $0x80,%rsp", "ret") == (
        8 + 0x80
    )


def test_a_call_inside_the_function_pushes_the_return_address() -> None:
    # How i386 code learns where it is.
    assert frame("call   {1} <f+0x4>", "pop    %ebx", "ret", arch="i386") == 8
    # The same, not linked yet: a call of anything.
    assert frame("push   $0x1", "call   {2} <f+0x8>", "add    $0x4,%esp", "ret", arch="i386") == 8
    assert frame("call   {1} <f+0x4>", "push   %ebx", "pop    %ebx", "ret", arch="i386") == 8


def test_the_word_is_that_of_the_file() -> None:
    assert frame("push   %ebp", "pop    %ebp", "ret", arch="i386") == 8


def test_a_delay_slot_is_executed_before_its_branch_takes_effect() -> None:
    assert (
        frame(
            "beqz\ta0,{4} <f+0x10>",
            "addiu\tsp,sp,-32",
            "jr\tra",
            "addiu\tsp,sp,32",
            "addiu\tsp,sp,-64",
            "addiu\tsp,sp,64",
            "jr\tra",
            "addiu\tsp,sp,32",
            arch="mips",
        )
        == 96
    )


def test_a_likely_branchs_slot_is_executed_only_where_it_is_taken() -> None:
    assert (
        frame(
            "beqzl\ta0,{4} <f+0x10>",
            "addiu\tsp,sp,-32",
            "jr\tra",
            "nop",
            "addiu\tsp,sp,-64",
            "addiu\tsp,sp,64",
            "jr\tra",
            "addiu\tsp,sp,32",
            arch="mips",
        )
        == 96
    )


def test_the_profilers_own_bytes_are_not_the_functions() -> None:
    call = ("move\tat,ra", "jal\t5000 <_mcount>", "addiu\tsp,sp,-8")
    epilogue = ("jr\tra", "addiu\tsp,sp,32")
    assert frame("addiu\tsp,sp,-32", *call, *epilogue, arch="mips") == 32
    push = "push\t{{lr}}\t\t@ (str lr, [sp, #-4]!)"
    trace = (push, "bl\t5000 <__gnu_mcount_nc>")
    assert frame("push\t{{r4, lr}}", *trace, "pop\t{{r4, pc}}", arch="arm") == 8


def test_arms_conditional_return_leaves_the_other_path_as_it_was() -> None:
    assert (
        frame(
            "push\t{{r4, r5, r6, lr}}",
            "popeq\t{{r4, r5, r6, pc}}",
            "vpush\t{{d8-d11}}",
            "str\tr0, [sp, #-8]!",
            "add\tsp, sp, #8",
            "vpop\t{{d8-d11}}",
            "pop\t{{r4, r5, r6, pc}}",
            arch="arm",
        )
        == 16 + 32 + 8
    )


def test_a_number_from_a_literal_pool() -> None:
    assert (
        frame(
            "ldr\tip, [pc, #8]\t@ {5} <f+0x14>",
            "add\tsp, sp, ip",
            "ldr\tip, [pc, #0]\t@ {5} <f+0x14>",
            "sub\tsp, sp, ip",
            "bx\tlr",
            ".word\t0xffffe000",
            arch="arm",
        )
        == 0x2000
    )


def test_numbers_with_a_shift() -> None:
    pair = "sub\tsp, sp, #0x11, lsl #12", "add\tsp, sp, #0x11, lsl #12"
    assert frame(*pair, "ret", arch="arm64") == 0x11000
    loaded = "mov\tx12, #0x2340", "movk\tx12, #0x1, lsl #16"
    assert frame(
        "mov\tx29, sp", *loaded, "sub\tsp, sp, x12", "mov\tsp, x29", "ret", arch="arm64"
    ) == (0x12340)


def test_a_return_address_is_signed_at_the_entrys_depth() -> None:
    # After a call that does not return lies a function without a symbol.
    one = ("sub\tsp, sp, #0x80", "bl\t5000 <__stack_chk_fail>")
    other = ("paciasp", "sub\tsp, sp, #0x60", "add\tsp, sp, #0x60", "autiasp", "ret")
    assert frame(*one, *other, arch="arm64") == 0x80


def test_a_copy_that_lies_deeper_than_the_stack_pointer() -> None:
    lower = ("mov\tx29, sp", "sub\tx9, sp, #0x180", "and\tsp, x9, #0xffffffffffffffc0")
    assert frame(*lower, "mov\tsp, x29", "ret", arch="arm64") == 0x180 + 48
