"""Entry points: tables of system calls and initcalls, and what static structures name."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from stackgauge.image.elf import parse_elf
from stackgauge.image.opening import Image
from stackgauge.image.symbols import elf_symbols
from stackgauge.kernel.entries import Entries, EntryKind, Found, entry_points
from stackgauge.kernel.stacks import On
from tests.image.tiny_elf import ALLOC, EXEC, RELA, Section, write_elf, write_symbols
from tests.kernel.images import image

TEXT, DATA = 0x10_0000, 0x20_0000
X86_64, AARCH64, ARM = 62, 183, 40
FUNCTIONS = ("__x64_sys_read", "__x64_sys_write", "__x64_sys_old", "first_init", "worker", "tick")
AT = {name: TEXT + 16 * at for at, name in enumerate(FUNCTIONS)}


def kernel(data: bytes, marks: dict[str, int], machine: int = X86_64) -> Image:
    """Functions in one section, data in another, and symbols for both."""
    rows = [(name, place, 1, 0x12) for name, place in AT.items()]
    rows += [(name, DATA + place, 2, 0x11) for name, place in marks.items()]
    sections = [
        Section(".text", bytes(256), TEXT, flags=ALLOC | EXEC),
        Section(".data", data, DATA),
    ]
    return opened(write_elf([*sections, *write_symbols(rows, 4)], machine=machine))


def opened(data: bytes) -> Image:
    elf = parse_elf(np.frombuffer(data, np.uint8), "image")
    return Image("image", "", "image", "vmlinux", elf, elf_symbols(elf))


def found(made: Image) -> Entries:
    return entry_points(made, made.elf.contents)


def named(entries: Entries, kind: EntryKind, on: On = On.TASK) -> dict[str, Found]:
    rows = zip(entries.names, entries.kind, entries.stack, entries.found, strict=True)
    return {name: Found(how) for name, one, stack, how in rows if one == kind and stack == on}


def test_system_calls_come_from_the_table_and_then_by_name() -> None:
    calls = [AT["__x64_sys_read"], AT["__x64_sys_write"], AT["__x64_sys_read"]]
    made = kernel(struct.pack("<4Q", *calls, 0x1234), {"sys_call_table": 0})
    assert named(found(made), EntryKind.SYSCALL) == {
        "__x64_sys_read": Found.TABLE,
        "__x64_sys_write": Found.TABLE,
        "__x64_sys_old": Found.NAME,
    }
    entries = found(made)
    assert entries.entry_bytes[0] == 168
    assert entries.routes[int(entries.route[0])].functions == ("do_syscall_64", "x64_sys_call")
    assert entries.address.tolist()[:2] == calls[:2]


def test_a_table_that_leads_nowhere_is_none() -> None:
    made = kernel(struct.pack("<2Q", 7, 9), {"sys_call_table": 0})
    assert set(named(found(made), EntryKind.SYSCALL).values()) == {Found.NAME}
    made = kernel(b"", {"sys_call_table": 0x1000})
    assert set(named(found(made), EntryKind.SYSCALL).values()) == {Found.NAME}


def test_a_table_whose_words_are_relocations() -> None:
    rows = [(name, place, 1, 0x12) for name, place in AT.items()]
    rows += [("sys_call_table", DATA, 2, 0x11), ("end", DATA + 16, 2, 0x11)]
    places = [(DATA + 8, AT["worker"]), (DATA, AT["tick"])]
    table = b"".join(struct.pack("<3Q", at, 1027, to) for at, to in places)
    sections = [
        Section(".text", bytes(256), TEXT, flags=ALLOC | EXEC),
        Section(".data", bytes(16), DATA),
        Section(".rela.dyn", table, 0x30_0000, type=RELA),
    ]
    made = opened(write_elf([*sections, *write_symbols(rows, 5)], machine=AARCH64))
    assert list(named(found(made), EntryKind.SYSCALL)) == ["tick", "worker"]


@pytest.mark.parametrize("relative", [True, False])
def test_initcalls_are_distances_or_addresses(relative: bool) -> None:
    chosen = [AT["first_init"], AT["tick"], AT["worker"]]
    if relative:
        raw = b"".join(struct.pack("<i", to - (DATA + 4 * at)) for at, to in enumerate(chosen))
    else:
        raw = struct.pack("<3Q", *chosen)
    made = kernel(raw, {"__initcall_start": 0, "__initcall_end": len(raw)})
    assert list(named(found(made), EntryKind.INITCALL)) == ["first_init", "tick", "worker"]


def work(at: int, function: int, data: int) -> bytes:
    return struct.pack("<4Q", data, DATA + at + 8, DATA + at + 8, function)


@pytest.mark.parametrize("unqueued", [0xF_FFFF_FFE0, 0xF_FFFF_FFE0_0000 >> 4, 0x7FFF_FFFF << 21])
def test_static_work_and_timers(unqueued: int) -> None:
    timer = struct.pack("<4Q", 0xDEAD_0000_0000_0300, 0, 0, AT["tick"])
    raw = work(0, AT["worker"], unqueued) + timer
    entries = found(kernel(raw, {}))
    assert named(entries, EntryKind.WORK) == {"worker": Found.DATA}
    assert named(entries, EntryKind.TIMER) == {"tick": Found.DATA}


def test_a_list_with_a_function_behind_it_is_no_work() -> None:
    for data in (0, 5, TEXT, (1 << 64) - 1, 0x5555_5555_5555_5555):
        assert not named(found(kernel(work(0, AT["worker"], data), {})), EntryKind.WORK)
    beside = struct.pack("<4Q", 0xF_FFFF_FFE0, DATA + 8, DATA + 16, AT["worker"])
    assert not named(found(kernel(beside, {})), EntryKind.WORK)


def test_arm64_tells_its_registers_by_the_vector() -> None:
    for size, pushed in ((352, 352), (0, 336)):
        code = bytearray(0x400)
        if size:
            code[0x200:0x204] = struct.pack("<I", 0xD100_03FF | size << 10)
        rows = [("vectors", TEXT, 1, 0x12), ("el1h_64_irq_handler", TEXT + 0x300, 1, 0x12)]
        text = Section(".text", bytes(code), TEXT, flags=ALLOC | EXEC)
        made = opened(write_elf([text, *write_symbols(rows, 3)], machine=AARCH64))
        assert found(made).entry_bytes.tolist() == [pushed]


def test_an_image_without_symbols_has_none() -> None:
    made = image(Section(".text", bytes(64), TEXT, flags=ALLOC | EXEC))
    assert len(found(made)) == 0
    assert found(made).address.dtype == "u8"


def test_interrupts_begin_on_their_own_stack_where_assembly_goes_there() -> None:
    names = {"generic_handle_arch_irq": TEXT, "__softirqentry": TEXT + 16, "irq_stack_ptr": DATA}
    for own in (True, False):
        rows = [(name, at, 1, 0x12) for name, at in names.items() if own or at != DATA]
        text = Section(".text", bytes(64), TEXT, flags=ALLOC | EXEC)
        made = opened(write_elf([text, *write_symbols(rows, 3)], machine=ARM))
        on = On.IRQ if own else On.TASK
        assert list(named(found(made), EntryKind.IRQ, on)) == ["generic_handle_arch_irq"]
