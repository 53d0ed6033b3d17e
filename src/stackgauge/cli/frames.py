"""The verb ``frames``: the stack frame of every function."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.errors import UsageError

if TYPE_CHECKING:
    from stackgauge.frames.listing import FrameRow


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "image", nargs="+", metavar="IMAGE",
        help="vmlinux, vmlinuz, module (.ko, also compressed), object, archive or ELF program",
    )  # fmt: skip
    parser.add_argument(
        "--min", type=int, default=None, metavar="BYTES", dest="minimum",
        help="leave out smaller frames (default 100, as checkstack does; 0 with --summary)",
    )  # fmt: skip
    parser.add_argument("--top", type=int, metavar="N", help="only the N largest")
    parser.add_argument("--match", metavar="REGEX", help="only functions whose name matches")
    parser.add_argument(
        "--pieces", action="store_true", help="list .cold pieces apart from their functions"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--summary", action="store_true",
        help="number of functions, the largest frames, a histogram",
    )  # fmt: skip
    what.add_argument(
        "--verify", action="store_true",
        help="compare every kind of evidence that the image has",
    )  # fmt: skip
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--format", choices=("text", "csv", "json", "checkstack"), default="text",
        help="how to print (default text)",
    )  # fmt: skip
    shape.add_argument("--json", action="store_const", dest="format", const="json")
    shape.add_argument("--csv", action="store_const", dest="format", const="csv")
    parser.add_argument("--system-map", type=Path, metavar="FILE", help="symbols of the kernel")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of the kernel")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    try:
        match = re.compile(arguments.match) if arguments.match else None
    except re.error as error:
        raise UsageError(f"--match {arguments.match!r}: {error}") from error
    from stackgauge.frames.listing import list_frames
    from stackgauge.frames.measure import measure
    from stackgauge.image.opening import open_images
    from stackgauge.kernel.config import read_config
    from stackgauge.kernel.identity import identify
    from stackgauge.report.frames import frames_csv, frames_json, frames_text

    config = read_config(arguments.config) if arguments.config else None
    measured = [
        measure(image)
        for path in arguments.image
        for image in open_images(path, system_map=arguments.system_map)
    ]
    with open_output(arguments) as out:
        rows = list_frames(
            measured,
            minimum=100 if arguments.minimum is None else arguments.minimum,
            top=arguments.top,
            match=match,
            pieces=arguments.pieces,
        )
        if arguments.format == "csv":
            frames_csv(out, rows)
        elif arguments.format == "json":
            frames_json(out, [identify(f.image, f.isa.name, config) for f in measured], rows)
        elif arguments.format == "checkstack":
            _checkstack(out, rows, measured[0].isa.bits, arguments.minimum)
        else:
            frames_text(out, rows)
    return 0


def _checkstack(out: TextIO, rows: list[FrameRow], bits: int, minimum: int | None) -> None:
    """The script's lines, which have a number each: functions of unknown size have none."""
    from stackgauge.report.checkstack import write_checkstack

    known = [(row, row.frame) for row in rows if row.frame is not None]
    write_checkstack(
        out,
        [row.address for row, _ in known],
        [row.function or f"{row.address:#x}" for row, _ in known],
        [row.object.removesuffix(".ko") for row, _ in known],
        [frame for _, frame in known],
        bits=bits,
        minimum=100 if minimum is None else minimum,
    )
