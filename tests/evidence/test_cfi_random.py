"""Random call frame programs, held against an interpreter that takes one instruction at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.evidence.table import UNKNOWN
from tests.evidence.cfi_sections import Frames, read, sleb, uleb

CODE_FACTOR, DATA_FACTOR = 4, -8

Instruction = tuple[str, int, int]
Rule = tuple[int, int]

registers = st.integers(0, 200)
offsets = st.integers(0, 5000)
instructions = st.one_of(
    st.tuples(st.just("advance"), st.integers(0, 63), st.just(0)),
    st.tuples(st.just("advance1"), st.integers(0, 255), st.just(0)),
    st.tuples(st.just("advance2"), st.integers(0, 1000), st.just(0)),
    st.tuples(st.just("advance4"), st.integers(0, 1000), st.just(0)),
    st.tuples(st.just("def_cfa"), registers, offsets),
    st.tuples(st.just("def_cfa_sf"), registers, st.integers(-5000, 0)),
    st.tuples(st.just("def_cfa_register"), registers, st.just(0)),
    st.tuples(st.just("def_cfa_offset"), offsets, st.just(0)),
    st.tuples(st.just("def_cfa_offset_sf"), st.integers(-5000, 0), st.just(0)),
    st.tuples(st.just("expression"), st.integers(0, 140), st.just(0)),
    st.tuples(st.just("remember"), st.just(0), st.just(0)),
    st.tuples(st.just("restore"), st.just(0), st.just(0)),
    st.tuples(st.just("offset"), st.integers(0, 63), offsets),
    st.tuples(st.just("nop"), st.just(0), st.just(0)),
)
programs = st.lists(instructions, max_size=30)


def encoded(instruction: Instruction) -> bytes:
    match instruction:
        case "advance", delta, _:
            return bytes([0x40 | delta])
        case "advance1", delta, _:
            return b"\x02" + delta.to_bytes(1, "little")
        case "advance2", delta, _:
            return b"\x03" + delta.to_bytes(2, "little")
        case "advance4", delta, _:
            return b"\x04" + delta.to_bytes(4, "little")
        case "def_cfa", register, offset:
            return b"\x0c" + uleb(register) + uleb(offset)
        case "def_cfa_sf", register, offset:
            return b"\x12" + uleb(register) + sleb(offset)
        case "def_cfa_register", register, _:
            return b"\x0d" + uleb(register)
        case "def_cfa_offset", offset, _:
            return b"\x0e" + uleb(offset)
        case "def_cfa_offset_sf", offset, _:
            return b"\x13" + sleb(offset)
        case "expression", size, _:
            return b"\x0f" + uleb(size) + b"\x0e" * size
        case "offset", register, offset:
            return bytes([0x80 | register]) + uleb(offset)
        case name, _, _:
            return {"remember": b"\x0a", "restore": b"\x0b", "nop": b"\0"}[name]


@dataclass
class Machine:
    """Executes a program: (register, offset) at each address, None where it is not known."""

    rule: tuple[int | None, int | None]
    at: int = 0
    stack: list[tuple[int | None, int | None]] = field(default_factory=list)
    log: list[tuple[int, tuple[int | None, int | None]]] = field(default_factory=list)

    def step(self, instruction: Instruction) -> None:
        """Raises IndexError where a state is restored that was not remembered."""
        register, offset = self.rule
        match instruction:
            case (("advance" | "advance1" | "advance2" | "advance4"), delta, _):
                self.log.append((self.at, self.rule))
                self.at += delta * CODE_FACTOR
            case "def_cfa", one, other:
                self.rule = one, other
            case "def_cfa_sf", one, other:
                self.rule = one, other * DATA_FACTOR
            case "def_cfa_register", one, _:
                self.rule = one, offset
            case "def_cfa_offset", one, _:
                self.rule = register, one
            case "def_cfa_offset_sf", one, _:
                self.rule = register, one * DATA_FACTOR
            case "expression", _, _:
                self.rule = None, None
            case "remember", _, _:
                self.stack.append(self.rule)
            case "restore", _, _:
                self.rule = self.stack.pop()


def expected(program: list[Instruction], initial: Rule, size: int) -> list[tuple[int, int, int]]:
    """(start, register, depth) of a function's rows, told again where nothing changes."""
    machine = Machine(rule=initial)
    try:
        for instruction in program:
            machine.step(instruction)
    except IndexError:
        return [(0, -1, UNKNOWN)]
    machine.log.append((machine.at, machine.rule))
    # A later one at the same address replaces an earlier.
    rules = {at: rule for at, rule in machine.log if at < size}
    return [
        (
            at,
            -1 if register is None else register,
            UNKNOWN if register is None or offset is None else offset,
        )
        for at, (register, offset) in rules.items()
    ]


def without_repetitions(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    return [row for n, row in enumerate(rows) if n == 0 or row[1:] != rows[n - 1][1:]]


@settings(max_examples=100, deadline=None)
@given(
    functions=st.lists(st.tuples(programs, st.integers(1, 4000)), max_size=150),
    initial=st.tuples(registers, offsets),
    eh=st.booleans(),
)
def test_random_programs(
    functions: list[tuple[list[Instruction], int]], initial: Rule, eh: bool
) -> None:
    frames = Frames(eh=eh)
    cie = frames.cie(
        encoded(("def_cfa", *initial)), code_factor=CODE_FACTOR, data_factor=DATA_FACTOR
    )
    wanted = []
    for number, (program, size) in enumerate(functions):
        start = 0x1000 * (number + 1)
        frames.fde(cie, start, size, b"".join(map(encoded, program)))
        rows = without_repetitions(expected(program, initial, size))
        wanted += [(start + at, register, depth) for at, register, depth in rows]
    cfi = read(frames)
    found = list(
        zip(cfi.rows.start.tolist(), cfi.register.tolist(), cfi.rows.depth.tolist(), strict=True)
    )
    # Two rules that are both unknown can be two rows.
    assert [row for n, row in enumerate(found) if n == 0 or not _same(found[n - 1], row)] == wanted
    assert (cfi.rows.end[:-1] <= cfi.rows.start[1:]).all()


def _same(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return one[0] // 0x1000 == other[0] // 0x1000 and one[1:] == other[1:]
