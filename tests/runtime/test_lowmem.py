"""Memory of 32-bit kernels."""

from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from stackgauge.errors import InputError, StackgaugeError
from stackgauge.image.opening import Image
from stackgauge.runtime.lowmem import EM_ARM, Lowmem
from stackgauge.runtime.memory import read_core_marks
from tests.runtime.cores import SIZE, compiled_32, core_32


def test_i386(tmp_path: Path) -> None:
    image = compiled_32(tmp_path)
    path = tmp_path / "core"
    path.write_bytes(core_32(image))
    found = read_core_marks(str(path), image, SIZE)
    assert {(one.pid, one.comm, one.state, one.free) for one in found.tasks} == {
        (2, "kworker", "I", SIZE - 4), (10, "process", "S", SIZE - 400),
        (11, "thread of fifte", "D", 8), (3, "gone", "Z", None),
    }  # fmt: skip
    assert [one.task for one in found.overflows] == ["kworker"]


def test_broken_dumps(tmp_path: Path) -> None:
    image = compiled_32(tmp_path)
    whole = core_32(image)
    path = tmp_path / "core"
    chance = random.Random(1)
    for _ in range(100):
        raw = bytearray(whole)
        raw[chance.randrange(84)] = chance.randrange(256)
        path.write_bytes(raw)
        with contextlib.suppress(StackgaugeError):
            read_core_marks(str(path), image, SIZE)
    path.write_bytes(whole[:60])
    with pytest.raises(InputError):
        read_core_marks(str(path), image, SIZE)


# An ARM machine: memory at 0x40000000, swapper_pg_dir at 0xc0004000.
RAM = 0x4000_0000
ENTRIES = {
    0xC00: RAM | 0x402,  # a section of 1 MiB: low memory
    0xF00: RAM + 0x8000 | 1,  # a table of pages
    0xF10: RAM | 0x4_0402,  # a supersection of 16 MiB
}
PAGES = {0: RAM + 0x9000 | 2, 1: RAM + 0x1_0000 | 1, 2: 0}


@pytest.fixture
def arm(tmp_path: Path) -> Lowmem:
    memory = bytearray(0x2_0000)
    for index, entry in ENTRIES.items():
        struct.pack_into("<I", memory, 0x4000 + 4 * index, entry)
    for index, entry in PAGES.items():
        struct.pack_into("<I", memory, 0x8000 + 4 * index, entry)
    memory[0x9000:0x9004] = b"page"
    memory[0x1_1234:0x1_1239] = b"large"
    elf = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 4, 40, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    load = struct.pack("<IIIIIIII", 1, 84, 0, RAM, len(memory), len(memory), 7, 0)
    path = tmp_path / "core"
    path.write_bytes(elf + load + memory)
    symbols = {"_stext": 0xC030_0000, "swapper_pg_dir": 0xC000_4000}
    image = SimpleNamespace(
        path="vmlinux",
        elf=SimpleNamespace(order="<", machine=EM_ARM),
        symbols=SimpleNamespace(find=symbols.get),
    )
    return Lowmem(str(path), cast("Image", image))


@pytest.mark.parametrize(
    ("address", "data"),
    [
        (0xC000_9000, b"page"),
        (0xF000_0000, b"page"),
        (0xF000_1234, b"large"),
        (0xF100_9000, b"page"),
        (0xF000_0FFE, bytes(2) + bytes(2)),
    ],
)
def test_arm_pages(arm: Lowmem, address: int, data: bytes) -> None:
    assert arm.read(address, len(data)) == data


@pytest.mark.parametrize("address", [0xF000_2000, 0xD000_0000, 0xC003_0000, 0])
def test_arm_pages_that_are_not_there(arm: Lowmem, address: int) -> None:
    with pytest.raises(InputError, match="has no memory at"):
        arm.read(address, 4)
