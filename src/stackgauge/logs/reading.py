"""All that logs say of tasks' stacks, from one or more files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stackgauge.errors import InputError
from stackgauge.logs import reports
from stackgauge.logs.lines import LISTED, read_lines
from stackgauge.logs.model import Overflow, Task, Trace
from stackgauge.logs.reports import REPORT
from stackgauge.logs.tasks import TASK, Shown, shown_task
from stackgauge.logs.traces import TRACE, read_traces

# A report's own lines tell the task within so many bytes.
_NEAR = 4 << 10

# Reports that are kept; a broken kernel repeats itself.
_MOST_REPORTS = 1000

_NUMBER = re.compile(rb"\d{1,9}")

_MARKS = re.compile(TASK + rb"|" + REPORT + rb"|" + LISTED)
# ``stack_max_size`` is a number on a line of its own, and nothing else.
_TRACES = re.compile(TRACE + rb"|" + LISTED + rb"|\A\d{1,9}(?=\n?\Z)")


@dataclass(frozen=True)
class Marks:
    """Low-water marks from logs.

    Attributes:
        tasks: each task once, with the least ``free`` that any line gives; the fullest stack
            first, and those without a mark at the end.
        exited: how many tasks had used up to that much when they ended (``kstack_*`` of
            ``/proc/vmstat``): ``1k``, ``2k`` and so on, ``rest``.
        overflows: reports of stacks that overflowed, or are about to.
        measured: whether any line gives a mark; else the kernel was built without
            CONFIG_DEBUG_STACK_USAGE, for a measured ``free`` holds the end magic at least.
    """

    tasks: list[Task]
    exited: dict[str, int]
    overflows: list[Overflow]
    measured: bool


@dataclass(frozen=True)
class Chains:
    """Chains of calls from logs.

    Attributes:
        traces: each once for each title, in the order of the logs.
        max_size: what ftrace's ``stack_max_size`` says, bytes: the depth of the deepest function
            without the tracer's own frame; None where it was not given.
    """

    traces: list[Trace]
    max_size: int | None


@dataclass
class _Log:
    """What one file says, while it is read."""

    wide: dict[tuple[int | None, str], Shown] = field(default_factory=dict)
    narrow: dict[tuple[int | None, str], Shown] = field(default_factory=dict)
    exited: dict[str, int] = field(default_factory=dict)
    overflows: list[Overflow] = field(default_factory=list)
    reported: int = -_NEAR

    def take(self, at: int, line: bytes) -> None:
        """Take a line, and about where in the log it begins."""
        shown = shown_task(line)
        if shown is not None:
            _merge(self.narrow if shown.narrow else self.wide, shown)
            return
        count = reports.counter(line)
        if count is not None:
            # Counters only grow: the last reading counts.
            self.exited[count[0]] = count[1]
            return
        found = reports.overflow(line)
        if found is not None:
            if len(self.overflows) < _MOST_REPORTS and found not in self.overflows[-5:]:
                self.overflows.append(found)
            self.reported = at
        elif at - self.reported < _NEAR and self.overflows:
            self._detail(line)

    def _detail(self, line: bytes) -> None:
        last = self.overflows[-1]
        task, size = reports.ran(line), reports.stack_bounds(line)
        if task is not None and not last.task:
            self.overflows[-1] = last._replace(task=task[0], pid=task[1])
        if size is not None:
            self.overflows[-1] = self.overflows[-1]._replace(stack_size=size)


def read_marks(paths: Sequence[str]) -> Marks:
    """The low-water marks in logs.

    Args:
        paths: files; ``-`` is standard input.

    Raises:
        InputError: a file cannot be read, is empty, or says nothing of stacks.
    """
    tasks: dict[tuple[int | None, str], Shown] = {}
    exited: dict[str, int] = {}
    overflows: list[Overflow] = []
    for path in paths:
        log = _Log()
        for at, line in read_lines(path, _MARKS):
            log.take(at, line)
        # A kernel prints names of one width; see Shown.narrow.
        shown = log.narrow if len(log.narrow) > len(log.wide) else log.wide
        if not (shown or log.exited or log.overflows):
            raise InputError(_named(path), "has no sysrq-t, no mark and no report of a stack")
        for one in shown.values():
            _merge(tasks, one)
        exited |= log.exited
        overflows += log.overflows
    measured = any(one.free for one in tasks.values())
    return Marks(_sorted(tasks.values()), exited, overflows, measured)


def read_chains(paths: Sequence[str]) -> Chains:
    """The traces in logs, and ftrace's files.

    Args:
        paths: logs, ftrace's ``stack_trace`` or ``stack_max_size``; ``-`` is standard input.

    Raises:
        InputError: a file cannot be read, is empty or has no trace.
    """
    found: dict[Trace, None] = {}
    max_size = None
    for path in paths:
        lines = read_lines(path, _TRACES)
        head = list(itertools.islice(lines, 1))
        if head and head[0][0] == 0 and _NUMBER.fullmatch(head[0][1]):
            max_size = int(head[0][1])
            continue
        any_here = False
        for trace in read_traces(itertools.chain(head, lines)):
            found[trace] = None
            any_here = True
        if not any_here:
            raise InputError(_named(path), "has no stack trace and no call trace")
    return Chains(list(found), max_size)


def _merge(tasks: dict[tuple[int | None, str], Shown], new: Shown) -> None:
    """Add a line to what is known of its task: a mark only ever gets lower."""
    key = (new.pid, new.comm)
    old = tasks.get(key)
    if old is None:
        tasks[key] = new
        return
    mark = old if old.free and (not new.free or old.free <= new.free) else new
    # What a task's last line does not say, an earlier one may have.
    tasks[key] = new._replace(
        free=mark.free,
        source=mark.source,
        state=new.state or old.state,
        tgid=old.tgid if new.tgid is None else new.tgid,
        ppid=old.ppid if new.ppid is None else new.ppid,
        kthread=old.kthread if new.kthread is None else new.kthread,
    )


def _sorted(shown: Iterable[Shown]) -> list[Task]:
    shown = list(shown)
    # Since 2.6.22 all kernel threads but one are children of kthreadd, which is number 2.
    parent = any(one.pid == 2 and one.comm == "kthreadd" for one in shown)
    tasks = []
    for one in shown:
        kthread = one.kthread
        if kthread is None and parent and one.ppid is not None:
            kthread = one.ppid == 2 or one.pid == 2
        free = one.free or None
        tasks.append(
            Task(one.pid, one.tgid, one.comm, kthread, None, one.state, free, None, None,
                 one.source)
        )  # fmt: skip
    return sorted(tasks, key=lambda task: (task.free is None, task.free or 0, task.pid or 0))


def _named(path: str) -> str:
    return "standard input" if path == "-" else path
