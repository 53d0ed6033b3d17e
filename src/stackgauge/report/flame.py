"""Chains for the tools that draw flame graphs; widths are bytes of stack.

Each function is as wide as its own bytes and those of all that it calls in the chain.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from stackgauge import __version__
from stackgauge.report.depth import step_name
from stackgauge.report.text import printable

if TYPE_CHECKING:
    from stackgauge.calls.listing import DepthRow

_SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def depth_collapsed(out: TextIO, rows: Sequence[DepthRow]) -> None:
    """A line a stack, ``outermost;...;innermost BYTES``, as flamegraph.pl reads it.

    The bytes are those of the innermost; what several chains have in common is added up.
    """
    stacks: Counter[str] = Counter()
    for row in rows:
        path: list[str] = []
        for step in row.steps:
            # What separates functions can't be part of a name.
            path.append(printable(step_name(step)).replace(";", ":"))
            if step.bytes:
                stacks[";".join(path)] += step.bytes
    out.writelines(f"{path} {size}\n" for path, size in stacks.items())


def depth_speedscope(out: TextIO, rows: Sequence[DepthRow]) -> None:
    """One profile a chain, in speedscope's format (src/lib/file-format-spec.ts)."""
    frames: dict[str, int] = {}
    profiles = []
    for row in rows:
        path: list[int] = []
        samples, weights = [], []
        for step in row.steps:
            path.append(frames.setdefault(step_name(step), len(frames)))
            samples.append(list(path))
            weights.append(step.bytes)
        what = f" ({row.entry})" if row.entry else ""
        profiles.append(
            {
                "type": "sampled",
                "name": f"{row.function}{what}, {row.status}",
                "unit": "bytes",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        )
    facts = {
        "$schema": _SPEEDSCOPE_SCHEMA,
        "version": "0.0.1",
        "exporter": f"stackgauge {__version__}",
        "name": "depth",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": profiles,
    }
    json.dump(facts, out, separators=(",", ":"))
    out.write("\n")
