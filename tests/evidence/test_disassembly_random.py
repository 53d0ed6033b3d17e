"""Functions made at random, of which it is known how deep their stack is; and broken texts."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.evidence.disassembly import read_listing
from stackgauge.isa.objdump_patterns import DIALECTS
from tests.evidence.objdump_text import RECORDED, frames, function, text

# A piece of code: its kind, a number, and what is inside it.
Piece = tuple[str, int, tuple["Piece", ...]]


def pieces() -> st.SearchStrategy[tuple[Piece, ...]]:
    leaf = st.tuples(st.sampled_from(["return", "panic", "call"]), st.just(0), st.just(()))
    return st.recursive(
        st.lists(leaf, max_size=1).map(tuple),
        lambda inside: st.lists(
            st.tuples(
                st.sampled_from(["frame", "unless", "loop", "far"]), st.integers(1, 40), inside
            ),
            max_size=3,
        ).map(tuple),
        max_leaves=12,
    )


@dataclass
class Dialect:
    """How an architecture writes what the pieces are made of; ``{}`` is a number or an address."""

    name: str
    grow: str
    shrink: str
    branch: str
    jump: str
    leave: str
    call: str
    word: int = 0
    slot: str = ""


WRITERS = [
    Dialect(
        "x86_64",
        "sub    $0x{:x},%rsp",
        "add    $0x{:x},%rsp",
        "jne    {} <f+0x1>",
        "jmp    {} <f+0x1>",
        "ret",
        "call   90000 <g>",
        word=8,
    ),
    Dialect(
        "arm64",
        "sub\tsp, sp, #0x{:x}",
        "add\tsp, sp, #0x{:x}",
        "cbnz\tx0, {} <f+0x1>",
        "b\t{} <f+0x1>",
        "ret",
        "bl\t90000 <g>",
    ),
    Dialect(
        "mips",
        "addiu\tsp,sp,-{}",
        "addiu\tsp,sp,{}",
        "bnez\tv0,{} <f+0x1>",
        "b\t{} <f+0x1>",
        "jr\tra",
        "jal\t90000 <g>",
        slot="nop",
    ),
]


@dataclass
class Writer:
    """Writes pieces as instructions, and notes how deep the stack is at its deepest."""

    dialect: Dialect
    lines: list[tuple[str, int | None]] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    later: list[tuple[int, int, int, tuple[Piece, ...]]] = field(default_factory=list)
    deepest: int = 0
    labels: int = 0

    def label(self) -> int:
        self.labels += 1
        return self.labels

    def put(self, line: str, label: int | None = None) -> None:
        self.lines.append((line, label))

    def flow(self, line: str, label: int | None = None) -> None:
        self.put(line, label)
        if self.dialect.slot:
            self.put(self.dialect.slot)

    def here(self, label: int) -> None:
        self.places[label] = len(self.lines)

    def write(self, inside: tuple[Piece, ...], depth: int) -> None:
        for piece in inside:
            self.piece(piece, depth)

    def piece(self, piece: Piece, depth: int) -> None:
        kind, number, inside = piece
        to, back = self.label(), self.label()
        if kind == "frame":
            size = 8 * number
            self.put(self.dialect.grow.format(size))
            self.deepest = max(self.deepest, depth + size)
            self.write(inside, depth + size)
            self.put(self.dialect.shrink.format(size))
        elif kind == "far":  # out of line, after the function's end
            self.flow(self.dialect.branch, to)
            self.here(back)
            self.later.append((to, back, depth, inside))
        elif kind == "loop":
            self.here(to)
            self.write(inside, depth)
            self.flow(self.dialect.branch, to)
        elif kind == "call":
            self.flow(self.dialect.call)
        else:  # the others may not go on, so the flow may go around them
            self.flow(self.dialect.branch, to)
            if kind == "unless":
                self.write(inside, depth)
            elif kind == "return":
                if depth:
                    self.put(self.dialect.shrink.format(depth))
                self.flow(self.dialect.leave)
            else:
                self.put(self.dialect.grow.format(8))
                self.deepest = max(self.deepest, depth + 8)
                self.flow(self.dialect.call)
            self.here(to)

    def function(self, inside: tuple[Piece, ...]) -> str:
        self.write(inside, 0)
        self.flow(self.dialect.leave)
        while self.later:
            to, back, depth, body = self.later.pop()
            self.here(to)
            self.write(body, depth)
            self.flow(self.dialect.jump, back)
        self.flow(self.dialect.leave)
        written = (
            line if label is None else line.replace("{}", "{{" + str(self.places[label]) + "}}")
            for line, label in self.lines
        )
        bits = 32 if self.dialect.name == "mips" else 64
        lines = (line.replace("{{", "{").replace("}}", "}") for line in written)
        return function("f", 0x1000, *lines, bits=bits)


@pytest.mark.parametrize("dialect", WRITERS, ids=lambda dialect: str(dialect.name))
@given(inside=pieces(), minimum=st.sampled_from([0, 100]))
def test_the_frame_is_the_deepest_that_any_path_goes(
    dialect: Dialect, inside: tuple[Piece, ...], minimum: int
) -> None:
    writer = Writer(dialect)
    data = text(writer.function((*inside, ("frame", 1, ()))), arch=dialect.name)
    expected = dialect.word + writer.deepest
    found = frames(data, dialect.name, minimum)["f"]
    assert found == expected if expected > minimum else found <= minimum


PIECES = [b"\n", b"<f>:\n", b" <", b"\t", b"9" * 50, b"-", b"0x", b"{", b"%sp"]
TEXTS = [path.read_bytes() for path in sorted(RECORDED.glob("*.txt"))]


@given(
    data=st.data(),
    whole=st.sampled_from(TEXTS),
    dialect=st.sampled_from(DIALECTS),
)
def test_a_broken_text_is_read_or_refused(
    data: st.DataObject, whole: bytes, dialect: object
) -> None:
    start = data.draw(st.integers(0, len(whole)))
    broken = bytearray(whole[start : start + 4000])
    for _ in range(data.draw(st.integers(0, 8))):
        place = data.draw(st.integers(0, max(0, len(broken) - 1)))
        end = place + data.draw(st.integers(0, 60))
        broken[place:end] = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(PIECES)))
    said = ""
    try:
        read_listing(io.BytesIO(bytes(broken)), dialect)  # type: ignore[arg-type]
    except InputError as error:
        said = str(error)
    assert "\n" not in said
