"""The verb ``depth``: how deep a call chain can go."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.cli.progress import progress
from stackgauge.cli.values import count
from stackgauge.errors import InputError

if TYPE_CHECKING:
    from stackgauge.calls.survey import Survey

# The forms that consist of chains.
_OF_CHAINS = ("collapsed", "speedscope")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "image", nargs="+", metavar="IMAGE",
        help="a kernel, and modules that are taken together with it; or any one object",
    )  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--from", action="append", metavar="FUNC", dest="begin", default=[],
        help="chains that begin with this function, not with entry points",
    )  # fmt: skip
    where.add_argument("--all", action="store_true", help="every function, not only entry points")
    parser.add_argument("--to", metavar="FUNC", help="only chains that lead to this function")
    parser.add_argument("--top", type=count, metavar="N", help="only the N deepest")
    parser.add_argument(
        "--chain", action="store_true", help="the whole chains, with the bytes at each call"
    )
    parser.add_argument(
        "--annotations", action="append", type=Path, metavar="FILE", default=[],
        help="what you know of calls and of recursion (TOML)",
    )  # fmt: skip
    parser.add_argument(
        "--observed", action="append", metavar="LOG", default=[],
        help="calls that traces of the kernel show: ftrace's stack_trace, or a log",
    )  # fmt: skip
    parser.add_argument(
        "--ignore", action="append", metavar="SET", default=[],
        help="leave out calls of a set of functions: diagnostics",
    )  # fmt: skip
    parser.add_argument(
        "--without", action="append", metavar="LAYER", default=[],
        help="leave out what is known of calls by exact, table, type, annotated or observed, "
        "or of recursion",
    )  # fmt: skip
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--format", choices=("text", "csv", "json", "collapsed", "speedscope"), default="text",
        help="how to print (default text); the last two are for flame graphs",
    )  # fmt: skip
    shape.add_argument("--json", action="store_const", dest="format", const="json")
    shape.add_argument("--csv", action="store_const", dest="format", const="csv")
    parser.add_argument("--system-map", type=Path, metavar="FILE", help="symbols of the kernel")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of the kernel")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    survey = _survey(arguments)
    if arguments.begin:
        from stackgauge.calls.starts import Start

        starts = [Start(row) for name in arguments.begin for row in survey.called(name).tolist()]
    elif arguments.all:
        starts = survey.every
    else:
        starts = survey.entries
        if not starts:
            raise InputError(
                arguments.image[0], "has no known entry points: use --from FUNC or --all"
            )
    listed = survey.list(
        starts,
        to=survey.called(arguments.to) if arguments.to else None,
        top=arguments.top,
        chains=arguments.chain or arguments.format in _OF_CHAINS,
    )
    with open_output(arguments) as out:
        if arguments.format in ("collapsed", "speedscope"):
            from stackgauge.report.flame import depth_collapsed, depth_speedscope

            draw = depth_collapsed if arguments.format == "collapsed" else depth_speedscope
            draw(out, listed.rows)
            return 0
        from stackgauge.report.depth import (
            chains_text,
            depth_csv,
            depth_json,
            depth_text,
            on_top_text,
        )

        if arguments.format == "csv":
            depth_csv(out, listed.rows)
            return 0
        # Of chains that begin elsewhere it is not known which stack they are on.
        on_top = [] if arguments.begin or arguments.all else survey.on_top
        if arguments.format == "json":
            depth_json(out, survey.kernel, survey.notes, listed, on_top)
        else:
            from stackgauge.report.frames import identity_text

            identity_text(out, survey.graph.frames[0].image.name, survey.kernel)
            on_top_text(out, on_top)
            if arguments.chain:
                chains_text(out, survey.notes, listed)
            else:
                depth_text(out, survey.notes, listed)
    return 0


def _survey(arguments: argparse.Namespace) -> Survey:
    from stackgauge.calls.annotations import read_annotations
    from stackgauge.calls.layers import whole_graph
    from stackgauge.calls.model import Reason
    from stackgauge.calls.survey import Survey, check_options, reasons_of
    from stackgauge.image.opening import open_images
    from stackgauge.kernel.config import read_config
    from stackgauge.kernel.identity import identify

    # What can be wrong with options is told before the work.
    check_options(arguments.ignore, arguments.without)
    annotations = [rule for path in arguments.annotations for rule in read_annotations(path)]
    config = read_config(arguments.config) if arguments.config else None
    images = [
        image
        for path in arguments.image
        for image in open_images(path, system_map=arguments.system_map)
    ]
    left_out = reasons_of(arguments.without)
    graph = whole_graph(progress(images, "measuring"), left_out)
    if arguments.observed and Reason.OBSERVED not in left_out:
        from stackgauge.calls.observed import observed_calls
        from stackgauge.logs.reading import read_chains

        graph = graph.with_layer(observed_calls(graph, read_chains(arguments.observed).traces))
    isa = graph.frames[0].isa
    return Survey(
        graph,
        identify(images[0], isa.name, config, isa.red_zone),
        annotations=annotations,
        ignore=arguments.ignore,
        without=arguments.without,
    )
