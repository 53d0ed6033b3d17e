"""The verb ``frames``: the stack frame of every function."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.errors import UsageError
from stackgauge.report.text import printable

if TYPE_CHECKING:
    from stackgauge.frames.listing import FrameRow
    from stackgauge.frames.measure import Frames
    from stackgauge.image.opening import Image
    from stackgauge.kernel.identity import Identity


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "image", nargs="+", metavar="IMAGE",
        help="vmlinux, vmlinuz, module (.ko, also compressed), object, archive or ELF program",
    )  # fmt: skip
    parser.add_argument(
        "--min", type=int, default=100, metavar="BYTES", dest="minimum",
        help="leave out smaller frames (default 100, as checkstack does)",
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
    from stackgauge.report.frames import frames_csv, frames_json, frames_text, identity_text

    if arguments.format == "checkstack" and (arguments.summary or arguments.verify):
        raise UsageError("--format checkstack has no form for a summary or a comparison")
    config = read_config(arguments.config) if arguments.config else None
    images = [
        image
        for path in arguments.image
        for image in open_images(path, system_map=arguments.system_map)
    ]
    if arguments.verify:
        return _verify(arguments, images)
    measured = [measure(image) for image in images]
    kernels = [
        identify(frames.image, frames.isa.name, config, frames.isa.red_zone) for frames in measured
    ]
    with open_output(arguments) as out:
        if arguments.format == "text":
            for frames, kernel in zip(measured, kernels, strict=True):
                identity_text(out, frames.image.name, kernel)
        if arguments.summary:
            _summary(arguments, out, measured, kernels)
            return 0
        rows = list_frames(
            measured,
            minimum=arguments.minimum,
            top=arguments.top,
            match=match,
            pieces=arguments.pieces,
        )
        if arguments.format == "csv":
            frames_csv(out, rows)
        elif arguments.format == "json":
            frames_json(out, kernels, rows)
        elif arguments.format == "checkstack":
            _checkstack(out, rows, measured[0].isa.bits, arguments.minimum)
        else:
            frames_text(out, rows)
    return 0


def _summary(
    arguments: argparse.Namespace, out: TextIO, measured: list[Frames], kernels: list[Identity]
) -> None:
    from stackgauge.frames.summary import summarize
    from stackgauge.report.frames import frames_csv, summary_json, summary_text

    summary = summarize(measured)
    if arguments.format == "json":
        summary_json(out, kernels, summary)
    elif arguments.format == "csv":
        frames_csv(out, summary.largest)
    else:
        summary_text(out, summary)


def _verify(arguments: argparse.Namespace, images: list[Image]) -> int:
    """Compare all evidence; the check fails where a difference has no known cause."""
    from stackgauge.frames.verify import verify
    from stackgauge.report.frames import verified_csv, verified_json, verified_text

    unexplained = 0
    with open_output(arguments) as out:
        for image in images:
            verified = verify(image)
            unexplained += verified.unexplained
            if arguments.format == "json":
                verified_json(out, verified)
            elif arguments.format == "csv":
                verified_csv(out, verified)
            else:
                out.write(f"{printable(image.name)}: ")
                verified_text(out, verified)
    return 1 if unexplained else 0


def _checkstack(out: TextIO, rows: list[FrameRow], bits: int, minimum: int) -> None:
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
        minimum=minimum,
    )
