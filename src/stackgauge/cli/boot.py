"""The verb ``boot``: runs a kernel in QEMU, and shows how deep its stacks went."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stackgauge.cli.values import count
from stackgauge.errors import InputError, StackgaugeError, UsageError
from stackgauge.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stackgauge.image.opening import Image
    from stackgauge.runtime.machines import Machine

ARCHITECTURES = ("x86_64", "i386", "arm64", "arm")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("image", metavar="IMAGE", help="what a boot loader loads: vmlinuz")
    parser.add_argument("--arch", choices=ARCHITECTURES, help="for which machine it is")
    parser.add_argument("--modules", type=Path, metavar="DIR", help="load all modules below DIR")
    parser.add_argument(
        "--workload", type=Path, metavar="SCRIPT",
        help="run this in the guest (a script of busybox's shell or a static program) instead of "
        "the built-in workload",
    )  # fmt: skip
    parser.add_argument(
        "--time", type=count, metavar="SECONDS", default=300, help="of each boot (default: 300)"
    )
    parser.add_argument(
        "--memory", type=count, metavar="MIB", default=256, help="of the guest (default: 256)"
    )
    parser.add_argument("--append", metavar="WORDS", default="", help="for the command line")
    parser.add_argument(
        "--trace", action="store_true",
        help="boot once more with the stack tracer on, for chains (it changes the marks)",
    )  # fmt: skip
    parser.add_argument(
        "--core", action="store_true",
        help="dump the guest's memory into the run folder, and take the marks from it",
    )  # fmt: skip
    parser.add_argument(
        "--vmlinux", metavar="FILE",
        help="the same kernel with symbols and types, where IMAGE has too little for --core",
    )  # fmt: skip
    parser.add_argument(
        "--busybox", type=Path, metavar="FILE",
        help="a static one for the machine (default: Debian's, fetched into the cache)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER",
        help="the run folder, which must be new or empty (default: stackgauge-run-DATE-TIME)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Boot, keep what came, and print; returns the exit code."""
    from stackgauge.cli.boot_report import show_run
    from stackgauge.image.opening import open_images
    from stackgauge.runtime.folder import Run
    from stackgauge.runtime.initramfs import Guest, read_file, read_modules
    from stackgauge.runtime.machines import MACHINES
    from stackgauge.runtime.qemu import boot, check_qemu

    if not arguments.time or not 64 <= arguments.memory <= 1 << 20:
        raise UsageError("--time is at least 1 second, --memory at least 64 MiB")
    images = [image for path in (arguments.vmlinux, arguments.image) if path
              for image in open_images(path)]  # fmt: skip
    if len(images) != 1 + bool(arguments.vmlinux):
        raise InputError(arguments.image, "is no kernel")
    architecture = arguments.arch or _architecture(images[0])
    machine = MACHINES[architecture]
    check_qemu(machine)
    workload = arguments.workload and read_file(arguments.workload, "a workload")
    modules = read_modules(arguments.modules) if arguments.modules else {}
    program = read_file(arguments.busybox or busybox(machine), "a program")
    folder = arguments.output or Path(time.strftime("stackgauge-run-%Y%m%d-%H%M%S"))
    result = Run(folder, arguments.image, architecture)
    # Two boots at most: the tracer takes stack of its own, and marks with it on are too low.
    for name in ("marks", "trace") if arguments.trace else ("marks",):
        dump = arguments.core and name == "marks"
        with _telling(name) as tell:
            done = boot(
                machine, Path(arguments.image),
                Guest(program, modules, workload, trace=name == "trace", core=dump),
                memory=arguments.memory, seconds=arguments.time, append=arguments.append,
                core=result.folder / "core" if dump else None, tell=tell,
            )  # fmt: skip
        result.add(name, done)
        if done.failure:
            break
    return show_run(result, images[0])


def _architecture(image: Image) -> str:
    from stackgauge.isa import isa_of

    name = isa_of(image.elf).name
    if name not in ARCHITECTURES:
        raise UsageError(f"kernels for {name} cannot be booted here")
    return name


def busybox(machine: Machine) -> Path:
    """Debian's, out of the cache or the archive.

    Raises:
        StackgaugeError: it cannot be had.
    """
    import re

    from stackgauge.fetch.packages import fetch_packages
    from stackgauge.fetch.unpack import Part

    path = re.compile(r"(?:usr/)?bin/busybox")
    [unpacked] = fetch_packages(
        lambda apt: [apt.find("busybox-static")],
        [Part("program", path, last=path)],
        arch=machine.debian,
        log=sys.stderr,
    )
    if not unpacked.paths:
        raise StackgaugeError("Debian's busybox-static has no busybox")
    return unpacked.paths[0]


@contextlib.contextmanager
def _telling(name: str) -> Iterator[Callable[[str], None]]:
    """A line on a terminal that says what the guest is doing."""
    shown = sys.stderr.isatty()
    begin = time.monotonic()
    last = ""

    def tell(step: str) -> None:
        nonlocal last
        line = printable(f"boot for {name}, {time.monotonic() - begin:3.0f} s: {step}")[:78]
        if shown and line != last:
            last = line
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
