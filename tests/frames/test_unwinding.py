"""Where registers are saved is what ``readelf`` says of the same call frame information."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stackgauge.evidence.cfi_programs import NO_REGISTER
from stackgauge.frames.registers import register_name
from stackgauge.frames.unwinding import Unwinding
from stackgauge.image.relocate import relocated
from stackgauge.image.symbols import elf_symbols
from stackgauge.isa import isa_of
from tests.frames.explained import WORK, build
from tests.frames.programs import ALL, LINKED, compiled, opened

BUILDS = {
    "x86-64": ("gcc", "-O2"),
    "frame pointer": ("gcc", "-O1", "-fno-omit-frame-pointer"),
    "no table": ("gcc", "-O2", "-fno-asynchronous-unwind-tables", "-g"),
    "arm64": ("aarch64-linux-gnu-gcc", "-O2"),
    "arm": ("arm-linux-gnueabihf-gcc", "-O2", "-g"),
    "riscv": ("riscv64-linux-gnu-gcc", "-O2", "-g"),
}
_FDE = re.compile(r"[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)")


def readelf(path: Path) -> dict[tuple[int, int], list[tuple[int, dict[str, int]]]]:
    """By the range of an FDE its rows: (address, offsets from the CFA by register)."""
    command = ["readelf", "-wF", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[tuple[int, int], list[tuple[int, dict[str, int]]]] = {}
    rows: list[tuple[int, dict[str, int]]] = []
    names: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if match := _FDE.match(line):
            begin, end = (int(each, 16) for each in match.groups())
            rows = found.setdefault((begin, end), [])
        elif words[:2] == ["LOC", "CFA"]:
            names = words[2:]
        elif words and re.fullmatch("[0-9a-f]{8,16}", words[0]) and len(words) == len(names) + 2:
            rules = zip(names, words[2:], strict=True)
            rows.append(
                (int(words[0], 16), {name: int(rule[1:]) for name, rule in rules if rule[0] == "c"})
            )
        elif "CIE" in line:
            rows = []
    return found


@pytest.mark.parametrize("options", BUILDS.values(), ids=BUILDS)
def test_registers_are_saved_where_readelf_says(options: tuple[str, ...], tmp_path: Path) -> None:
    compiler, *more = options
    path = compiled(tmp_path, *more, *LINKED, compiler=compiler, sources=ALL)
    elf = opened(path)
    symbols, isa = elf_symbols(elf), isa_of(elf)
    unwinding = Unwinding(elf, lambda which: relocated(elf, which, symbols))
    said = readelf(path)
    saved = 0
    for (begin, end), rows in said.items():
        if not rows:  # what the CIE says holds for all of it
            continue
        states = unwinding.states([(begin, end)])
        assert states[0].start == begin
        assert states[-1].end == end
        for state in states:
            # The last of its rows that begins there counts.
            theirs = [rules for at, rules in rows if at <= state.start][-1]
            ours = {}
            for register, rule in state.saved.items():
                assert rule.register == NO_REGISTER
                name = register_name(isa.name, register)
                ours[{"x30": "ra", "lr": "ra"}.get(name, name)] = rule.offset
            assert {name.replace("s0", "fp"): at for name, at in ours.items()} == {
                name.replace("s0", "fp"): at for name, at in theirs.items()
            }
            saved += len(ours)
    assert saved > 10


def test_a_stack_that_is_aligned_saves_by_the_frame_pointer(tmp_path: Path) -> None:
    source = WORK.replace("struct big big;", "struct big big __attribute__((aligned(64)));")
    path = build(tmp_path, source, "-O2", "-m32", "-mincoming-stack-boundary=2")
    elf = opened(path)
    symbols = elf_symbols(elf)
    unwinding = Unwinding(elf, lambda which: relocated(elf, which, symbols))
    text = elf.section(".text")
    assert text is not None
    states = unwinding.states([(text.address, text.address + text.size)])
    based = {rule.register for state in states for rule in state.saved.values()}
    assert based == {NO_REGISTER, 5}
