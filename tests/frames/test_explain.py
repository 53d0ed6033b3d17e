"""Every byte of a frame has one owner, and the owners are those of the source."""

from __future__ import annotations

from pathlib import Path

import pytest

import stackgauge
from stackgauge.errors import UsageError
from stackgauge.frames.measure import measure
from stackgauge.image.opening import open_images
from tests.frames.explained import WORK, build, explained, part, whole

LINKED = ("-nostdlib", "-static", "-Wl,--unresolved-symbols=ignore-all", "-Wl,-e,work")
BUILDS = {
    "object": ("-O2", "-g"),
    "DWARF 4": ("-O2", "-gdwarf-4"),
    "compressed": ("-O2", "-g", "-gz"),
    "program": ("-O2", "-g", *LINKED),
    "DWARF 4 program": ("-O2", "-gdwarf-4", *LINKED),
    "small": ("-Os", "-g"),
    "frame pointer": ("-O1", "-g", "-fno-omit-frame-pointer"),
    "not optimized": ("-O0", "-g"),
    "link-time optimization": ("-O2", "-g", "-flto", "-ffat-lto-objects"),
}


@pytest.mark.parametrize("options", BUILDS.values(), ids=BUILDS)
def test_every_byte_is_counted_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    one = explained(build(tmp_path, WORK, *options))
    whole(one)
    assert one.notes == ()
    assert one.totals["return address"] == 8
    assert one.totals["outgoing argument"] in (32, 40)  # and what aligns them is pushed, too
    big = part(one, "big")
    assert (big.bytes, big.type, big.line) == (192, "struct big", 13)
    assert big.file.endswith("source.c")


def test_saved_registers_are_those_that_are_pushed(tmp_path: Path) -> None:
    one = explained(build(tmp_path, WORK, "-O0", "-g"))
    assert [each.name for each in one.parts if each.what == "saved register"] == ["rbp"]
    assert one.parts[1].offset == -16


def test_what_is_not_needed_at_once_shares_its_bytes(tmp_path: Path) -> None:
    one = explained(build(tmp_path, WORK))
    scratch = part(one, "scratch")
    assert scratch.bytes == 300
    assert {*scratch.shares} == {"first", "second"}
    assert not [each for each in one.parts if each.name in ("first", "second")]


def test_inlined_functions_are_named_with_their_call(tmp_path: Path) -> None:
    one = explained(build(tmp_path, WORK))
    [[inlined, size]] = one.inlined
    assert part(one, "scratch").inlined == (inlined,)
    assert (inlined.function, inlined.line, size) == ("helper", 16, 300)
    assert inlined.file.endswith("source.c")


def test_the_frame_without_its_largest_variable(tmp_path: Path) -> None:
    one = explained(build(tmp_path, WORK))
    by_name = {each.name: each for each in one.shrink}
    big, scratch = by_name["big"], by_name["scratch"]
    assert (big.saves, big.frame) == (192, one.size - 192)
    # Without it the bytes of ``first`` are still needed.
    assert scratch.saves == 96
    assert [(each.name, each.offset, each.size, each.type) for each in big.members] == [
        ("count", 0, 8, "long int"),
        ("in", 8, 176, "struct inner[4]"),
        ("hook", 184, 8, "void (*)(struct big *, int)"),
    ]


def test_a_variable_inlined_twice_is_one(tmp_path: Path) -> None:
    source = WORK.replace("r += helper(n);", "r += helper(n) + helper(m);")
    one = explained(build(tmp_path, source))
    scratch = next(each for each in one.shrink if each.name == "scratch")
    assert scratch.saves == 96


def test_the_stack_protector_has_a_slot(tmp_path: Path) -> None:
    without = explained(build(tmp_path, WORK))
    with_it = explained(build(tmp_path, WORK, "-O2", "-g", "-fstack-protector-strong"))
    whole(with_it)
    assert without.totals["canary"] == 0
    assert with_it.totals["canary"] == 8
    # It guards what lies above from overruns of the arrays below.
    canary = next(each for each in with_it.parts if each.what == "canary")
    assert canary.offset > part(with_it, "scratch").offset


def test_without_debug_information(tmp_path: Path) -> None:
    described = explained(build(tmp_path, WORK))
    bare = explained(build(tmp_path, WORK, "-O2"))
    whole(bare)
    assert bare.notes == ("the image has no debug information",)
    for kind in ("return address", "saved register", "outgoing argument"):
        assert bare.totals[kind] == described.totals[kind]
    assert bare.named == 0
    assert bare.shrink == ()


def test_without_any_unwinding_either(tmp_path: Path) -> None:
    described = explained(build(tmp_path, WORK))
    bare = explained(build(tmp_path, WORK, "-O2", "-fno-asynchronous-unwind-tables"))
    whole(bare)
    assert len(bare.notes) == 2
    for kind in ("return address", "saved register", "outgoing argument"):
        assert bare.totals[kind] == described.totals[kind]


def test_split_debug_information_is_named(tmp_path: Path) -> None:
    one = explained(build(tmp_path, WORK, "-O2", "-g", "-gsplit-dwarf"))
    whole(one)
    [note] = one.notes
    assert note.startswith("its debug information lies in ")
    assert note.endswith(".dwo")


def test_a_frame_that_is_aligned_at_run_time(tmp_path: Path) -> None:
    source = (
        "void sink(void *); void work(void) { char a[64] __attribute__((aligned(64))); sink(a); }"
    )
    for options in (("-O2", "-g"), ("-O2", "-g", "-mpreferred-stack-boundary=3")):
        one = explained(build(tmp_path, source, *options))
        whole(one)
        assert one.row.frame is not None
        assert one.row.frame > one.size
        assert part(one, "a").bytes == 64


def test_functions_of_one_name_are_all_explained(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, size in ((first, 100), (second, 300)):
        folder.mkdir()
        build(folder, WORK.replace("long work", "static __attribute__((used)) long work")
              .replace("first[200]", f"first[{size}]"))  # fmt: skip
    [image] = open_images(_joined(tmp_path, first / "built", second / "built"))
    found = stackgauge.explain(measure(image), "work")
    assert len(found) == 2
    for one in found:
        whole(one)
        [again] = stackgauge.explain(measure(image), hex(one.row.address + 4))
        assert again == one


def _joined(folder: Path, *objects: Path) -> Path:
    import subprocess

    out = folder / "joined.o"
    subprocess.run(["ld", "-r", "-o", out, *objects], check=True)
    return out


def test_unknown_functions(tmp_path: Path) -> None:
    [image] = open_images(build(tmp_path, WORK))
    frames = measure(image)
    for wanted, said in (
        ("wrok", "has no function 'wrok'; similar: work"),
        ("", "has no function ''"),
        ("0x123456", "no function has code at 0x123456"),
        ("0xnothing", "no function has code at 0xnothing"),
        ("0x" + "f" * 40, "no function has code at"),
    ):
        with pytest.raises(UsageError, match=said):
            stackgauge.explain(frames, wanted)
