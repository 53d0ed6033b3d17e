"""A kernel of a few tasks, and dumps of the memory of a machine that it runs on."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np

from stackgauge.image.opening import Image, open_images

SOURCE = Path(__file__).with_name("sources") / "kernel.c"
# Where x86-64 kernels are linked to (arch/x86/include/asm/page_64_types.h).
START = 0xFFFF_FFFF_8000_0000
# And 32-bit ones.
LOW = 0xC000_0000
SIZE = 4096
MEMORY = 2 << 20


def compiled(folder: Path, types: str = "-gbtf", last: str = "&init_task.tasks") -> Image:
    """The kernel, with types of that kind; ``last`` is what the list of processes ends with."""
    path = folder / "vmlinux"
    subprocess.run(
        ["gcc", types, "-O1", "-w", "-fno-pic", "-no-pie", "-mcmodel=kernel", "-nostdlib",
         "-static", f"-DLAST={last}", f"-Wl,-Ttext-segment={START + 0x100000:#x}",
         "-Wl,-z,max-page-size=4096", "-Wl,--build-id=0x0123abcd", "-o", path, SOURCE],
        check=True, timeout=60,
    )  # fmt: skip
    [image] = open_images(path)
    return image


def compiled_32(folder: Path) -> Image:
    """The same for i386."""
    path = folder / "vmlinux"
    subprocess.run(
        ["gcc", "-m32", "-gbtf", "-O1", "-w", "-fno-pic", "-no-pie", "-nostdlib", "-static",
         "-DLAST=&init_task.tasks", f"-Wl,-Ttext-segment={LOW + 0x100000:#x}",
         "-Wl,-z,max-page-size=4096", "-Wl,--defsym=_stext=_start", "-o", path, SOURCE],
        check=True, timeout=60,
    )  # fmt: skip
    [image] = open_images(path)
    return image


def core_32(image: Image) -> bytes:
    """A core of class 32 with the memory of that machine."""
    memory = bytearray(MEMORY)
    raw = Path(image.path).read_bytes()
    offset, count = struct.unpack_from("<I", raw, 28)[0], struct.unpack_from("<H", raw, 44)[0]
    for at in range(count):
        kind, begin, address, _, size = struct.unpack_from("<IIIII", raw, offset + 32 * at)
        if kind == 1:
            memory[address - LOW : address - LOW + size] = raw[begin : begin + size]
    elf = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 4, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    load = struct.pack("<IIIIIIII", 1, 256, 0, 0, MEMORY, MEMORY, 7, 0)
    return (elf + load).ljust(256, b"\0") + bytes(memory)


def core(image: Image, info: str | None = "BUILD-ID=0123abcd\n") -> bytes:
    """An ELF core of 2 MiB of memory, VMCOREINFO's note somewhere in it."""
    memory = bytearray(MEMORY)
    raw = Path(image.path).read_bytes()
    offset, count = struct.unpack_from("<Q", raw, 32)[0], struct.unpack_from("<H", raw, 56)[0]
    for at in range(count):
        kind, _, begin, address, _, size = struct.unpack_from("<IIQQQQ", raw, offset + 56 * at)
        if kind == 1:
            memory[address - START : address - START + size] = raw[begin : begin + size]
    tables = image.symbols.find("init_top_pgt")
    assert tables is not None
    place = tables - START
    entries = np.frombuffer(memory, "<u8", 3 * 512, place).reshape(3, 512)
    # Present and writable; the last is a page of 2 MiB.
    entries[0, 511] = place + 0x1000 + 3
    entries[1, 510] = place + 0x2000 + 3
    entries[2, 0] = 0x83
    if info is not None:
        text = (
            f"OSRELEASE=6.1.0-test\n{info}PAGESIZE=4096\nSYMBOL(swapper_pg_dir)={tables:x}\n"
            "NUMBER(phys_base)=0\nKERNELOFFSET=0\nNUMBER(pgtable_l5_enabled)=0\n"
        ).encode()
        note = struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0" + text
        memory[0x8000 : 0x8000 + len(note)] = note
    elf = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    # drgn takes a dump in which no segment has a physical address for one that has none at all.
    some = MEMORY - SIZE
    load = struct.pack("<IIQQQQQQ", 1, 7, 2 * SIZE, 0, SIZE, some, some, 0)
    return (elf + load).ljust(SIZE, b"\0") + bytes(memory)
