"""Tasks and their low-water marks as a table for people, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from stackgauge.report.formats import write_csv, write_json
from stackgauge.report.text import printable, write_table

if TYPE_CHECKING:
    from stackgauge.logs.model import Overflow, Task

SCHEMA = "stackgauge.tasks/1"

CSV_COLUMNS = (
    "pid", "tgid", "comm", "kthread", "cgroup", "state", "free", "used", "stack_size", "source"
)  # fmt: skip


def tasks_csv(out: TextIO, tasks: Sequence[Task]) -> None:
    """The columns of CSV_COLUMNS; what is not known is empty, ``kthread`` is 0 or 1."""
    place = CSV_COLUMNS.index("kthread")
    rows = (
        (*task[:place], None if task.kthread is None else int(task.kthread), *task[place + 1 :])
        for task in tasks
    )
    write_csv(out, CSV_COLUMNS, rows)


def tasks_json(
    out: TextIO,
    tasks: Sequence[Task],
    notes: Sequence[str] = (),
    exited: Mapping[str, int] | None = None,
    overflows: Sequence[Overflow] = (),
) -> None:
    """An object with ``schema``, ``notes``, ``tasks``, ``exited`` and ``overflows``.

    ``exited`` has the kernel's counters of tasks by the stack that they had used when they ended.
    """
    facts = {
        "notes": list(notes),
        "tasks": [task._asdict() for task in tasks],
        "exited": dict(exited or {}),
        "overflows": [one._asdict() for one in overflows],
    }
    write_json(out, SCHEMA, facts)


def tasks_text(
    out: TextIO,
    tasks: Sequence[Task],
    notes: Sequence[str] = (),
    exited: Mapping[str, int] | None = None,
    overflows: Sequence[Overflow] = (),
) -> None:
    """Reports of overflows, a line of counts, notes, and a table without its empty columns."""
    for one in overflows:
        of = f" in {one.task} ({one.pid})" if one.task else ""
        size = f", stack of {one.stack_size} bytes" if one.stack_size else ""
        out.write(printable(f"overflow{of}{size}: {one.text}") + "\n")
    marked = sum(task.free is not None for task in tasks)
    out.write(f"{len(tasks)} tasks, {marked} with a mark\n")
    for note in notes:
        out.write(printable(note) + "\n")
    if exited:
        said = ", ".join(f"{_up_to(name)} {count}" for name, count in exited.items())
        out.write(f"ended tasks by the stack that they had used: {said}\n")
    if not tasks:
        return
    columns = {
        "used": [_number(task.used) for task in tasks],
        "free": [_number(task.free) for task in tasks],
        "stack": [_number(task.stack_size) for task in tasks],
        "share": [_share(task) for task in tasks],
        "pid": [_number(task.pid) for task in tasks],
        "state": [task.state for task in tasks],
        "kind": ["" if task.kthread is None else _KINDS[task.kthread] for task in tasks],
        "source": [task.source for task in tasks] if len({one.source for one in tasks}) > 1 else [],
        "task": [task.comm for task in tasks],
        "cgroup": [task.cgroup or "" for task in tasks],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    out.write("\n")
    write_table(
        out,
        list(columns),
        list(zip(*columns.values(), strict=True)),
        right={"used", "free", "stack", "share", "pid"},
    )


_KINDS = {True: "kernel", False: "user"}


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _share(task: Task) -> str:
    if task.used is None or not task.stack_size:
        return ""
    return f"{100 * task.used / task.stack_size:.0f} %"


def _up_to(counter: str) -> str:
    return "more" if counter == "rest" else f"up to {counter[:-1]} KiB"
