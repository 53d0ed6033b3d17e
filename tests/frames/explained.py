"""C programs whose frames are explained, compiled in a test's own folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stackgauge.frames.explain import Explained, Part, explain
from stackgauge.frames.measure import measure
from stackgauge.image.opening import open_images

# A structure, a function that is inlined, two arrays that are never needed at once, a call with
# more arguments than registers.
WORK = """\
struct inner { int a; char b[40]; };
struct big { long count; struct inner in[4]; void (*hook)(struct big *, int); };
void sink(void *);
long many(long, long, long, long, long, long, long, long, long, long);
static inline __attribute__((always_inline)) long helper(long n)
{
    char scratch[300];
    sink(scratch);
    return n + scratch[n];
}
long work(long n, long m)
{
    struct big big;
    long r = 0;
    sink(&big);
    r += helper(n);
    if (m) { char first[200]; sink(first); r += first[m]; }
    else { char second[120]; sink(second); r += second[n]; }
    return r + many(1, 2, 3, 4, 5, 6, 7, n, m, r);
}
"""


def build(
    folder: Path, source: str, *options: str, compiler: str = "gcc", linked: bool = False
) -> Path:
    """An object, or what the options say; the test is skipped where the compiler is missing."""
    versions = (compiler, *(f"{compiler}-{version}" for version in range(21, 11, -1)))
    found = next(filter(shutil.which, versions), None)
    if found is None:
        pytest.skip(f"{compiler} is missing")
    (folder / "source.c").write_text(source)
    out = folder / "built"
    command = [found, "-w", "-fno-stack-protector", *(options or ("-O2", "-g")), "source.c"]
    command += [] if linked or "-nostdlib" in options else ["-c"]
    subprocess.run([*command, "-o", out.name], cwd=folder, check=True)
    return out


def explained(path: Path, function: str = "work") -> Explained:
    """One function of a file that has one of that name."""
    [image] = open_images(path)
    [one] = explain(measure(image), function)
    return one


def whole(one: Explained) -> None:
    """Check that the parts are the frame, each byte once, from the top down."""
    top = 0
    for part in one.parts:
        assert part.bytes > 0
        assert part.offset + part.bytes == top
        top = part.offset
    assert top == -one.size
    assert sum(one.totals.values()) == one.size


def part(one: Explained, name: str) -> Part:
    """The one part of that name."""
    [found] = [each for each in one.parts if each.name == name]
    return found
