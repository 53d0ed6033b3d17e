"""The verb ``tasks``: how deep each task's stack has gone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.cli.values import count
from stackgauge.errors import InputError, UsageError

if TYPE_CHECKING:
    from stackgauge.logs.reading import Marks


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "log", nargs="+", metavar="LOG",
        help="what a kernel printed: dmesg, a journal, a serial console, /proc/vmstat; "
        "- is standard input",
    )  # fmt: skip
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--image", metavar="IMAGE", help="the kernel, which tells the stacks' size")
    size.add_argument("--config", type=Path, metavar="FILE", help="its configuration, likewise")
    size.add_argument(
        "--thread-size", type=count, metavar="BYTES", help="the size of a task's stack"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_const", dest="format", const="json")
    shape.add_argument("--csv", action="store_const", dest="format", const="csv")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read and print; returns the exit code."""
    from stackgauge.logs.reading import read_marks
    from stackgauge.logs.sizes import sized
    from stackgauge.report.tasks import tasks_csv, tasks_json, tasks_text

    stack_size = _stack_size(arguments)
    marks = read_marks(arguments.log)
    tasks = marks.tasks if stack_size is None else sized(marks.tasks, stack_size)
    notes = _notes(marks, stack_size)
    with open_output(arguments) as out:
        if arguments.format == "csv":
            tasks_csv(out, tasks)
        else:
            write = tasks_json if arguments.format == "json" else tasks_text
            write(out, tasks, notes, marks.exited, marks.overflows)
    return 0


def _notes(marks: Marks, stack_size: int | None) -> list[str]:
    """What is to be said of the figures."""
    if marks.tasks and not marks.measured:
        return [
            "no marks: this kernel does not measure them (built without CONFIG_DEBUG_STACK_USAGE)"
        ]
    notes = []
    if marks.tasks and stack_size is None:
        notes.append("no log tells the stacks' size: --image, --config or --thread-size does")
    elif marks.measured:
        notes.append("used: all that is not free, struct thread_info where it lies on the stack")
    return notes


def _stack_size(arguments: argparse.Namespace) -> int | None:
    """The size that the options tell.

    Raises:
        UsageError: no stack has the size given.
        InputError: the file given does not tell it.
    """
    if arguments.thread_size is not None:
        size: int = arguments.thread_size
        if not 1024 <= size <= 1 << 20 or size & (size - 1):
            raise UsageError(f"--thread-size {size}: stacks are of a power of two of bytes")
        return size
    found: int | None = None
    if arguments.image is not None:
        from stackgauge.image.opening import open_images
        from stackgauge.isa import isa_of
        from stackgauge.kernel.identity import identify

        for image in open_images(arguments.image):
            found = identify(image, isa_of(image.elf).name).thread_size
            break
    elif arguments.config is not None:
        from stackgauge.kernel.config import read_config
        from stackgauge.kernel.thread_size import from_config

        options = read_config(arguments.config)
        named = [name for option, name in _ARCHITECTURES.items() if option in options]
        found = from_config(named[0] if named else "", options)
    else:
        return None
    if found is None:
        raise InputError(
            arguments.image or arguments.config,
            "does not tell the size of a task's stack: --thread-size does",
        )
    return found


# Options that name the architecture, where THREAD_SIZE has no option of its own.
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}
