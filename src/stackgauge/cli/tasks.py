"""The verb ``tasks``: how deep each task's stack has gone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.cli.values import count
from stackgauge.errors import InputError, UsageError

if TYPE_CHECKING:
    from stackgauge.image.opening import Image
    from stackgauge.logs.model import Overflow, Task
    from stackgauge.logs.reading import Marks


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "log", nargs="*", metavar="LOG",
        help="what a kernel printed: dmesg, a journal, a serial console, /proc/vmstat; "
        "- is standard input; or the run folder of a boot",
    )  # fmt: skip
    parser.add_argument(
        "--core", metavar="FILE",
        help="a dump of the memory of --image's kernel (QEMU's dump-guest-memory, kdump), instead "
        "of logs",
    )  # fmt: skip
    parser.add_argument("--image", metavar="IMAGE", help="the kernel, which tells the stacks' size")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--config", type=Path, metavar="FILE", help="its configuration, for kernels that do not"
    )
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
    from stackgauge.runtime.manifest import logs_of

    if bool(arguments.log) == bool(arguments.core):
        raise UsageError("either logs or --core FILE is to be given")
    stack_size = _stack_size(arguments)
    if arguments.core:
        tasks, notes, overflows = _core_marks(arguments, stack_size)
        exited: dict[str, int] = {}
    else:
        marks = read_marks([log for path in arguments.log for log in logs_of(path, "tasks")])
        tasks = marks.tasks if stack_size is None else sized(marks.tasks, stack_size)
        notes, exited, overflows = log_notes(marks, stack_size), marks.exited, marks.overflows
    with open_output(arguments) as out:
        if arguments.format == "csv":
            tasks_csv(out, tasks)
        else:
            write = tasks_json if arguments.format == "json" else tasks_text
            write(out, tasks, notes, exited, overflows)
    return 0


def core_marks(
    core: str, image: Image, stack_size: int
) -> tuple[list[Task], list[str], list[Overflow]]:
    """The tasks of a dump, what is to be said of the figures, and stacks that overflowed.

    Raises:
        StackgaugeError: drgn is missing, or the dump is not of that kernel.
    """
    from stackgauge.runtime.memory import read_core_marks

    found = read_core_marks(core, image, stack_size)
    notes = ["marks from memory: what was never written, or with zeros alone, counts as free"]
    if not found.zeroed:
        notes = ["no marks: this kernel does not zero the stacks of new tasks"]
    return found.tasks, notes, found.overflows


def _core_marks(
    arguments: argparse.Namespace, stack_size: int | None
) -> tuple[list[Task], list[str], list[Overflow]]:
    from stackgauge.image.opening import open_images

    if arguments.image is None:
        raise UsageError("--core needs --image, the kernel that ran: its symbols and types")
    images = open_images(arguments.image)
    if len(images) != 1:
        raise InputError(arguments.image, "is no kernel")
    if stack_size is None:
        raise InputError(arguments.image, "does not tell the size of a task's stack")
    return core_marks(arguments.core, images[0], stack_size)


def log_notes(marks: Marks, stack_size: int | None) -> list[str]:
    """What is to be said of the figures of logs."""
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
    found: int | None
    if arguments.config is not None:
        from stackgauge.kernel.config import read_config
        from stackgauge.kernel.thread_size import from_config

        options = read_config(arguments.config)
        named = [name for option, name in _ARCHITECTURES.items() if option in options]
        found = from_config(named[0] if named else "", options)
    elif arguments.image is not None:
        from stackgauge.image.opening import open_images
        from stackgauge.isa import isa_of
        from stackgauge.kernel.identity import identify

        images = open_images(arguments.image)[:1]
        found = next((identify(one, isa_of(one.elf).name).thread_size for one in images), None)
    else:
        return None
    if found is None:
        raise InputError(
            arguments.config or arguments.image,
            "does not tell the size of a task's stack: --thread-size does",
        )
    return found


# Options that name the architecture, where THREAD_SIZE has no option of its own.
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}
