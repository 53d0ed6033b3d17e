"""BTF as GCC writes it, and as bytes put together by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.image.btf import Btf, BtfKind, read_btf
from stackgauge.image.elf import Elf, parse_elf
from stackgauge.image.source import map_file

SOURCE = """
struct inner { char tag; void (*run)(struct inner *, long); };
typedef const struct inner *handle;
struct outer {
    int plain, bits : 3, more : 5;
    struct inner in[4];
    union { handle by_handle; unsigned long number; };
};
int use(struct outer *o, handle h, ...) { o->in[1].run(o->in, 0); return o->bits + h->tag; }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Elf:
    folder = tmp_path_factory.mktemp("btf")
    compiler = next(
        filter(shutil.which, ("gcc", *(f"gcc-{version}" for version in range(21, 11, -1)))), None
    )
    if compiler is None:
        pytest.skip("gcc is missing")
    (folder / "types.c").write_text(SOURCE)
    subprocess.run([compiler, "-gbtf", "-c", "types.c"], cwd=folder, check=True)
    return parse_elf(map_file(folder / "types.o"), "types.o")


def loaded(elf: Elf) -> Btf:
    found = read_btf(elf, elf.contents)
    assert found is not None
    return found


def named(btf: Btf, name: str, kind: BtfKind) -> int:
    rows = [row for row in np.flatnonzero(btf.kind == kind).tolist() if btf.text(row) == name]
    assert len(rows) == 1
    return int(rows[0])


def test_members_of_a_structure(made: Elf) -> None:
    btf = loaded(made)
    outer = named(btf, "outer", BtfKind.STRUCT)
    rows = range(int(btf.members.first[outer]), int(btf.members.first[outer + 1]))
    found = [
        (btf.strings[int(btf.members.name[row])], int(btf.members.bits[row]),
         int(btf.members.bitfield[row]))
        for row in rows
    ]  # fmt: skip
    assert found == [
        ("plain", 0, 0), ("bits", 32, 3), ("more", 35, 5), ("in", 64, 0), ("", 576, 0),
    ]  # fmt: skip
    assert int(btf.size[outer]) == 80


def test_an_array_knows_its_elements(made: Elf) -> None:
    btf = loaded(made)
    outer, inner = (named(btf, name, BtfKind.STRUCT) for name in ("outer", "inner"))
    array = int(btf.members.type[int(btf.members.first[outer]) + 3])
    assert (int(btf.kind[array]), int(btf.count[array])) == (BtfKind.ARRAY, 4)
    assert btf.plain[btf.type[array]] == inner


def test_plain_types_are_without_typedefs_and_qualifiers(made: Elf) -> None:
    btf = loaded(made)
    handle = int(btf.plain[named(btf, "handle", BtfKind.TYPEDEF)])
    assert btf.kind[handle] == BtfKind.PTR
    assert btf.plain[btf.type[handle]] == named(btf, "inner", BtfKind.STRUCT)


def test_a_function_has_its_prototype(made: Elf) -> None:
    btf = loaded(made)
    names, prototypes = btf.functions()
    prototype = dict(zip(names, prototypes.tolist(), strict=True))[b"use"]
    assert btf.kind[prototype] == BtfKind.FUNC_PROTO
    first, last = btf.parameters.first[prototype : prototype + 2].tolist()
    kinds = btf.kind[btf.plain[btf.parameters.type[first:last]]].tolist()
    assert kinds == [BtfKind.PTR, BtfKind.PTR, BtfKind.VOID]
    assert btf.text(int(btf.type[prototype])) == "int"


def section(types: bytes, strings: bytes = b"\0", **changes: int) -> bytes:
    header = {
        "magic": 0xEB9F, "version": 1, "flags": 0, "length": 24, "begin": 0,
        "type_size": len(types), "strings": len(types), "string_size": len(strings), **changes,
    }  # fmt: skip
    return struct.pack("<HBBIIIII", *header.values()) + types + strings


class Named:
    """As much of an ELF file as is asked of one."""

    order, where = "<", "made"


def read(raw: bytes) -> Btf | None:
    return read_btf(Named(), lambda _: np.frombuffer(raw, np.uint8))  # type: ignore[arg-type]


INT = struct.pack("<IIII", 0, 1 << 24, 4, 32)
POINTER = struct.pack("<III", 0, 2 << 24, 1)


def test_no_section_no_types() -> None:
    assert read(b"") is None


def test_types_are_numbered_from_one() -> None:
    found = read(section(INT + POINTER))
    assert found is not None
    assert found.kind.tolist() == [BtfKind.VOID, BtfKind.INT, BtfKind.PTR]
    assert found.type.tolist() == [0, 0, 1]


def test_a_ring_of_typedefs_is_void() -> None:
    ring = struct.pack("<III", 0, 8 << 24, 2) + struct.pack("<III", 0, 8 << 24, 1)
    found = read(section(ring))
    assert found is not None
    assert found.plain.tolist() == [0, 0, 0]


def test_types_that_go_on_from_others_are_left_out() -> None:
    assert read(section(struct.pack("<III", 0, 2 << 24, 70_000))) is None


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (section(INT)[:10], "cut off"),
        (section(INT, magic=0x9FEB), "version not known"),
        (section(INT, version=2), "version not known"),
        (section(INT, type_size=1000), "beyond its section"),
        (section(INT, string_size=1000), "beyond its section"),
        (section(INT, begin=2), "beyond its section"),
        (section(INT + b"\0" * 8), "ends inside a type"),
        (section(struct.pack("<III", 0, 4 << 24 | 9, 0)), "ends inside a type"),
        (section(struct.pack("<III", 0, 25 << 24, 0)), "kind not known"),
    ],
)
def test_broken_sections(raw: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(types: bytes) -> None:
    try:
        found = read(section(types))
    except InputError:
        return
    if found is not None:
        assert len(found.plain) == len(found)
