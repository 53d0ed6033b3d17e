"""How kernels print tasks: ``sched_show_task`` of each time, and what stands in front of lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Printed(NamedTuple):
    """What a line says of a task."""

    comm: str
    pid: int
    ppid: int
    free: int
    running: bool

    @property
    def state(self) -> str:
        return "R" if self.running else "S"


def _relatives(task: Printed, width: int) -> str:
    where = "running  " if task.running else f"{0xC042F300:0{width}X} "
    kind = "L-TLB" if task.ppid == 2 else "NOTLB"
    return (
        f"{task.comm:<13.13} {task.state} {where}{task.free:5} {task.pid:5} {task.ppid:6} "
        f"{'':6}{'':7}{'':6} ({kind})"
    )


def _columns(task: Printed, comm: int, width: int, flags: str) -> str:
    running = "  running task    " if width == 16 else " running  "
    where = running if task.running else f" {0x802AF8B0:0{width}x} "
    return (
        f"{task.comm:<{comm}.{comm}} {task.state}{where}{task.free:5} {task.pid:5} "
        f"{task.ppid:6}{flags}"
    )


def _without_pc(task: Printed) -> str:
    where = "  running task    " if task.running else ""
    return (
        f"{task.comm:<15.15} {task.state}{where}{task.free:5} {task.pid:5} {task.ppid:6} 0x00000000"
    )


def _named(task: Printed, numbers: str) -> str:
    where = "  running task    " if task.running else ""
    return f"task:{task.comm:<15.15} state:{task.state}{where} {numbers} flags:0x00004000"


def _left(task: Printed, tgid: bool, flags: bool) -> str:
    return (
        f"stack:{task.free:<5} pid:{task.pid:<5} "
        + (f"tgid:{task.pid:<5} " if tgid else "")
        + f"ppid:{task.ppid:<6}"
        + (f" task_flags:0x{0x208040 if task.ppid == 2 else 0x400100:04x}" if flags else "")
    )


# The first kernel that prints so, and how.
FORMATS: dict[str, Callable[[Printed], str]] = {
    "2.6.16-i386": lambda task: _relatives(task, 8),
    "2.6.24-amd64": lambda task: _columns(task, 13, 16, ""),
    "2.6.30-arm": lambda task: _columns(task, 13, 8, " 0x00000000"),
    "3.0-arm": lambda task: _columns(task, 15, 8, " 0x00000000"),
    "3.0-amd64": lambda task: _columns(task, 15, 16, " 0x00000000"),
    "4.14": _without_pc,
    "5.10": lambda task: _named(
        task, f"stack:{task.free:5} pid:{task.pid:5} ppid:{task.ppid:6}"
    ),
    "6.1": lambda task: _named(task, _left(task, False, False)),
    "6.9": lambda task: _named(task, _left(task, True, False)),
    "6.14": lambda task: _named(task, _left(task, True, True)),
}  # fmt: skip

PREFIXES = {
    "nothing": "",
    "level": "<6>",
    "printk's time": "[   12.345678] ",
    "level and time": "<6>[   12.345678] ",
    "caller": "[   12.345678][    T1] ",
    "caller apart": "[   12.345678] [      C0] ",
    "dmesg -T": "[Mon Nov  3 21:47:14 2025] ",
    "syslog": "Nov  3 21:47:14 a-host kernel: ",
    "syslog and time": "Nov  3 21:47:14 a-host kernel: [   12.345678] ",
    "journalctl -o short-iso": "2025-11-03T21:47:14+0000 a-host kernel: ",
    "journalctl -o short-monotonic": "[   12.345678] a-host kernel: ",
    "journalctl -o export": "MESSAGE=",
    "/dev/kmsg": "6,1234,12345678,-;",
    "a console's own clock": "1769654277410 2026-01-29T02:37:57.410Z [  741.122872] ",
    "a mail": "> > ",
    "a mail, with time": "> [   12.345678] ",
}
