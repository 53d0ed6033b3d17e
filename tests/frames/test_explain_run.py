"""Variables lie where the running program has them."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from tests.frames.explained import build, explained, part, whole

# Prints where each variable is, less the CFA, which is the stack pointer before the call.
PLACES = """\
int printf(const char *, ...);
struct pair { long one; char two[24]; };
static __attribute__((noinline)) void show(const char *name, char *cfa, void *place)
{
    printf("%s %ld\\n", name, (char *)place - cfa);
}
#define SHOW(variable) show(#variable, __builtin_dwarf_cfa(), &variable)
__attribute__((noinline)) long work(long number)
{
    struct pair pair; char text[100]; long counter = number; short table[7];
    SHOW(pair); SHOW(text); SHOW(counter); SHOW(table);
    return pair.one + text[number] + counter + table[number];
}
int main(void) { return work(3) == 12345; }
"""
# The same where the stack is aligned, but by nothing: the frame as it is laid out.
SIZES = {"pair": 32, "text": 100, "counter": 8, "table": 14}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the program must run here")
@pytest.mark.parametrize(
    "options",
    [
        ("-O2", "-g"),
        ("-O0", "-g"),
        ("-O2", "-gdwarf-4", "-fno-omit-frame-pointer"),
        ("-O2", "-g", "-fstack-protector-all"),
        ("-Os", "-g", "-fno-dwarf2-cfi-asm"),
    ],
)
def test_places_are_those_of_the_running_program(tmp_path: Path, options: tuple[str, ...]) -> None:
    program = build(tmp_path, PLACES, *options, linked=True)
    said = subprocess.run([program], capture_output=True, text=True, check=False).stdout
    places = dict(line.split() for line in said.splitlines())
    one = explained(program)
    whole(one)
    assert {*places} == {*SIZES}
    for name, place in places.items():
        found = part(one, name)
        assert (found.offset, found.bytes) == (int(place), SIZES[name]), name
