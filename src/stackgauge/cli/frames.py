"""The verb ``frames``: the stack frame of every function."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, TextIO

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.cli.progress import progress
from stackgauge.cli.values import count
from stackgauge.errors import UsageError

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
        "--min", type=count, default=100, metavar="BYTES", dest="minimum",
        help="leave out smaller frames (default 100, as checkstack does)",
    )  # fmt: skip
    parser.add_argument("--top", type=count, metavar="N", help="only the N largest")
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
    parser.add_argument("--system-map", metavar="FILE", help="symbols of the kernel")
    parser.add_argument("--config", metavar="FILE", help="configuration of the kernel")
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
    measured = [measure(image) for image in progress(images, "measuring")]
    kernels = [
        identify(frames.image, frames.isa.name, config, frames.isa.red_zone) for frames in measured
    ]
    if arguments.summary:
        _summary(arguments, measured, kernels)
        return 0
    rows = list_frames(
        measured,
        minimum=arguments.minimum,
        top=arguments.top,
        match=match,
        pieces=arguments.pieces,
    )
    with open_output(arguments) as out:
        if arguments.format == "csv":
            frames_csv(out, rows)
        elif arguments.format == "json":
            frames_json(out, kernels, rows)
        elif arguments.format == "checkstack":
            bits = max((frames.isa.bits for frames in measured), default=64)
            _checkstack(out, rows, bits, arguments.minimum)
        else:
            _identities(out, measured, kernels)
            frames_text(out, rows)
    return 0


def _identities(out: TextIO, measured: list[Frames], kernels: list[Identity]) -> None:
    from stackgauge.report.frames import identity_text

    for frames, kernel in zip(measured, kernels, strict=True):
        identity_text(out, frames.image.name, kernel)


def _summary(
    arguments: argparse.Namespace, measured: list[Frames], kernels: list[Identity]
) -> None:
    from stackgauge.frames.summary import summarize
    from stackgauge.report.frames import frames_csv, summary_json, summary_text

    summary = summarize(measured)
    with open_output(arguments) as out:
        if arguments.format == "json":
            summary_json(out, kernels, summary)
        elif arguments.format == "csv":
            frames_csv(out, summary.largest)
        else:
            _identities(out, measured, kernels)
            summary_text(out, summary)


def _verify(arguments: argparse.Namespace, images: list[Image]) -> int:
    """Compare all evidence; the check fails where a difference has no known cause."""
    from stackgauge.frames.verify import verify
    from stackgauge.report.frames import verified_csv, verified_json, verified_text

    verified = [(image.name, verify(image)) for image in images]
    with open_output(arguments) as out:
        if arguments.format == "json":
            verified_json(out, verified)
        elif arguments.format == "csv":
            verified_csv(out, verified)
        else:
            verified_text(out, verified)
    return 1 if any(one.unexplained for _, one in verified) else 0


def _checkstack(out: TextIO, rows: list[FrameRow], bits: int, minimum: int) -> None:
    """The script's lines; a function of unknown size has the least that it uses."""
    from stackgauge.report.checkstack import note_least, write_checkstack

    figures = [row.least if row.frame is None else row.frame for row in rows]
    known = [(row, size) for row, size in zip(rows, figures, strict=True) if size is not None]
    write_checkstack(
        out,
        [row.address for row, _ in known],
        [row.function or f"{row.address:#x}" for row, _ in known],
        [row.object.removesuffix(".ko") for row, _ in known],
        [size for _, size in known],
        bits=bits,
        minimum=minimum,
    )
    least = [
        row.function
        for row in rows
        if row.frame is None or (row.kind == "dynamic" and row.least == row.frame)
    ]
    note_least(sys.stderr, least, len(rows))
