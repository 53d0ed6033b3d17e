"""Lines of logs, out of whatever they were saved in: serial consoles, dmesg, journals."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

from stackgauge.errors import InputError
from stackgauge.image.source import map_file

# Read at a time, and kept of one line, whose end may never come.
_CHUNK = 1 << 20
_LONGEST = 8 << 10

# printk's time with what may stand in front of it and behind: a level (``<6>``), a console's own
# clock, a mail's quoting, the caller (CONFIG_PRINTK_CALLER: T for a task, C for a processor), and
# what other fields vendors add (``[cpuid: 0]``). The last one of a line counts, since a line that
# was cut off may stand in front of it.
_STAMP = re.compile(
    rb"(?:\[ *\d+\.\d{6}\]"
    rb"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:[.,]\d+)? \d{4}\])"
    rb"(?:\[ *[TC]\d+\])? ?(?:\[ *(?:[TC]\d+|cpuid: \d+)\] ?|\S{1,255} kernel: ?)?"
)

# syslog's and journalctl's time, host and source; /dev/kmsg's record; an exported field; levels.
_OTHER = re.compile(
    rb"(?:(?:> ?)+)?"
    rb"(?:(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\d[T ][\d:.,+\-]+Z?)"
    rb" \S{1,255} kernel(?:\[\d+\])?: ?"
    rb"|MESSAGE=|<\d{1,3}>|\d+,\d+,\d+,[^;]{0,200};)?"
)

_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9])")

# A journal's message as a list of bytes, in which nothing can be looked for.
LISTED = rb'"MESSAGE" ?: ?\['

_PRETTY = re.compile(rb'\s*"MESSAGE" : ("(?:[^"\\]|\\.)*"),?\s*$')


def read_lines(path: str, wanted: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines of a log that match, without what ends them, and about where each begins.

    Lines end at any of LF, CR and CR LF, since consoles send either. What a journal wraps is
    unwrapped.

    Args:
        path: a file; ``-`` is standard input.
        wanted: found in a line as it stands in the file; it must not match what ends a line.

    Raises:
        InputError: it cannot be read or is empty.
    """
    at = 0
    for block in _blocks(path):
        place = 0
        while found := wanted.search(block, place):
            begin = block.rfind(b"\n", 0, found.start()) + 1
            end = block.find(b"\n", found.end())
            place = len(block) if end < 0 else end
            for line in _plain(block[begin : min(place, begin + _LONGEST)]):
                yield at + begin, line
        at += len(block)


def message(line: bytes) -> bytes:
    """A line without the prefixes that printk, journals and consoles put in front."""
    stamps = list(_STAMP.finditer(line))
    if stamps:
        return line[stamps[-1].end() :]
    found = _OTHER.match(line)
    return line[found.end() :] if found else line


def text(raw: bytes) -> str:
    """A piece of a line as text."""
    return raw.decode("utf-8", "replace")


def _chunks(path: str) -> Iterator[bytes]:
    if path == "-":
        while chunk := sys.stdin.buffer.read(_CHUNK):
            yield chunk
        return
    raw = map_file(path)
    for at in range(0, len(raw), _CHUNK):
        yield raw[at : at + _CHUNK].tobytes()


def _blocks(path: str) -> Iterator[bytes]:
    """The log in pieces of whole lines, but for those whose end does not come."""
    rest, some = b"", False
    for chunk in _chunks(path):
        if not some and _is_binary(chunk):
            raise InputError(path, "is binary, not a log")
        some = True
        # Consoles send NUL bytes when a machine is switched on.
        data = rest + chunk.replace(b"\0", b"").replace(b"\r", b"\n")
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) > _CHUNK:
            whole = len(data)
        if whole:
            yield data[:whole]
        rest = data[whole:]
    if not some:
        raise InputError("standard input" if path == "-" else path, "is empty")
    if rest:
        yield rest


def _is_binary(chunk: bytes) -> bool:
    """Whether it is what a kernel image or a compressed file begins like.

    Consoles may send any byte now and then, and memory that a log was kept in is padded with zeros.
    """
    zeros = chunk.count(0)
    others = len(chunk) - len(chunk.translate(None, _CONTROL))
    return zeros > len(chunk) // 2 or others > len(chunk) // 20


_CONTROL = bytes(one for one in range(1, 32) if one not in b"\b\t\n\v\f\r\x1b")


def _plain(line: bytes) -> Iterator[bytes]:
    plain = _ESCAPES.sub(b"", line) if b"\x1b" in line else line
    if b'"MESSAGE"' in plain:
        yield from _unwrapped(plain)
    else:
        yield plain


def _unwrapped(line: bytes) -> Iterator[bytes]:
    """The message of a line of ``journalctl -o json``, ``json-sse`` or ``json-pretty``."""
    pretty = _PRETTY.match(line)
    begin = line.find(b"{")
    try:
        if pretty:
            said = json.loads(pretty[1])
        else:
            said = json.loads(line[begin:])["MESSAGE"] if begin >= 0 else None
    except (ValueError, KeyError, TypeError, RecursionError):
        # It was cut off, or is no record of a journal.
        return
    # A message that is not UTF-8 is a list of bytes (systemd, "Journal JSON Format").
    if isinstance(said, list) and all(isinstance(one, int) and 0 <= one < 256 for one in said):
        said = bytes(said).decode("utf-8", "replace")
    if isinstance(said, str):
        for each in said.splitlines():
            yield each.encode("utf-8", "replace")
