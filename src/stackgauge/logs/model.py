"""What logs say, as facts."""

from __future__ import annotations

from typing import NamedTuple


class Task(NamedTuple):
    """A task and its low-water mark; a field is None (or empty) where nothing tells it.

    Attributes:
        pid: its number; kernels before 3.11 leave it out when a task exits.
        tgid: the process that it is a thread of.
        comm: its name, as the kernel cuts it.
        kthread: whether it is a kernel thread.
        cgroup: its control group.
        state: the kernel's letter, for example ``S``.
        free: bytes of its stack that were never touched, the word of the stack's end magic
            included, as the kernel counts them (``stack_not_used``); None where the kernel does
            not measure.
        used: bytes below the stack's top that were.
        stack_size: bytes of its stack.
        source: what says so: ``sysrq-t``, or ``exit`` for the message when a task ends.
    """

    pid: int | None
    tgid: int | None
    comm: str
    kthread: bool | None
    cgroup: str | None
    state: str
    free: int | None
    used: int | None
    stack_size: int | None
    source: str


class Overflow(NamedTuple):
    """A report of a stack that overflowed, or is about to.

    Attributes:
        text: the kernel's line, without its prefix.
        task: the name of the task that ran, empty where no line tells.
        pid: its number.
        stack_size: bytes of a task's stack, where the report gives its bounds.
    """

    text: str
    task: str
    pid: int | None
    stack_size: int | None


class Location(NamedTuple):
    """Where code is, as ``%pS`` prints it.

    Attributes:
        text: as printed, ``vfs_read+0x2de/0x310 [module]``.
        function: its symbol; empty where the kernel printed only an address.
        offset: bytes from where the symbol begins.
        size: bytes up to the next symbol.
        module: the module that it is in, empty for the kernel itself.
    """

    text: str
    function: str
    offset: int
    size: int
    module: str


class Line(NamedTuple):
    """One line of a trace.

    Attributes:
        location: where the function below returns to, or where it was interrupted.
        depth: bytes from the stack's top; None where the trace does not say.
        size: bytes up to the next line's place on the stack; None likewise.
        sure: whether the kernel vouches for it; lines with ``?`` are remains on the stack.
    """

    location: Location
    depth: int | None = None
    size: int | None = None
    sure: bool = True


class Trace(NamedTuple):
    """A chain of calls, the deepest first.

    Attributes:
        title: whose it is: ``stack_trace`` for ftrace's, else a task or ``Call Trace``.
        lines: its lines.
        measured: whether the lines have depths: ftrace's stack_trace.
        missing: how many lines the log has lost of it.
    """

    title: str
    lines: tuple[Line, ...]
    measured: bool
    missing: int
