"""System calls: by the tables that the kernel dispatches with, and by their wrappers' names."""

from __future__ import annotations

import numpy as np

from stackgauge.image.elf import EM_386, EM_AARCH64, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64
from stackgauge.kernel.entries.model import EntryKind, Found, Group, Route
from stackgauge.kernel.entries.pointers import Pointers
from stackgauge.kernel.stacks import On

# All that an architecture may have, each in the kernel's own name: arch/*/kernel/syscall*.c and,
# in assembly, arch/*/kernel/*.S. The last ones are of 32-bit programs and of old interfaces.
_TABLES = (
    "sys_call_table", "x32_sys_call_table", "ia32_sys_call_table", "compat_sys_call_table",
    "sys32_call_table", "sysn32_call_table", "sys_oabi_call_table", "sys_call_table_emu",
)  # fmt: skip

# The names of the wrappers that the macro SYSCALL_DEFINE makes (arch/*/include/asm/
# syscall_wrapper.h). Since x86 dispatches by a switch (1e3ad78334a6, 6.9 and stable kernels) there
# is a table for 64-bit programs alone, kept for the tracer.
_WRAPPERS = {
    EM_X86_64: ("__x64_sys_", "__ia32_sys_", "__ia32_compat_sys_", "__x64_compat_sys_"),
    EM_386: ("__ia32_sys_",),
    EM_AARCH64: ("__arm64_sys_", "__arm64_compat_sys_"),
    EM_S390: ("__s390x_sys_", "__s390_sys_", "__s390_compat_sys_"),
    EM_RISCV: ("__riscv_sys_", "__riscv_compat_sys_"),
    EM_PPC64: ("__powerpc_sys_", "__powerpc_compat_sys_"),
}
# Where there is no wrapper the functions have these names, as others may.
_PLAIN = ("sys_", "compat_sys_", "__se_sys_", "__se_compat_sys_")

# arch/x86/entry/common.c: of the ways to a 32-bit program's system call the longest.
_IA32_ROUTE = ("do_SYSENTER_32", "do_fast_syscall_32", "__do_fast_syscall_32", "ia32_sys_call")

# More than any kernel has: MIPS counts to 6,000, but its tables do not.
_MOST = 4096


def system_calls(pointers: Pointers, route: Route) -> list[Group]:
    """The functions of all system calls, those of 32-bit programs too.

    Args:
        pointers: of the image.
        route: what the kernel does from a system call's entry to its function.
    """
    image = pointers.image
    word = image.elf.bits // 8
    prefixes = _WRAPPERS.get(image.elf.machine, ())
    wrappers = {prefix: pointers.with_names(prefix + "*") for prefix in prefixes or _PLAIN}
    called: dict[int, str] = {}
    # Of the names of one function that of the first kind is shown.
    for address, names in reversed(wrappers.values()):
        called.update(zip(address.tolist(), names, strict=True))
    groups = []
    # A handful of tables.
    for table in _TABLES:
        bounds = pointers.bounds(table, _MOST * word)
        if bounds is None:
            continue
        words = pointers.words(*bounds)
        known, names = pointers.named(words)
        # Where the symbol has no size, other data may follow.
        words = words[: len(known) if known.all() else int(np.argmin(known))]
        names = [called.get(at, name) for at, name in zip(words.tolist(), names, strict=False)]
        groups.append(Group(EntryKind.SYSCALL, On.TASK, route, Found.TABLE, words, names))
    # What has a wrapper's name is one by that alone; other names are taken where there is no table.
    if not prefixes and groups:
        return groups
    # A handful of kinds, each with its own way from the entry.
    for prefix, functions in wrappers.items():
        way = route
        if image.elf.machine == EM_X86_64 and prefix.startswith("__ia32_"):
            way = Route(route.pushed, _IA32_ROUTE)
        groups.append(Group(EntryKind.SYSCALL, On.TASK, way, Found.NAME, *functions))
    return groups
