"""The verb ``explain``: where the bytes of one function's frame go."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from stackgauge.cli.output import add_output_options, open_output
from stackgauge.cli.values import count

if TYPE_CHECKING:
    from stackgauge.calls.callers import Caller
    from stackgauge.calls.graph import Graph
    from stackgauge.frames.explain import Explained
    from stackgauge.frames.listing import FrameRow
    from stackgauge.image.opening import Image


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
    parser.add_argument(
        "--callers", type=count, metavar="N", default=0,
        help="the N callers that call it from deepest (works out all call chains first)",
    )  # fmt: skip
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--format", choices=("text", "csv", "json"), default="text",
        help="how to print (default text)",
    )  # fmt: skip
    shape.add_argument("--json", action="store_const", dest="format", const="json")
    shape.add_argument("--csv", action="store_const", dest="format", const="csv")
    parser.add_argument("--system-map", metavar="FILE", help="symbols of the kernel")
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
    callers = _callers(arguments, images, explained) if arguments.callers else []
    with open_output(arguments) as out:
        if arguments.format == "csv":
            explain_csv(out, explained)
        elif arguments.format == "json":
            explain_json(out, explained, callers)
        else:
            explain_text(out, explained, callers)
    return 0


def _callers(
    arguments: argparse.Namespace, images: list[Image], explained: list[Explained]
) -> list[list[Caller]]:
    """For each function the callers that call it from deepest."""
    from stackgauge.calls.callers import deepest_callers
    from stackgauge.calls.layers import whole_graph
    from stackgauge.calls.survey import Survey
    from stackgauge.kernel.identity import identify

    graph = whole_graph(images)
    isa = graph.frames[0].isa
    survey = Survey(graph, identify(images[0], isa.name, None, isa.red_zone))
    return [
        deepest_callers(survey, row, arguments.callers) if row is not None else []
        for row in (_row(graph, one.row) for one in explained)
    ]


def _row(graph: Graph, wanted: FrameRow) -> int | None:
    """The number of a function in the graph; several may have one name."""
    import numpy as np

    for row in graph.find(wanted.function).tolist():
        index = int(graph.image_of(np.array([row]))[0])
        frames, own = graph.frames[index], row - int(graph.first[index])
        [address] = frames.functions.addresses(frames.image.elf, np.array([own])).tolist()
        if (frames.image.name, address) == (wanted.object, wanted.address):
            return int(row)
    return None
