"""How exact frames are, on Debian's kernels: the tables of docs/exactness.md.

Each kernel is fetched with its debug information, every kind of evidence in it is compared
function by function and row by row, and frames are compared with what GCC says of them
(tests/kernels/su-*.tsv). ``make exactness`` writes the page.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from kernels import KERNELS

from stackgauge.errors import StackgaugeError
from stackgauge.evidence.table import Base, known, no_rows, sample
from stackgauge.frames.measure import Frames, Kind, Measurer, measure
from stackgauge.frames.verify import Verified, verify
from stackgauge.image.opening import open_images

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "exactness.md"
TABLES = ROOT / "tests" / "kernels"


HEAD = """\
# How exact it is

Written by `make exactness`: every function of Debian's kernels, with the evidence that each image
has held against the other. Call frame information (CFI) is what the compiler wrote down; the
instructions are read from the code alone, as in an image without debug information. The tests
hold our reading of CFI against binutils' (`readelf -wF`), row by row.
"""

BY_FUNCTION = """\
Functions of which CFI settles the frame: it counts from the stack pointer all through. Debian 12
has no riscv64 and loong64; these two kernels are of Debian unstable.
"""

BY_ROW = """\
Where functions keep a frame pointer (i386 and riscv64 throughout), CFI still counts from the stack
pointer from where the prologue takes stack. Every such row of CFI that tells of stack taken, beside
what the instructions say at its address. In range: the instructions leave it open, on paths that
they cannot tell. Unreached or unknown: no path leads there from where the function is entered, or
the instructions leave the function unknown.
"""

COMPILED = """\
The source compiled with Debian's configuration and compiler; only functions whose code is
Debian's byte for byte. Of amd64 those that ORC does not settle, of the others all of some files.
By pointer: those in which CFI does not count from the stack pointer, so that it cannot say the
frame. In range: realigned frames, for which GCC gives one alignment of the caller. Larger: what
GCC's figure leaves out.
"""

CAUSES = """\
The same, and every function of kernels that the tests build (trimmed, from Debian's source), where
ours is not GCC's figure.
"""

OUTCOMES = ("equal", "in range", "larger", "dynamic", "unknown", "smaller")


def main() -> int:
    """Measure and write the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", action="append", help="only this architecture of Debian's")
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    by_function, by_row, causes, compiled, missing = [], [], [], [], []
    for kernel in KERNELS:
        if arguments.arch and kernel.arch not in arguments.arch:
            continue
        try:
            name, path = kernel.fetch()
        except StackgaugeError as error:
            print(f"{kernel.arch}: left out: {error}", file=sys.stderr)
            missing.append(kernel.arch)
            continue
        [image] = open_images(path)
        found, work = verify(image), Measurer(image)
        frames = measure(image, work)
        by_function.append(_by_function(kernel.arch, name, found, frames))
        by_row.append(_by_row(kernel.arch, work))
        causes += _causes(kernel.arch, found)
        if name == f"{kernel.release}-{kernel.flavour}":
            compiled.append(_compiled(kernel.arch, name, work, frames))
    page = _page(by_function, by_row, causes, compiled, missing)
    arguments.output.write_text(page, encoding="utf-8")
    print(f"written: {arguments.output}")
    return 0


def _by_function(arch: str, name: str, found: Verified, frames: Frames) -> list[str]:
    pair = next(a for a in found.agreements if (a.one, a.two) == ("cfi", "instructions"))
    own = frames.functions.parent < 0
    unknown = int((frames.kind[own] == Kind.UNKNOWN).sum())
    large = sum(max(one.one, one.two) > 100 and one.one > one.two for one in pair.differences)
    return [
        arch, name, f"{found.functions:,}", f"{found.settled['cfi']:,}", f"{pair.compared:,}",
        f"{pair.equal:,}", _share(pair.equal, pair.compared), f"{large}", f"{unknown:,}",
    ]  # fmt: skip


def _by_row(arch: str, work: Measurer) -> list[str]:
    """CFI's rows that count from the stack pointer beside the instructions' depth there."""
    functions, cfi = work.functions, work.cfi
    rows, read = work.instructions(np.ones(len(functions), bool), no_rows())
    # A row without stack may begin at a return, and so be of no instruction at all.
    cfi = cfi.take(known(cfi) & (cfi.base == Base.SP) & (cfi.depth > work.isa.entry_depth))
    function = functions.routine[np.searchsorted(functions.start, cfi.start, side="right") - 1]
    at = sample(rows, cfi.start)
    there = rows.take(np.maximum(at, 0))
    told = (at >= 0) & known(there) & read.settled[function]
    equal = told & (there.depth == cfi.depth) & (there.most == cfi.depth)
    holds = told & ~equal & (there.depth <= cfi.depth) & (cfi.depth <= there.most)
    smaller = told & (there.most < cfi.depth)
    compared = np.unique(function[told])
    exact = np.setdiff1d(compared, function[told & ~equal])
    counts = (len(compared), len(exact), len(cfi), equal.sum(), holds.sum())
    rest = (told & ~equal & ~holds & ~smaller).sum(), (~told).sum(), smaller.sum()
    return [arch, *(f"{int(count):,}" for count in (*counts, *rest))]


def _causes(arch: str, found: Verified) -> list[list[str]]:
    return [
        [arch, f"{agreement.one} and {agreement.two}", str(count), cause]
        for agreement in found.agreements
        for cause, count in Counter(one.cause for one in agreement.differences).most_common()
    ]


def _compiled(arch: str, name: str, work: Measurer, frames: Frames) -> list[str]:
    """Our frames beside GCC's, of functions that the tables of the image do not settle."""
    functions, cfi = work.functions, work.cfi
    starts = {int(start): at for at, start in enumerate(functions.start.tolist())}
    places = cfi.start[cfi.base == Base.OTHER]
    pointer = set(np.searchsorted(functions.start, places, side="right") - 1)
    counts: Counter[str] = Counter()
    lines = (TABLES / f"su-debian-{name}.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=True))
        at, size = starts[int(row["address"], 16)], int(row["bytes"])
        least, most = int(frames.least[at]), int(frames.most[at])
        counts["by pointer"] += at in pointer
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
    figures = (counts[outcome] for outcome in ("by pointer", *OUTCOMES))
    return [arch, f"{len(lines) - 1:,}", *(f"{count:,}" for count in figures)]


def _listed() -> list[list[str]]:
    """The differences from GCC's figures that the tests list, by cause."""
    rows = []
    for path in sorted(TABLES.glob("su-*-differences.tsv")):
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        name = path.name.removeprefix("su-").removesuffix("-differences.tsv").replace("-", " ", 1)
        for cause, count in Counter(line.split("\t")[3] for line in lines).most_common():
            rows.append([name, str(count), cause])
    return rows


def _share(part: int, whole: int) -> str:
    """In percent, and never 100 where a part is missing; empty of nothing."""
    if not whole:
        return ""
    return "100%" if part == whole else f"{min(part / whole, 0.99999):.3%}"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _page(
    by_function: list[list[str]],
    by_row: list[list[str]],
    causes: list[list[str]],
    compiled: list[list[str]],
    missing: list[str],
) -> str:
    parts = [HEAD]
    if missing:
        parts.append(f"Not reachable when this was written: {', '.join(missing)}.\n")
    columns = [
        "Debian", "kernel", "functions", "CFI settles", "compared", "equal", "share",
        "over 100 bytes and smaller", "frame unknown",
    ]  # fmt: skip
    parts += ["## CFI against instructions, by function\n", BY_FUNCTION]
    parts.append(_table(columns, by_function))
    columns = [
        "Debian", "functions", "equal in all rows", "rows", "equal", "in range", "larger",
        "unreached or unknown", "smaller",
    ]  # fmt: skip
    parts += ["## CFI against instructions, by row\n", BY_ROW, _table(columns, by_row)]
    parts.append("## Every difference between the kinds of evidence, by cause\n")
    parts.append(_table(["Debian", "between", "functions", "cause"], causes))
    columns = ["Debian", "functions", "by pointer", *OUTCOMES]
    parts += ["## Frames against GCC's figures\n", COMPILED, _table(columns, compiled)]
    parts += ["## Every difference from GCC's figures, by cause\n", CAUSES]
    parts.append(_table(["kernel", "functions", "cause"], _listed()))
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
