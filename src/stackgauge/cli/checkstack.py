"""List the functions that use the most stack, from `objdump -d` text on standard input."""

from __future__ import annotations

import argparse
import platform
import sys

from stackgauge.errors import UsageError
from stackgauge.evidence.disassembly import read_listing
from stackgauge.isa.objdump_patterns import dialect_of
from stackgauge.report.checkstack import note_least, write_checkstack

NAME = "checkstack"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the kernel's scripts/checkstack.pl."""
    parser.description = (
        "A drop-in for the kernel's scripts/checkstack.pl: the same arguments, input and lines, "
        "with right figures. Example: objdump -d vmlinux | stackgauge checkstack x86_64"
    )
    parser.add_argument(
        "arch",
        metavar="ARCH",
        nargs="?",
        default="",
        help="architecture of the text, for example x86_64, arm64, powerpc, s390, riscv "
        "(default: this machine's)",
    )
    parser.add_argument(
        "minimum",
        metavar="BYTES",
        nargs="?",
        default="",
        help="list functions that use more than this (default: 100)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read standard input, write the lines to standard output."""
    dialect = dialect_of(arguments.arch or platform.machine())
    minimum = arguments.minimum or "100"
    if not (minimum.isascii() and minimum.isdigit() and len(minimum) < 20):
        raise UsageError(f"checkstack: {minimum!r} is not a number of bytes")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "checkstack: nothing on standard input; try: objdump -d vmlinux | stackgauge checkstack"
        )
    listing = read_listing(sys.stdin.buffer, dialect, minimum=int(minimum))
    write_checkstack(
        sys.stdout,
        listing.address,
        listing.function,
        listing.object,
        listing.frame,
        bits=listing.bits,
        minimum=int(minimum),
    )
    names = [
        name for name, dynamic in zip(listing.function, listing.dynamic, strict=True) if dynamic
    ]
    note_least(sys.stderr, names, len(listing.function))
    return 0
