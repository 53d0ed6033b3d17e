"""How exact frames are, on Debian's kernels: the tables of docs/exactness.md.

Each kernel is fetched with its debug information, every kind of evidence in it is compared
function by function, and the frames of the distributed kernel's unsettled functions are compared
with what GCC says of them (tests/kernels/su-debian-*.tsv). ``make exactness`` writes the page.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from stackgauge.errors import StackgaugeError
from stackgauge.fetch.debian import fetch_debian
from stackgauge.frames.measure import Frames, Kind, measure
from stackgauge.frames.verify import Verified, verify
from stackgauge.image.opening import open_images

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "exactness.md"
TABLES = ROOT / "tests" / "kernels"


@dataclass(frozen=True)
class Kernel:
    """A Debian kernel with debug information; ``table`` is GCC's figures for it, if there are."""

    arch: str
    package: str
    suite: str | None = None
    table: str | None = None


KERNELS = (
    Kernel("amd64", "linux-image-amd64-dbg", table="su-debian-6.1.0-56-amd64.tsv"),
    Kernel("arm64", "linux-image-cloud-arm64-dbg"),
    Kernel("armhf", "linux-image-armmp-dbg"),
    Kernel("armel", "linux-image-rpi-dbg"),
    Kernel("mipsel", "linux-image-4kc-malta-dbg"),
    Kernel("mips64el", "linux-image-5kc-malta-dbg"),
    Kernel("ppc64el", "linux-image-powerpc64le-dbg"),
    Kernel("s390x", "linux-image-s390x-dbg"),
)

HEAD = """\
# How exact it is

Written by `make exactness`: every function of Debian's kernels, with the evidence that each image
has held against the other. Call frame information (CFI) is what the compiler wrote down; the
instructions are read from the code alone, as in an image without debug information. The tests
hold our reading of CFI against binutils' (`readelf -wF`), row by row.
"""

COMPILED = """\
The source compiled with Debian's configuration and compiler; only functions whose code is
Debian's byte for byte. In range: realigned frames, for which GCC gives one alignment of the
caller. Larger: what inline assembly pushes, which GCC does not see.
"""

OUTCOMES = ("equal", "in range", "larger", "dynamic", "unknown", "smaller")


def main() -> int:
    """Measure and write the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", action="append", help="only this architecture of Debian's")
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    rows, causes, compiled = [], [], []
    for kernel in KERNELS:
        if arguments.arch and kernel.arch not in arguments.arch:
            continue
        try:
            path = fetch_debian(
                kernel.package, arch=kernel.arch, suite=kernel.suite, log=sys.stderr
            ).image
        except StackgaugeError as error:
            print(f"{kernel.arch}: left out: {error}", file=sys.stderr)
            continue
        [image] = open_images(path)
        found, frames = verify(image), measure(image)
        name = Path(path).name.removeprefix("vmlinux-")
        rows.append(_row(kernel.arch, name, found, frames))
        causes += _causes(kernel.arch, found)
        if kernel.table:
            compiled.append(_compiled(kernel.arch, TABLES / kernel.table, frames))
    arguments.output.write_text(_page(rows, causes, compiled), encoding="utf-8")
    print(f"written: {arguments.output}")
    return 0


def _row(arch: str, name: str, found: Verified, frames: Frames) -> list[str]:
    pair = next(a for a in found.agreements if (a.one, a.two) == ("cfi", "instructions"))
    own = frames.functions.parent < 0
    unknown = int((frames.kind[own] == Kind.UNKNOWN).sum())
    share = pair.equal / pair.compared if pair.compared else 0
    large = sum(max(one.one, one.two) > 100 and one.one > one.two for one in pair.differences)
    return [
        arch, name, f"{found.functions:,}", f"{found.settled['cfi']:,}", f"{pair.compared:,}",
        f"{pair.equal:,}", f"{share:.3%}", f"{large}", f"{unknown:,}",
    ]  # fmt: skip


def _causes(arch: str, found: Verified) -> list[list[str]]:
    return [
        [arch, f"{agreement.one} and {agreement.two}", str(count), cause]
        for agreement in found.agreements
        for cause, count in Counter(one.cause for one in agreement.differences).most_common()
    ]


def _compiled(arch: str, table: Path, frames: Frames) -> list[str]:
    """Our frames beside GCC's, of functions that the tables of the image do not settle."""
    starts = {int(start): at for at, start in enumerate(frames.functions.start.tolist())}
    counts: Counter[str] = Counter()
    lines = table.read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=True))
        at, size = starts[int(row["address"], 16)], int(row["bytes"])
        least, most = int(frames.least[at]), int(frames.most[at])
        if frames.kind[at] == Kind.UNKNOWN:
            counts["unknown"] += 1
        elif row["kind"] == "dynamic" or frames.kind[at] == Kind.DYNAMIC:
            counts["dynamic"] += 1
        elif least == most == size:
            counts["equal"] += 1
        elif least <= size <= most:
            counts["in range"] += 1
        else:
            counts["larger" if least > size else "smaller"] += 1
    return [arch, f"{len(lines) - 1:,}", *(f"{counts[outcome]:,}" for outcome in OUTCOMES)]


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _page(rows: list[list[str]], causes: list[list[str]], compiled: list[list[str]]) -> str:
    columns = [
        "Debian", "kernel", "functions", "CFI settles", "compared", "equal", "share",
        "over 100 bytes and smaller", "frame unknown",
    ]  # fmt: skip
    parts = [HEAD, "## CFI against instructions\n", _table(columns, rows)]
    if causes:
        parts += [
            "## Every difference, by cause\n",
            _table(["Debian", "between", "functions", "cause"], causes),
        ]
    if compiled:
        parts += [
            "## Functions that no table settles, against GCC\n",
            COMPILED,
            _table(["Debian", "functions", *OUTCOMES], compiled),
        ]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
