"""The entry points of Debian's kernels, against the kernel's own lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stackgauge.image.opening import open_images
from stackgauge.kernel.entries import Entries, EntryKind, Found, entry_points
from stackgauge.kernel.stacks import On, stacks
from tests.oracles.linux_source import linux_source

pytestmark = pytest.mark.kernels


def of(path: Path) -> Entries:
    (made,) = open_images(path)
    return entry_points(made, made.elf.contents)


def calls(entries: Entries, how: Found | None = None) -> set[str]:
    rows = zip(entries.names, entries.kind, entries.found, strict=True)
    return {
        name
        for name, kind, found in rows
        if kind == EntryKind.SYSCALL and (how is None or found == how)
    }


def test_amd64_by_the_table_of_its_source(amd64_vmlinux: Path, amd64_vmlinuz: Path) -> None:
    source = linux_source() / "arch/x86/entry/syscalls/syscall_64.tbl"
    lines = [line.split() for line in source.read_text().splitlines()]
    listed = {
        f"__x64_{row[3]}"
        for row in lines
        if len(row) > 3 and row[0].isdigit() and row[1] in ("common", "64")
    }
    entries = of(amd64_vmlinux)
    assert calls(entries, Found.TABLE) == listed
    assert sum(name.startswith("__x64_sys_") for name in calls(entries)) >= 427
    # The same, by the symbols that the kernel carries for itself.
    assert calls(of(amd64_vmlinuz)) == calls(entries)


def test_arm64_by_the_generic_list(arm64_vmlinux: Path, arm64_vmlinuz: Path) -> None:
    text = (linux_source() / "include/uapi/asm-generic/unistd.h").read_text().replace("\\\n", "")
    one = re.findall(r"^__(?:SYSCALL|SC_COMP)\(__NR\w+,\s*(sys_\w+)", text, re.MULTILINE)
    # Of two, the second is that of 64-bit kernels.
    two = re.findall(r"^__SC_(?:COMP_)?3264\(__NR\w+,\s*\w+,\s*(sys_\w+)", text, re.MULTILINE)
    listed = {f"__arm64_{name}" for name in one + two}
    # Architectures choose between this and sync_file_range.
    listed.remove("__arm64_sys_sync_file_range2")
    assert len(listed) > 300
    assert listed <= calls(of(arm64_vmlinux), Found.TABLE)
    # That build's kallsyms have no data, and so no table: there are the wrappers' names, without
    # the weak ones, which stand for what the configuration lacks.
    by_name = calls(of(arm64_vmlinuz))
    assert len(listed - by_name) < 30
    assert len(by_name) >= 450


def test_kinds_of_amd64(amd64_vmlinux: Path) -> None:
    (made,) = open_images(amd64_vmlinux)
    entries = of(amd64_vmlinux)
    by_kind: dict[EntryKind, set[str]] = {}
    for name, kind in zip(entries.names, entries.kind, strict=True):
        by_kind.setdefault(EntryKind(kind), set()).add(name)
    assert {"common_interrupt", "sysvec_apic_timer_interrupt"} <= by_kind[EntryKind.IRQ]
    assert {"exc_page_fault", "exc_nmi"} <= by_kind[EntryKind.EXCEPTION]
    assert {"net_rx_action", "run_timer_softirq"} <= by_kind[EntryKind.SOFTIRQ]
    assert {"poweroff_work_func", "reboot_work_func"} <= by_kind[EntryKind.WORK]
    assert len(by_kind[EntryKind.INITCALL]) > 600
    sizes = {one.on: one.size for one in stacks(made, 16384)}
    assert sizes[On.IRQ] == 16384
    assert sizes[On.NMI] == 8192
