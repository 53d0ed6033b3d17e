"""The lines that kernels print of a task: sysrq-t's, and the one when a task ends."""

from __future__ import annotations

import re
from typing import NamedTuple

from stackgauge.logs.lines import message, text

# Numbers are printed with a least width, by which a line that lost a part of itself shows.
_FIVE, _SIX = rb"[ \d]{5}\d*", rb"[ \d]{6}\d*"
_STATE = rb"[A-Za-z?]"

# kernel/sched/core.c, sched_show_task, since 5.10: names with each field. Numbers are padded on
# the right since 6.1, ``tgid`` came with 6.9, ``task_flags`` with 6.14.
_NAMED = re.compile(
    rb"task:(?P<comm>.{15}) state:(?P<state>" + _STATE + rb")(?:  running task    )?"
    rb" stack:(?P<free>" + _FIVE + rb") pid:(?P<pid>" + _FIVE + rb")"
    rb"(?: tgid:(?P<tgid>" + _FIVE + rb"))? ppid:(?P<ppid>" + _SIX + rb")"
    rb"(?: task_flags:0x(?P<task_flags>[0-9a-f]{4,}))? flags:0x[0-9a-f]*"
)

# Before, columns: comm (of 13 bytes up to 2.6.37), state, where it sleeps (up to 4.13), free,
# pid, parent, and the thread's flags (since 2.6.30); up to 2.6.23 relatives and whether it has
# memory of its own instead.
_COLUMNS = re.compile(
    rb"\s*(?P<comm>\S.{14}|\S.{12}) (?P<state>" + _STATE + rb")"
    rb"(?: [0-9a-fA-F]{8} | [0-9a-fA-F]{16} |  running task {3,4}| running  | current  "
    rb"|  current task   )?"
    rb"(?P<free>" + _FIVE + rb") (?P<pid>" + _FIVE + rb") (?P<ppid>" + _SIX + rb")"
    rb"(?: 0x[0-9a-f]*|[ \d]*(?:\((?P<mm>L-TLB|NOTLB)\)[ \d]*)?)\s*$"
)

# What lines of tasks have; see lines.read_lines.
TASK = (
    rb"task:|used greatest stack"
    rb"| [A-Za-z?](?:  ?(?:running|current)  | [0-9a-fA-F]{8,16} |  (?:running|current) task   ?)?"
    rb" {0,5}\d+ +\d+ +\d"
)

# kernel/exit.c, check_stack_usage; the pid since 3.11.
_EXIT = re.compile(
    rb"(?P<comm>\S.{0,14}?)(?: \((?P<pid>\d{1,10})\))? used greatest stack depth:"
    rb" (?P<free>\d{1,7}) bytes left"
)

# include/linux/sched.h.
_PF_KTHREAD = 0x0020_0000

# The largest stack of any configuration (KASAN on 64-bit, with large pages).
_LARGEST = 1 << 20

_NARROW = 13


class Shown(NamedTuple):
    """A task as one line shows it.

    Attributes:
        comm, state, pid, tgid, source: as of ``Task``.
        ppid: its parent's number.
        kthread: as far as the line itself tells.
        free: as printed; 0 where the kernel does not measure.
        narrow: whether comm is as narrow as only old kernels print it. A line of a newer one that
            lost its first two bytes looks like that too.
    """

    comm: str
    state: str
    pid: int | None
    tgid: int | None
    ppid: int | None
    kthread: bool | None
    free: int
    source: str
    narrow: bool


def shown_task(line: bytes) -> Shown | None:
    """What a line says of a task, None if it is none of those."""
    if b"task:" in line and b" state:" in line:
        found = _NAMED.search(line)
        if found:
            return _shown(found)
    if b" used greatest stack" in line:
        return _exited(line)
    # Two blanks are in every line of columns, and in few others.
    if b"  " in line:
        found = _COLUMNS.match(message(line))
        if found:
            return _shown(found)
    return None


def _shown(found: re.Match[bytes]) -> Shown | None:
    groups = found.groupdict()
    free, pid, ppid = (_number(groups[name]) for name in ("free", "pid", "ppid"))
    tgid = groups.get("tgid")
    comm = groups["comm"].rstrip()
    if free is None or pid is None or ppid is None or free % 4 or free > _LARGEST or not comm:
        return None
    kthread = None
    if groups.get("task_flags"):
        kthread = bool(int(groups["task_flags"], 16) & _PF_KTHREAD)
    elif groups.get("mm"):
        kthread = groups["mm"] == b"L-TLB"
    return Shown(
        text(comm),
        text(groups["state"]),
        pid,
        None if tgid is None else _number(tgid),
        ppid,
        kthread,
        free,
        "sysrq-t",
        len(groups["comm"]) == _NARROW,
    )


def _exited(line: bytes) -> Shown | None:
    found = _EXIT.match(message(line).strip())
    if not found or int(found["free"]) % 4 or int(found["free"]) > _LARGEST:
        return None
    pid = None if found["pid"] is None else int(found["pid"])
    free = int(found["free"])
    # Kernel threads and others end alike.
    return Shown(text(found["comm"]), "", pid, None, None, None, free, "exit", narrow=False)


def _number(padded: bytes) -> int | None:
    """A padded number; None of digits with blanks between them."""
    digits = padded.strip()
    return int(digits) if digits.isdigit() and len(digits) < 11 else None
