"""``stackgauge frames`` against ``objdump -d | checkstack.pl``: CPU, wall time and peak memory.

Both read the same kernel, in turn, several times, from a warm page cache; process start counts.
Beside them stands the floor, what a Python program that reads the same bytes cannot go below.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kernels import KERNELS, Kernel

from stackgauge.errors import StackgaugeError
from stackgauge.fetch.apt import Apt, Package
from stackgauge.fetch.packages import fetch_packages
from stackgauge.fetch.unpack import Part

TARGETS = {kernel.arch: kernel for kernel in KERNELS if kernel.script}

CHECKSTACK = Part("checkstack", re.compile(r"usr/lib/linux-kbuild-[^/]+/scripts/checkstack\.pl"))

# What ``frames`` reads of a vmlinux with debug information, for the floor.
SECTIONS = (
    ".symtab .strtab .orc_unwind .orc_unwind_ip .orc_header .debug_frame .eh_frame"
    " .ARM.unwind_idx .ARM.unwind_tab"
    " .debug_abbrev .debug_info .debug_line .debug_line_str .debug_str"
)

START = "import numpy"
READ = """
import sys
from stackgauge.image.elf import parse_elf
from stackgauge.image.source import map_file
elf = parse_elf(map_file(sys.argv[1]), sys.argv[1])
sections = [elf.contents(name) for name in sys.argv[2].split()]
for section in sections:
    section[::4096].sum()
print(sum(map(len, sections)))
"""


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds of CPU and of wall time, bytes of memory at its peak.

    Of a pipeline, CPU is the sum of its processes, memory the largest of them alone: which of
    them had how much at the same time is not known, and the doubt is the peer's to have.
    """

    cpu: float
    wall: float
    memory: float


def run(*pipeline: Sequence[str]) -> Cost:
    """Run commands, each reading what the one before writes, and add up what they took."""
    start = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    for number, command in enumerate(pipeline):
        before = processes[-1].stdout if processes else subprocess.DEVNULL
        last = number == len(pipeline) - 1
        after = subprocess.DEVNULL if last else subprocess.PIPE
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        processes.append(subprocess.Popen(command, stdin=before, stdout=after, env=environment))
        if processes[:-1]:
            assert processes[-2].stdout is not None
            processes[-2].stdout.close()  # so that only the next one holds the pipe's end
    cpu = memory = 0.0
    for process, command in zip(processes, pipeline, strict=True):
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise StackgaugeError(f"{' '.join(command)}: exit code {process.returncode}")
        cpu += used.ru_utime + used.ru_stime
        memory = max(memory, used.ru_maxrss * 1024)
    return Cost(cpu, time.perf_counter() - start, memory)


def median(costs: list[Cost]) -> Cost:
    """The median of each measure by itself."""
    return Cost(
        *(statistics.median(getattr(c, name) for c in costs) for name in ("cpu", "wall", "memory"))
    )


def find_checkstack() -> Path:
    """The kernel's script, out of the package that Debian's kernel headers depend on."""

    def choose(apt: Apt) -> list[Package]:
        package = apt.find(f"linux-headers-{apt.architecture}")
        for pattern in (r"linux-headers-\d.*", r"linux-kbuild-\d.*"):
            package = apt.find(package.depends_on(re.compile(pattern))[0])
        return [package]

    (unpacked,) = fetch_packages(choose, [CHECKSTACK], log=sys.stderr)
    return unpacked.paths[0]


def show(name: str, cost: Cost) -> None:
    print(f"{name:36}{cost.cpu:8.3f} s{cost.wall:8.3f} s{cost.memory / 1e6:9.1f} MB")


def measure(kernel: Kernel, image: str, script: str, runs: int, sections: str) -> list[str]:
    """Measure one kernel and print what it took; returns the kernel's line of the table."""
    peer = ([f"{kernel.tools}objdump", "-d", image], ["perl", script, kernel.script])
    ours = [sys.executable, "-m", "stackgauge.cli.main", "frames", image]
    start = [sys.executable, "-c", START]
    read = [sys.executable, "-c", READ, image, sections]
    size = int(subprocess.run(read, check=True, capture_output=True).stdout)

    costs: dict[str, list[Cost]] = {"peer": [], "ours": [], "start": [], "read": []}
    for _ in range(runs + 1):
        costs["peer"].append(run(*peer))
        costs["ours"].append(run(ours))
        costs["start"].append(run(start))
        costs["read"].append(run(read))
    # The first of each warmed the page cache.
    medians = {name: median(each[1:]) for name, each in costs.items()}

    theirs, mine = medians["peer"], medians["ours"]
    print(f"{image}, {os.path.getsize(image) / 1e6:.0f} MB; medians of {runs} runs")
    print(f"{'':36}{'CPU':>10}{'wall':>10}{'peak':>12}")
    show("objdump -d | checkstack.pl", theirs)
    show("stackgauge frames", mine)
    ratios = theirs.cpu / mine.cpu, theirs.wall / mine.wall, theirs.memory / mine.memory
    print(f"{'times less':36}{ratios[0]:8.1f}  {ratios[1]:8.1f}  {ratios[2]:9.2f}")
    show("floor: start Python with NumPy", medians["start"])
    show(f"floor: and read {size / 1e6:.0f} MB", medians["read"])
    print(flush=True)
    cells = [f"{theirs.cpu:.2f} s", f"{mine.cpu:.2f} s", f"{ratios[0]:.1f}"]
    cells += [f"{theirs.wall:.2f} s", f"{mine.wall:.2f} s", f"{ratios[1]:.1f}"]
    cells += [f"{theirs.memory / 1e6:.0f} MB", f"{mine.memory / 1e6:.0f} MB"]
    return [kernel.arch, *cells]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--arch", action="append", choices=[*TARGETS, "all"], help="Debian's name (default: amd64)"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each (default: 5)")
    parser.add_argument("--image", metavar="VMLINUX", help="default: Debian's, fetched")
    parser.add_argument("--checkstack", metavar="PATH", help="default: Debian's, fetched")
    parser.add_argument("--sections", default=SECTIONS, help=f"that are read: {SECTIONS}")
    options = parser.parse_args()

    arches = options.arch or ["amd64"]
    arches = list(TARGETS) if "all" in arches else arches
    if options.image and len(arches) > 1:
        parser.error("--image is of one architecture")
    script = options.checkstack or str(find_checkstack())
    rows = []
    for arch in arches:
        kernel = TARGETS[arch]
        try:
            image = options.image or str(kernel.fetch()[1])
            rows.append(measure(kernel, image, script, options.runs, options.sections))
        except (StackgaugeError, FileNotFoundError) as error:
            if len(arches) == 1:
                raise StackgaugeError(str(error)) from error
            print(f"{arch}: left out: {error}\n", file=sys.stderr)
    if len(rows) > 1:
        sides = "script | ours | ratio"
        print(f"| Debian | CPU: {sides} | wall: {sides} | peak: script | ours |")
        print("| --- " * 9 + "|")
        for row in rows:
            print(f"| {' | '.join(row)} |")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackgaugeError as error:
        sys.exit(f"bench: {error}")
