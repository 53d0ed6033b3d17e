"""The verb ``traces``: observed chains of calls beside what the image says of each call."""

from __future__ import annotations

import argparse

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.cli.progress import progress


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "log", nargs="+", metavar="LOG",
        help="ftrace's stack_trace, or a log with call traces; - is standard input; or the run "
        "folder of a boot",
    )  # fmt: skip
    parser.add_argument(
        "--image", action="append", metavar="IMAGE", default=[],
        help="the kernel that printed them, and then modules",
    )  # fmt: skip
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_const", dest="format", const="json")
    shape.add_argument("--csv", action="store_const", dest="format", const="csv")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read, compare and print; returns the exit code."""
    from stackgauge.calls.traced_model import STATUSES, ComparedLine
    from stackgauge.logs.reading import read_chains
    from stackgauge.report.traces import traces_csv, traces_json, traces_text
    from stackgauge.runtime.manifest import logs_of

    chains = read_chains([log for path in arguments.log for log in logs_of(path, "traces")])
    traces = chains.traces
    if arguments.image:
        from stackgauge.calls.traced import compare_traces
        from stackgauge.image.opening import open_images

        images = [image for path in arguments.image for image in open_images(path)]
        lines = compare_traces(traces, progress(images, "measuring"))
    else:
        lines = [
            [ComparedLine(line, None, None, "" if line.sure else "unsure") for line in each.lines]
            for each in traces
        ]
    compared = list(zip(traces, lines, strict=True))
    with open_output(arguments) as out:
        if arguments.format == "csv":
            traces_csv(out, compared)
        elif arguments.format == "json":
            traces_json(out, compared, chains.max_size)
        else:
            traces_text(out, compared, STATUSES, chains.max_size)
    return 0
