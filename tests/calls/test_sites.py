"""Sites of hand-written x86-64 code: their kinds, their depths and what they lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.calls.graph import Graph
from stackgauge.calls.linking import NOWHERE
from stackgauge.calls.model import Kind, Reason
from stackgauge.kernel.thunks import Role
from tests.calls.programs import assembled, graph_of, pairs

RETURNS = "FUNCTION g\n ret\n END g\n"


def sites(graph: Graph, caller: str) -> list[tuple[Kind, int, str]]:
    """The kind, the depth and the callee of each site of a function; no name where none is."""
    found = []
    columns = graph.sites
    for row in range(len(columns)):
        if graph.name(int(columns.function[row])) == caller:
            assert columns.least[row] == columns.most[row]
            callee = int(graph.callee[row])
            name = "" if callee == NOWHERE else graph.name(callee)
            found.append((Kind(int(columns.kind[row])), int(columns.least[row]), name))
    return found


def test_calls_and_jumps_of_every_length(tmp_path: Path) -> None:
    code = """
    FUNCTION f
     sub $24, %rsp
     call g
     add $24, %rsp
     test %edi, %edi
     je g
     .byte 0x0f, 0x85
     .long g - (. + 4)
     jmp g
    END f
    """
    graph = graph_of(assembled(tmp_path, RETURNS + code))
    tail = (Kind.TAIL, 8, "g")
    assert sites(graph, "f") == [(Kind.CALL, 32, "g"), tail, tail, tail]
    assert graph.edges.reason.tolist() == [Reason.DIRECT, Reason.TAIL, Reason.TAIL, Reason.TAIL]
    assert graph.closed.all()


def test_what_stays_in_its_function_is_no_site(tmp_path: Path) -> None:
    code = """
    FUNCTION f
    1: dec %edi
     jne 1b
     call 2f
    2: pop %rax
     jmp 3f
     nop
    3: ret
    END f
    """
    assert not len(graph_of(assembled(tmp_path, RETURNS + code)).sites)


def test_recursion_is_a_call(tmp_path: Path) -> None:
    graph = graph_of(
        assembled(tmp_path, "FUNCTION f\n push %rbx\n call f\n pop %rbx\n ret\n END f")
    )
    assert sites(graph, "f") == [(Kind.CALL, 16, "f")]


def test_a_cold_piece_is_its_parents(tmp_path: Path) -> None:
    code = """
    FUNCTION f
     test %edi, %edi
     jne f.cold
     ret
    END f
    .type f.cold, @function
    f.cold: push %rbx
     call g
     pop %rbx
     ret
    END f.cold
    FUNCTION h
     jmp f.cold
    END h
    """
    graph = graph_of(assembled(tmp_path, RETURNS + code))
    assert sites(graph, "f") == [(Kind.CALL, 16, "g")]
    assert sites(graph, "h") == [(Kind.TAIL, 8, "f")]


def test_pointers_in_registers_and_memory(tmp_path: Path) -> None:
    code = """
    FUNCTION f
     push %rbx
     call *%rax
     call *8(%rdi)
     pop %rbx
     jmp *(%rdi)
    END f
    """
    graph = graph_of(assembled(tmp_path, code))
    call = (Kind.INDIRECT_CALL, 16, "")
    assert sites(graph, "f") == [call, call, (Kind.INDIRECT_TAIL, 8, "")]
    assert not graph.closed.any()
    assert not len(graph.edges)


def test_thunks(tmp_path: Path) -> None:
    # As in arch/x86/lib/retpoline.S.
    code = """
    FUNCTION __x86_indirect_thunk_rax
     call 1f
    2: pause
     jmp 2b
    1: mov %rax, (%rsp)
     jmp __x86_return_thunk
    END __x86_indirect_thunk_rax
    .globl __x86_return_thunk
    .balign 16, 0xcc
    __x86_return_thunk: ret
     int3
    FUNCTION f
     call __fentry__
     push %rbx
     call __x86_indirect_thunk_rax
     pop %rbx
     test %edi, %edi
     jne __x86_return_thunk
     jmp __x86_indirect_thunk_rax
    END f
    FUNCTION __fentry__
     ret
    END __fentry__
    FUNCTION tiny
     jmp __x86_return_thunk
    END tiny
    """
    graph = graph_of(assembled(tmp_path, code))
    thunk = "__x86_indirect_thunk_rax"
    called, jumped = (Kind.INDIRECT_CALL, 16, thunk), (Kind.INDIRECT_TAIL, 8, thunk)
    assert sites(graph, "f") == [called, jumped]
    assert sites(graph, thunk) == []
    # The thunk runs, but is not all that is called.
    assert pairs(graph) == {("f", thunk)}
    assert not graph.closed.any()
    # A return thunk may push what a function that uses next to nothing does not count.
    [tiny] = graph.find("tiny")
    assert (graph.least[tiny], graph.most[tiny]) == (8, 16)
    [row] = graph.find("f")
    assert (graph.least[row], graph.most[row]) == (16, 16)


def test_a_trampolines_own_jump_is_as_open_as_its_callers(tmp_path: Path) -> None:
    code = """
    FUNCTION __SCT__x
     jmp g
    END __SCT__x
    FUNCTION f
     push %rbx
     call __SCT__x
     pop %rbx
     jmp __SCT__x
    END f
    """
    graph = graph_of(assembled(tmp_path, RETURNS + code))
    called, jumped = (Kind.INDIRECT_CALL, 16, "__SCT__x"), (Kind.INDIRECT_TAIL, 8, "__SCT__x")
    assert sites(graph, "f") == [called, jumped]
    assert sites(graph, "__SCT__x") == [(Kind.INDIRECT_TAIL, 8, "g")]
    assert (graph.role == Role.STATIC_CALL).all()
    assert not len(graph.edges)


ENDS = {
    "push %rbx": [(Kind.TAIL, 16, "next")],
    "je 1b": [(Kind.TAIL, 8, "next")],
    "jmp 3f\n ret\n 3: nopl 8(%rax)\n mov %eax, %ebx": [(Kind.TAIL, 8, "next")],
    "ret": [],
    "jmp 1b": [],
    "call g": [(Kind.CALL, 8, "g")],
    "ud2": [],
}


@pytest.mark.parametrize("last", ENDS)
def test_control_that_runs_into_the_next_function(tmp_path: Path, last: str) -> None:
    code = f"""
    FUNCTION f
    1: mov %eax, %ebx
     {last}
    END f
    FUNCTION next
     ret
    END next
    """
    graph = graph_of(assembled(tmp_path, RETURNS + code))
    assert sites(graph, "f") == ENDS[last]


def test_a_target_inside_a_function_is_that_function(tmp_path: Path) -> None:
    code = "FUNCTION f\n push %rbx\n 7: pop %rbx\n ret\n END f\n FUNCTION h\n call 7b\n ret\n END h"
    assert pairs(graph_of(assembled(tmp_path, code))) == {("h", "f")}


def test_a_target_in_no_function_stays_open(tmp_path: Path) -> None:
    code = "FUNCTION f\n call data\n ret\n END f\n .data\n data: .quad 0"
    graph = graph_of(assembled(tmp_path, code))
    assert sites(graph, "f") == [(Kind.CALL, 8, "")]
    assert graph.sites.target[0] != 0
    assert not graph.closed.any()


def test_a_jump_to_the_functions_own_end_is_never_taken(tmp_path: Path) -> None:
    code = "FUNCTION f\n test %edi, %edi\n je 1f\n ret\n 1:\n END f\n FUNCTION h\n ret\n END h"
    assert not len(graph_of(assembled(tmp_path, code)).sites)


def test_alternatives(tmp_path: Path) -> None:
    code = """
    FUNCTION f
     sub $40, %rsp
    1: call g
     add $40, %rsp
    2: nop
     nop
     nop
     nop
     nop
     ret
    END f
    FUNCTION other
     ret
    END other
    .section .altinstructions, "a"
     .long 1b - ., 3f - .
     .word 1, 0
     .byte 5, 5
     .long 2b - ., 4f - .
     .word 1, 0
     .byte 5, 5
    .section .altinstr_replacement, "ax"
    3: call other
    4: jmp other
    """
    graph = graph_of(assembled(tmp_path, RETURNS + code))
    assert sites(graph, "f") == [
        (Kind.CALL, 48, "g"),
        (Kind.CALL, 48, "other"),
        (Kind.TAIL, 8, "other"),
    ]
    # They run where what they replace stands.
    address, end = graph.sites.address.tolist(), graph.sites.end.tolist()
    assert address[0] == address[1]
    assert end[0] == end[1] == address[0] + 5


def test_a_jump_table_is_its_functions_own(tmp_path: Path) -> None:
    code = """
    FUNCTION f
     push %rbx
     jmp *table(,%rdi,8)
    1: call g
     pop %rbx
     ret
    2: pop %rbx
     ret
    END f
    .data
    table: .quad 1b, 2b
    """
    assert sites(graph_of(assembled(tmp_path, RETURNS + code)), "f") == [(Kind.CALL, 16, "g")]
