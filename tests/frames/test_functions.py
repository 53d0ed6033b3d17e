"""Which code is whose."""

import numpy as np

from stackgauge.evidence.table import Evidence, make_rows
from stackgauge.frames.functions import Functions, find_functions, origin
from stackgauge.isa.x86 import X86_64
from tests.frames.made_kernel import BASE, LOCAL, NOTYPE, WEAK, MadeKernel


def functions(kernel: MadeKernel, begins: list[int] | None = None) -> Functions:
    """The functions, with rows of one byte at the addresses where evidence begins."""
    image, start = kernel.image(), np.array(begins or [], np.uint64)
    depth = np.full(len(start), 8, np.int32)
    table = make_rows(start, start + np.uint64(1), depth, Evidence.CFI)
    return find_functions(image.elf, image.symbols, X86_64, table)


def spans(found: Functions) -> list[tuple[str, int, int]]:
    return [
        (found.name(index), int(found.start[index]) - BASE, int(found.end[index]) - BASE)
        for index in range(len(found))
    ]


def test_functions_are_as_long_as_their_symbols_say() -> None:
    kernel = MadeKernel()
    kernel.add("one", "55 5d c3")
    kernel.add("two", "c3")
    assert spans(functions(kernel)) == [("one", 0, 3), ("two", 16, 17)]


def test_one_without_a_size_reaches_to_the_next_less_the_padding() -> None:
    kernel = MadeKernel()
    kernel.add("one", "55 5d c3", size=0)
    kernel.add("two", "c3", size=0)
    assert spans(functions(kernel)) == [("one", 0, 3), ("two", 16, 17)]


def test_a_mark_between_functions_is_none() -> None:
    kernel = MadeKernel()
    kernel.add("one", "c3")
    kernel.add("__sched_text_end", "", kind=NOTYPE, size=0)
    kernel.add("__lock_text_start", "cc cc", size=0)
    kernel.add("two", "c3")
    assert [name for name, _, _ in spans(functions(kernel))] == ["one", "two"]


def test_aliases_are_one_function_named_by_its_global_symbol() -> None:
    kernel = MadeKernel()
    place = kernel.add("__se_sys_poll", "c3", binding=LOCAL)
    kernel.alias("__weak_poll", place, 1, binding=WEAK)
    kernel.alias("sys_poll", place, 1)
    found = functions(kernel)
    assert spans(found) == [("sys_poll", 0, 1)]
    assert found.aliases(np.array([0])) == [("__se_sys_poll", "__weak_poll")]


def test_a_cold_piece_belongs_to_its_parent() -> None:
    kernel = MadeKernel()
    kernel.add("probe", "c3")
    kernel.add("probe.cold", "c3", binding=LOCAL)
    kernel.add("probe.constprop.0", "c3", binding=LOCAL)
    kernel.add("probe.constprop.0.cold", "c3", binding=LOCAL)
    found = functions(kernel)
    assert found.parent.tolist() == [-1, 0, -1, 2]


def test_of_parents_of_one_name_the_one_of_the_same_file_is_meant() -> None:
    kernel = MadeKernel()
    kernel.file("a.c")
    kernel.add("show", "c3", binding=LOCAL)
    kernel.file("b.c")
    kernel.add("show", "c3", binding=LOCAL)
    kernel.add("show.cold", "c3", binding=LOCAL)
    assert functions(kernel).parent.tolist() == [-1, -1, 1]


def test_a_cold_piece_of_an_unclear_parent_has_none() -> None:
    kernel = MadeKernel()
    kernel.add("show", "c3", binding=LOCAL)
    kernel.add("show", "c3", binding=LOCAL)
    kernel.add("show.cold", "c3", binding=LOCAL)
    assert functions(kernel).parent.tolist() == [-1, -1, -1]


def test_code_that_no_symbol_covers_is_a_function_of_its_own() -> None:
    kernel = MadeKernel()
    kernel.add("one", "55 5d c3")
    kernel.add(None, "55 55 55 c3")
    kernel.add("two", "c3")
    assert spans(functions(kernel)) == [("one", 0, 3), ("", 16, 20), ("two", 32, 33)]


def test_two_such_bodies_are_told_apart_by_where_evidence_begins() -> None:
    kernel = MadeKernel()
    kernel.add("one", "c3")
    kernel.add(None, "55 c3")
    second = kernel.add(None, "55 55 c3")
    found = functions(kernel, [second])
    assert spans(found) == [("one", 0, 1), ("", 16, 18), ("", 32, 35)]


def test_labels_name_code_between_functions() -> None:
    kernel = MadeKernel()
    kernel.add("one", "c3")
    kernel.add("label", "55 c3", kind=NOTYPE, size=0)
    kernel.add("two", "c3")
    assert ("label", 16, 18) in spans(functions(kernel))


def test_room_for_patches_in_front_of_functions_is_no_function() -> None:
    kernel = MadeKernel()
    kernel.add("__pfx_one", "90" * 16)
    kernel.add("one", "c3")
    assert spans(functions(kernel)) == [("one", 16, 17)]


def test_a_symbol_that_reaches_into_the_next_is_cut() -> None:
    kernel = MadeKernel()
    kernel.add("outer", "55 c3", size=64)
    kernel.add("inner", "c3")
    assert spans(functions(kernel)) == [("outer", 0, 16), ("inner", 16, 17)]


def test_clones_name_their_origin() -> None:
    assert origin("mas_wr_spanning_store.isra.0") == "mas_wr_spanning_store"
    assert origin("f.constprop.0.cold") == "f"
    assert origin("do_softirq.part.0") == "do_softirq"
    assert origin("plain") == ""
    assert origin("__SCT__tp_func.x") == ""
