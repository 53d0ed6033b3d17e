"""The verb ``explain``: where the bytes of one function's frame go."""

from __future__ import annotations

import argparse
from pathlib import Path

from stackgauge.cli.output import add_output_options, open_output


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "image", metavar="IMAGE",
        help="vmlinux, module (.ko, also compressed), object or program; best with debug symbols",
    )  # fmt: skip
    parser.add_argument(
        "function", metavar="FUNCTION",
        help="its name (all functions of that name are explained), or an address as 0x…",
    )  # fmt: skip
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--format", choices=("text", "csv", "json"), default="text",
        help="how to print (default text)",
    )  # fmt: skip
    shape.add_argument("--json", action="store_const", dest="format", const="json")
    shape.add_argument("--csv", action="store_const", dest="format", const="csv")
    parser.add_argument("--system-map", type=Path, metavar="FILE", help="symbols of the kernel")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Explain and print; returns the exit code."""
    from stackgauge.frames.explain import explain_rows
    from stackgauge.frames.finding import find_named, not_found
    from stackgauge.frames.measure import measure
    from stackgauge.image.opening import open_images
    from stackgauge.report.explain import explain_csv, explain_json, explain_text

    images = open_images(arguments.image, system_map=arguments.system_map)
    measured = [measure(image) for image in images]
    explained = [
        one
        for frames in measured
        for one in explain_rows(frames, find_named(frames, arguments.function))
    ]
    if not explained:
        raise not_found(measured, arguments.function)
    with open_output(arguments) as out:
        if arguments.format == "csv":
            explain_csv(out, explained)
        elif arguments.format == "json":
            explain_json(out, explained)
        else:
            explain_text(out, explained)
    return 0
