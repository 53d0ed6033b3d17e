"""``stackgauge depth`` on a Debian kernel: CPU, wall time and peak memory, beside what is recorded.

The one other tool known that comes to an end on a linked kernel, NuttX's tools/stackusage.py, is
recorded here, not run: it follows neither calls through pointers nor jumps. puncover had not
finished after five minutes, and package registries have no other that reads such a file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import NamedTuple

from frames import Cost, median, run, show
from kernels import KERNELS

from stackgauge.errors import StackgaugeError


class Recorded(NamedTuple):
    """What NuttX's stackusage.py took on Debian 6.1's vmlinux: seconds of CPU, bytes of memory."""

    cpu: float
    memory: float | None


RECORDED = {"amd64": Recorded(39.6, 1.8e9), "arm64": Recorded(27.0, None)}

# The parts of one run, in seconds of CPU, each by the clock of its own process.
PARTS = """
import sys, time
from stackgauge.image.opening import open_images
from stackgauge.frames.measure import measure
images = open_images(sys.argv[1])
clock = [time.process_time()]
def lap():
    clock.append(time.process_time())
frames = measure(images[0]); lap()
from stackgauge.calls.graph import read_graph
read_graph(images); lap()
from stackgauge.calls.layers import whole_graph
graph = whole_graph(images); lap()
from stackgauge.kernel.identity import identify
from stackgauge.calls.survey import Survey
survey = Survey(graph, identify(images[0], frames.isa.name), ignore=["diagnostics"])
survey.list(survey.entries); lap()
print(*(after - before for before, after in zip(clock, clock[1:])))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arch", choices=RECORDED, default="amd64", help="default: amd64")
    parser.add_argument("--runs", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--image", metavar="VMLINUX", help="default: Debian's, fetched")
    options = parser.parse_args()

    (kernel,) = (one for one in KERNELS if one.arch == options.arch)
    image = options.image or str(kernel.fetch()[1])
    tool = [sys.executable, "-m", "stackgauge.cli.main"]
    commands = {
        "stackgauge frames": [*tool, "frames", image],
        "stackgauge depth, direct calls": [
            *tool, "depth", image, "--ignore", "diagnostics",
            "--without", "exact", "--without", "table", "--without", "type",
        ],
        "stackgauge depth": [*tool, "depth", image, "--ignore", "diagnostics"],
    }  # fmt: skip
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(options.runs + 1):
        for name, command in commands.items():
            costs[name].append(run(command))
    # The first of each warmed the page cache.
    medians = {name: median(each[1:]) for name, each in costs.items()}

    print(f"{image}, {os.path.getsize(image) / 1e6:.0f} MB; medians of {options.runs} runs")
    print(f"{'':36}{'CPU':>10}{'wall':>10}{'peak':>12}")
    for name, cost in medians.items():
        show(name, cost)
    recorded = RECORDED[options.arch]
    print(f"{'NuttX stackusage.py (recorded)':36}{recorded.cpu:8.1f} s", end="")
    print(f"{'':10}{recorded.memory / 1e6:9.0f} MB" if recorded.memory else "")
    ours = medians["stackgauge depth"]
    print(f"{'times less CPU':36}{recorded.cpu / ours.cpu:8.1f}")
    if recorded.memory:
        print(f"{'times less memory':36}{recorded.memory / ours.memory:8.1f}")
    split = subprocess.run(
        [sys.executable, "-c", PARTS, image], check=True, capture_output=True, text=True
    )
    frames, direct, whole, depths = map(float, split.stdout.split())
    print(
        f"CPU: frames {frames:.2f} s, direct calls {direct - frames:.2f} s more, "
        f"indirect ones {whole - direct:.2f} s, all entry points {depths:.2f} s"
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackgaugeError as error:
        sys.exit(f"bench: {error}")
