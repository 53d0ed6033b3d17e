"""Stackgauge measures Linux kernel stacks.

    >>> import stackgauge
    >>> for image in stackgauge.open_images("vmlinux"):
    ...     frames = stackgauge.measure(image)

Everything that a verb of the command line shows is here; names are loaded when first used, so that
the command line does not pay for what it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from stackgauge.calls.annotations import Rule, read_annotations
    from stackgauge.calls.graph import Graph
    from stackgauge.calls.layers import whole_graph
    from stackgauge.calls.listing import DepthRow
    from stackgauge.calls.survey import Survey
    from stackgauge.calls.traced import compare_traces
    from stackgauge.calls.traced_model import ComparedLine
    from stackgauge.errors import InputError, StackgaugeError, UsageError
    from stackgauge.frames.explain import Explained, explain
    from stackgauge.frames.listing import FrameRow, list_frames
    from stackgauge.frames.measure import Frames, Kind, measure
    from stackgauge.frames.verify import Verified, verify
    from stackgauge.image.opening import Image, open_images
    from stackgauge.kernel.identity import Identity, identify
    from stackgauge.logs.model import Overflow, Task, Trace
    from stackgauge.logs.reading import Chains, Marks, read_chains, read_marks
    from stackgauge.logs.sizes import sized
    from stackgauge.runtime.memory import CoreMarks, read_core_marks

_HOMES = {
    "StackgaugeError": "errors",
    "InputError": "errors",
    "UsageError": "errors",
    "Image": "image.opening",
    "open_images": "image.opening",
    "Identity": "kernel.identity",
    "identify": "kernel.identity",
    "Frames": "frames.measure",
    "Kind": "frames.measure",
    "measure": "frames.measure",
    "Explained": "frames.explain",
    "explain": "frames.explain",
    "FrameRow": "frames.listing",
    "list_frames": "frames.listing",
    "Rule": "calls.annotations",
    "read_annotations": "calls.annotations",
    "Graph": "calls.graph",
    "whole_graph": "calls.layers",
    "DepthRow": "calls.listing",
    "Survey": "calls.survey",
    "ComparedLine": "calls.traced_model",
    "compare_traces": "calls.traced",
    "Overflow": "logs.model",
    "Task": "logs.model",
    "Trace": "logs.model",
    "Chains": "logs.reading",
    "Marks": "logs.reading",
    "read_chains": "logs.reading",
    "read_marks": "logs.reading",
    "sized": "logs.sizes",
    "CoreMarks": "runtime.memory",
    "read_core_marks": "runtime.memory",
    "Verified": "frames.verify",
    "verify": "frames.verify",
}

__all__ = [
    "Chains",
    "ComparedLine",
    "CoreMarks",
    "DepthRow",
    "Explained",
    "FrameRow",
    "Frames",
    "Graph",
    "Identity",
    "Image",
    "InputError",
    "Kind",
    "Marks",
    "Overflow",
    "Rule",
    "StackgaugeError",
    "Survey",
    "Task",
    "Trace",
    "UsageError",
    "Verified",
    "compare_traces",
    "explain",
    "identify",
    "list_frames",
    "measure",
    "open_images",
    "read_annotations",
    "read_chains",
    "read_core_marks",
    "read_marks",
    "sized",
    "verify",
    "whole_graph",
]


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'stackgauge' has no attribute {name!r}")
    return getattr(import_module(f"stackgauge.{home}"), name)
