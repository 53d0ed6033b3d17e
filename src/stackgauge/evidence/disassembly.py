"""Frames from ``objdump -d`` text: a function's stack followed along its branches.

Of each function only the lines that matter to the stack are looked at (``Dialect.lines``), and only
of a function that can exceed the wanted minimum are the paths followed. The depth of the stack is
carried from the first instruction along every path that the text shows, so that what an epilogue
gives back is not added to what the prologue took, and code after a return starts at the depth of
the branch that goes there. A ``.cold`` piece starts at the depth of its parent's branch into it,
and counts as the parent's.

Python's loops are right here: the input is text that can only be read once and in order; one
regular expression picks the lines that matter out of each function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from stackgauge.errors import InputError
from stackgauge.evidence.objdump_code import Code, Lines
from stackgauge.evidence.objdump_flow import Place, Stack, follow
from stackgauge.isa.objdump_patterns import DIALECTS, Dialect

# Bytes read at a time, and kept of one line; none of objdump's is as long.
_BLOCK = 1 << 20
# What lies after a function's last instruction: the heading of the next section or file.
_TAIL = 1 << 12
_GAP = 3
# Bytes that a function's name can have; the kernel's kallsyms allows 512.
_NAME = 512

_HEADER = re.compile(rb"([0-9a-f]+) <(.*)")
# objdump also shows the assembler's own labels amid functions, where the linker may move code.
_LOCAL_LABEL = re.compile(rb"[.$]L.*|L\d+(?:\^[AB]|[\x01\x02]).*")
_FORMAT = re.compile(rb"^(.*):\s*file format (\S+)", re.MULTILINE)
_COLD = re.compile(rb"\.cold")
_LINE = re.compile(rb" *([0-9a-f]+):[\t ]")
_INTO_COLD = re.compile(
    rb"[\t ,](?:0x)?([0-9a-f]++) <[^<>\n+]*\.cold[^<>\n+]*(?:\+0x([0-9a-f]++))?>"
)


@dataclass
class Listing:
    """Functions in the order of the text, in columns of one length.

    Attributes:
        address: where each begins.
        function: its name.
        object: the file that it is in, without folders and ``.ko``.
        frame: bytes of stack that it uses; exact only where above the minimum asked for; at
            least so many where it is dynamic.
        dynamic: it may use more, which the text does not tell.
        bits: size of an address.
    """

    address: list[int] = field(default_factory=list)
    function: list[str] = field(default_factory=list)
    object: list[str] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)
    dynamic: list[bool] = field(default_factory=list)
    bits: int = 64


def read_listing(
    stream: BinaryIO, dialect: Dialect, *, minimum: int = 0, where: str = "standard input"
) -> Listing:
    """Measure the functions of ``objdump -d`` text.

    Args:
        stream: the text. It is read in blocks; memory is bounded by the longest function, the
            text of ``.cold`` pieces and a few words a function.
        dialect: the architecture it is of.
        minimum: frames up to so many bytes need not be exact.
        where: what the stream is called in errors.

    Raises:
        InputError: the text shows no object file, or one of another architecture.
    """
    reader = _Reader(dialect, minimum, where)
    try:
        for text in _whole_lines(stream):
            reader.take(text)
    except OSError as error:
        raise InputError(where, (error.strerror or str(error)).lower()) from error
    return reader.finish()


class _Function(NamedTuple):
    """A function's text, from its header's address and name on."""

    address: bytes
    name: bytes
    file: int
    code: Code
    text: bytes


class _Reader:
    """What is known while the text goes by, a block of whole lines at a time."""

    def __init__(self, dialect: Dialect, minimum: int, where: str) -> None:
        self.dialect = dialect
        self.minimum = minimum
        self.where = where
        self.codes: dict[int, Code] = {}
        self.listing = Listing(bits=0)
        self.moved = False
        # The text since the last header, and that header's address and name.
        self.pieces: list[bytes] = []
        self.header: tuple[bytes, bytes] | None = None
        # The file that it is in, and how many came before: addresses repeat from one to the next.
        self.object = ""
        self.format = b""
        self.file = 0
        self.files: list[int] = []
        self.cold: list[_Function] = []
        # Branches into each cold piece (file, address of its beginning), and the rows they are of.
        self.into_cold: dict[tuple[int, int], list[tuple[int, Place]]] = {}

    def take(self, text: bytes) -> None:
        *ended, rest = text.split(b">:\n")
        for part in ended:
            start = part.rfind(b"\n") + 1
            header = _HEADER.fullmatch(part, start)
            if header is None or _LOCAL_LABEL.fullmatch(header[2]):
                self.pieces.append(part + b">:\n")
                continue
            self.pieces.append(part)
            # Between functions is an empty line, and the heading of a section that begins.
            self.end_function(heading=start < _GAP or b":\n" in part[start - _GAP : start])
            self.header = header[1], header[2]
        self.pieces.append(rest)
        if self.header is None:
            # Nothing but a file's heading is needed of what comes before the first function.
            self.pieces = [b"".join(self.pieces)[-_TAIL:]]

    def end_function(self, *, heading: bool) -> None:
        """Measure the function whose text is complete, and see whether another file begins."""
        text = b"".join(self.pieces)
        self.pieces = []
        if self.header is not None:
            address, name = self.header
            function = _Function(address, name, self.file, self.code(address), text)
            if b".cold" in name:
                self.cold.append(function)
            else:
                self.add(function)
        headings = _FORMAT.findall(text[-_TAIL:]) if heading else []
        if headings:
            name, self.format = headings[-1]
            self.object = _text(name.replace(b".ko", b"", 1).rpartition(b"/")[2])
            self.file += 1
            self.check_format()

    def check_format(self) -> None:
        name = _text(self.format)
        if re.fullmatch(self.dialect.formats, name):
            return
        for other in DIALECTS:
            if re.fullmatch(other.formats, name):
                what = f"{self.object} is of architecture {other.name}, not {self.dialect.name}"
                raise InputError(self.where, what)

    def code(self, address: bytes) -> Code:
        # A file of x32 code has short addresses and pushes long ones.
        short = len(address) <= 8 and b"x86-64" not in self.format
        bits = 32 if len(address) <= 8 else 64
        self.listing.bits = max(self.listing.bits, bits)
        size = 4 if short else 8
        if size not in self.codes:
            self.codes[size] = Code(self.dialect, size)
        return self.codes[size]

    def add(self, function: _Function) -> None:
        most, exact = function.code.most(function.text)
        self.moved = self.moved or most > function.code.entry
        into_cold = _branches_into_cold(function.text)
        start = int(function.address, 16)
        if (exact or most <= self.minimum) and not into_cold:
            self.row(function, most)
            return
        stack = _follow(function, [(start, function.code.entry, {})])
        row = self.row(function, stack.frame, dynamic=stack.dynamic)
        for place in stack.exits:
            if place[0] in into_cold:
                piece = (function.file, into_cold[place[0]])
                self.into_cold.setdefault(piece, []).append((row, place))

    def row(self, function: _Function, frame: int, *, dynamic: bool = False) -> int:
        listing = self.listing
        listing.address.append(int(function.address, 16))
        listing.function.append(_text(function.name))
        listing.object.append(self.object)
        listing.frame.append(frame)
        listing.dynamic.append(dynamic)
        self.files.append(function.file)
        return len(self.files) - 1

    def finish(self) -> Listing:
        self.end_function(heading=True)
        if self.header is None:
            of = f" of {self.object}" if self.object else ""
            raise InputError(self.where, f"no function{of} in it; it is to be text of objdump -d")
        if not self.moved and not self.cold:
            what = f"nothing in it moves a stack pointer as code of {self.dialect.name} does"
            raise InputError(self.where, what)
        rows: dict[tuple[int, str], list[int]] = {}
        if self.cold:
            for row, key in enumerate(zip(self.files, self.listing.function, strict=True)):
                rows.setdefault(key, []).append(row)
        for piece in self.cold:
            parent = (piece.file, _text(piece.name.partition(b".cold")[0]))
            self.add_cold(piece, rows.get(parent, []))
        return self.listing

    def add_cold(self, piece: _Function, parents: list[int]) -> None:
        """Count a cold piece as its parent's.

        In an object file the branch into it is not linked yet; the piece then starts as deep as
        its parent ever is. A piece without a parent is a function of its own, of which only the
        least is known.
        """
        start = int(piece.address, 16)
        frame, dynamic = self.listing.frame, self.listing.dynamic
        branches = self.into_cold.get((piece.file, start), [])
        if branches:
            stack = _follow(piece, [place for _, place in branches], whole=False)
            for row in {row for row, _ in branches}:
                frame[row] = max(frame[row], stack.frame)
                dynamic[row] = dynamic[row] or stack.dynamic
            return
        grown = piece.code.most(piece.text)[0] - piece.code.entry
        for row in parents:
            if frame[row] + grown > self.minimum and grown:
                stack = _follow(piece, [(start, frame[row], {})], whole=False)
                frame[row] = stack.frame
                dynamic[row] = dynamic[row] or stack.dynamic
        if not parents:
            stack = _follow(piece, [(start, piece.code.entry, {})], whole=False)
            self.row(piece, stack.frame, dynamic=True)


def _follow(function: _Function, starts: list[Place], *, whole: bool = True) -> Stack:
    code = function.code
    lines = Lines(b"\n" + function.text)
    first = int(function.address, 16)
    acts = code.decode(lines, first, _last_address(function.text, lines, first))
    return follow(
        acts,
        starts,
        entry=code.entry,
        word=code.word,
        after_traps=code.after_traps(lines.text),
        whole=whole,
    )


def _branches_into_cold(text: bytes) -> dict[int, int]:
    """The addresses in cold pieces that a function's text names, and where each piece begins."""
    found = {}
    for mark in _COLD.finditer(text):
        # Names are not longer; a line may be anything.
        least = max(0, mark.start() - _NAME)
        start = max(least, text.rfind(b"\n", least, mark.start()))
        branch = _INTO_COLD.search(text, start, mark.end() + _NAME)
        if branch is not None:
            target = int(branch[1], 16)
            found[target] = target - int(branch[2] or b"0", 16)
    return found


def _last_address(text: bytes, lines: Lines, first: int) -> int:
    for line in reversed(text[-_TAIL:].split(b"\n")):
        if match := _LINE.match(line):
            return int(match[1], 16)
    return max(lines.numbers, default=first)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's lines, many at a time; a line's rest beyond a block's size is dropped."""
    rest = b""
    while block := stream.read(_BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = b""
        rest = (rest + block[end:])[:_BLOCK]
    if rest:
        yield rest + b"\n"


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
