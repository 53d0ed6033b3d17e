"""Reports of overflows, and counters of how much stack tasks had used when they ended."""

from __future__ import annotations

import re

from stackgauge.logs.lines import message, text
from stackgauge.logs.model import Overflow

# Each with the kernel's file that prints it. They are looked for in lines that have any of
# _WORDS, in small letters.
_OVERFLOWS = re.compile(
    rb"corrupted stack end detected inside scheduler"  # kernel/sched/core.c
    rb"|stack guard page was hit at"  # arch/x86/kernel/traps.c
    rb"|kernel stack overflow"  # arch/{x86,arm,arm64,powerpc,riscv,s390,loongarch}/
    rb"|insufficient stack space to handle exception"  # arch/{arm,arm64,riscv,loongarch}/
    rb"|do_irq: stack overflow: "  # arch/{mips,powerpc,sh,x86}/kernel/irq*.c
    rb"|stack overflow in do_irq"  # arch/xtensa/kernel/irq.c
    rb"|has overflown the kernel stack"  # arch/x86/kernel/irq_64.c, up to 4.20
    rb"|overflow kernel stack"  # arch/parisc/kernel/irq.c
    rb"|low stack detected by irq handler"  # arch/x86/kernel/irq_32.c, arch/parisc/kernel/irq.c
    rb"|thread overran stack, or stack corrupted"  # arch/*/mm/fault.c, lib/, up to 4.x
)
_WORDS = (b"stack", b"Stack")

# What all these lines have; see lines.read_lines.
REPORT = rb"[Ss]tack| Comm: "

# What a report of arm64, arm and RISC-V says of the stacks (arch/arm64/kernel/traps.c,
# panic_bad_stack): [lowest address..the one behind the highest].
_BOUNDS = re.compile(rb"Task stack: +\[0x([0-9a-f]{8,16})\.\.0x([0-9a-f]{8,16})\]")

# lib/dump_stack.c, dump_stack_print_info; UID since 6.12.
_RAN = re.compile(
    rb"CPU: \d+ (?:UID: \d+ )?PID: (\d{1,10}) Comm: (.{1,15}?) +(?:Not tainted|Tainted|\w+:)"
)

# mm/vmstat.c and kernel/exit.c, kstack_histogram, since 6.12.
_COUNTER = re.compile(rb"kstack_(\d{1,4}k|rest) (\d{1,20})\s*$")


def overflow(line: bytes) -> Overflow | None:
    """The report that a line is, None if it is none."""
    if not any(word in line for word in _WORDS):
        return None
    said = message(line).strip()
    if not _OVERFLOWS.search(said.lower()):
        return None
    # What the kernel's source or a person says about it is no report.
    return Overflow(text(said[:_LONGEST]), "", None, None)


_LONGEST = 200


def stack_bounds(line: bytes) -> int | None:
    """The bytes of a task's stack, as a report of an overflow gives its bounds."""
    found = _BOUNDS.search(line) if b"Task stack:" in line else None
    if not found:
        return None
    size = int(found[2], 16) - int(found[1], 16)
    return size if 4096 <= size <= 1 << 20 and size & (size - 1) == 0 else None


def ran(line: bytes) -> tuple[str, int] | None:
    """The name and number of the task that ran, as a report's own line says."""
    found = _RAN.search(line) if b" Comm: " in line else None
    return (text(found[2]), int(found[1])) if found else None


def counter(line: bytes) -> tuple[str, int] | None:
    """A counter of ``/proc/vmstat``: ``1k`` (used up to 1 KiB) or ``rest``, and how many tasks."""
    found = _COUNTER.match(line.strip()) if b"kstack_" in line else None
    return (text(found[1]), int(found[2])) if found else None
