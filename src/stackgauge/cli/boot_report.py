"""What ``boot`` prints at the end: how it went, tasks and their marks, the deepest chain."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stackgauge.errors import InputError, StackgaugeError
from stackgauge.report.text import printable

if TYPE_CHECKING:
    from stackgauge.image.opening import Image
    from stackgauge.runtime.folder import Run


def show_run(result: Run, image: Image) -> int:
    """Print what is known; 1 if a boot did not come to its end."""
    out = sys.stdout
    out.write(printable(f"run folder: {result.folder}") + "\n")
    for name, done in result.boots.items():
        said = f"boot for {name}: {done.seconds:.0f} s"
        for trouble in done.troubles:
            said += f"; the kernel says: {trouble}"
        if done.damaged:
            said += f"; not whole: {', '.join(done.damaged)}"
        out.write(printable(said) + "\n")
    _show_tasks(result, image)
    _show_chain(result, image)
    out.flush()
    failed = [f"boot for {name}: {done.failure}" for name, done in result.boots.items()
              if done.failure]  # fmt: skip
    for line in failed:
        sys.stderr.write(f"stackgauge: {printable(line)}\n")
    return 1 if failed else 0


def _stack_size(image: Image) -> int | None:
    """What the image tells, or the configuration that distributions put beside it."""
    from stackgauge.isa import isa_of
    from stackgauge.kernel.config import read_config
    from stackgauge.kernel.identity import identify
    from stackgauge.kernel.thread_size import from_config

    architecture = isa_of(image.elf).name
    size = identify(image, architecture).thread_size
    path = Path(image.path)
    beside = path.with_name(path.name.replace("vmlinuz", "config"))
    if size is None and beside != path and beside.is_file():
        size = from_config(architecture, read_config(beside))
    return size


def _show_tasks(result: Run, image: Image) -> None:
    from stackgauge.cli.tasks import core_marks, log_notes
    from stackgauge.logs.reading import Marks, read_marks
    from stackgauge.logs.sizes import sized
    from stackgauge.report.tasks import tasks_text

    size = _stack_size(image)
    logs = result.logs("tasks")
    if not logs:
        return
    sys.stdout.write("\n")
    try:
        marks = read_marks(logs)
        notes = log_notes(marks, size)
    except InputError as error:
        # So many tasks that their own lines have left the kernel's log.
        marks, notes = Marks([], {}, [], measured=False), [str(error)]
    tasks = marks.tasks if size is None else sized(marks.tasks, size)
    if not marks.measured and not result.core:
        notes.append("--core takes them from the guest's memory, whatever its configuration")
    overflows = marks.overflows
    if result.core and size is None:
        notes.append("no marks from memory: the image does not tell the size of a task's stack")
    elif result.core and size is not None:
        try:
            living, notes, overflows = core_marks(str(result.core), image, size)
            # Of tasks that have ended, only the log tells.
            tasks = living + [task for task in tasks if task.source == "exit"]
        except StackgaugeError as error:
            notes.append(f"no marks from memory: {error}")
    tasks_text(sys.stdout, tasks, notes, marks.exited, overflows)


def _show_chain(result: Run, image: Image) -> None:
    """The deepest chain, beside what the image says of each line."""
    if "trace" not in result.boots:
        return
    logs = result.logs("traces")
    if not logs:
        sys.stdout.write("\nno chains: this kernel has no stack tracer (CONFIG_STACK_TRACER)\n")
        return
    from stackgauge.calls.traced import compare_traces
    from stackgauge.calls.traced_model import STATUSES
    from stackgauge.logs.reading import read_chains
    from stackgauge.report.traces import traces_text

    traces = [trace for trace in read_chains(logs).traces if trace.measured and trace.lines]
    if traces:
        deepest = max(traces, key=lambda trace: trace.lines[0].depth or 0)
        sys.stdout.write(f"\nthe deepest of {len(traces)} chains, from a boot of its own:\n\n")
        compared = compare_traces([deepest], [image])
        traces_text(sys.stdout, [(deepest, compared[0])], STATUSES)
