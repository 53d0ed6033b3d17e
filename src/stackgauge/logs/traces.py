"""Chains of calls: ftrace's ``stack_trace``, and the traces in logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from stackgauge.logs.lines import message, text
from stackgauge.logs.model import Line, Location, Trace
from stackgauge.logs.tasks import TASK, shown_task

# lib/vsprintf.c, %pS: in whole, since a part of it is another place.
_PLACE = (
    rb"(?P<name>[A-Za-z_.$][\w.$]{0,511})\+0x(?P<offset>[0-9a-f]{1,8})/0x(?P<size>[0-9a-f]{1,8})"
    rb"(?: \[(?P<module>[\w-]{1,64})(?: [0-9a-f]{40})?\])?(?![\w/])"
)

# kernel/trace/trace_stack.c, t_show.
_ROW = re.compile(
    rb"\s*(\d{1,4})\) +(\d{1,8}) +(-?\d{1,8})   (?:" + _PLACE + rb"|(?P<address>0x[0-9a-f]{4,16}))"
    rb"\s*$"
)
_HEADER = re.compile(rb"\s*Depth    Size   Location    \((\d{1,4}) entries\)")

# show_stack and dump_stack of the architectures: x86, arm64, MIPS, RISC-V, s390 with and without
# the address, PowerPC with the stack pointer in front (arch/powerpc/kernel/process.c).
_FRAME = re.compile(
    rb"\s*(?:\(?\[<?[0-9a-f]{8,16}>?\]\)? ){0,2}\(?(?P<doubt>\? )?\(?"
    + _PLACE
    + rb"(?P<unsure> \(unreliable\))?"
)

# ARM (arch/arm/kernel/traps.c, dump_backtrace_entry): where this one was called from.
_FROM = re.compile(
    rb"\s*(?:\[<[0-9a-f]{8}>\] )?\(?[\w.$]{1,512}(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?"
    rb"(?: \[[\w-]+\])?\)? from (?:\[<[0-9a-f]{8}>\] )?\(?" + _PLACE
)

_BEGIN = re.compile(rb"\s*(?:Call [Tt]race|Backtrace|Stack [Tt]race)(?: for .{1,80})?: ?")

# What lines of traces have, and lines that begin or end one; see lines.read_lines.
TRACE = rb"\+0x[0-9a-f]|[Tt]race:|race for |Backtrace|   Depth    Size|\) +\d+ +-?\d+   0x|" + TASK

# A frame that stands as far behind the last one, in bytes, is none of that trace.
_FAR = 16 << 10


def read_traces(lines: Iterable[tuple[int, bytes]]) -> Iterator[Trace]:
    """The traces of a log, in its order; those without a line are left out.

    Args:
        lines: of ``read_lines``, those that have TRACE at least.
    """
    reading = _Reading()
    for at, line in lines:
        reading.take(at, line)
        yield from reading.done
        reading.done.clear()
    reading.finish()
    yield from reading.done


class _Reading:
    """The trace that is being read, and those that are done."""

    def __init__(self) -> None:
        self.done: list[Trace] = []
        self._lines: list[Line] = []
        self._met: dict[bytes, Line] = {}
        self._title, self._measured, self._expected, self._last = "", False, 0, -1
        self._at = 0

    def take(self, at: int, line: bytes) -> None:
        """Take a line, and about where in the log it begins."""
        said = message(line)
        row = _ROW.match(said)
        if row:
            self._row(row)
        elif header := _HEADER.search(line):
            self._begin_table(int(header[1]))
        elif (task := shown_task(line)) is not None:
            if task.source == "sysrq-t":
                self._open(f"{task.comm} ({task.pid})", at)
        elif begin := _BEGIN.match(said):
            # Of a task, the line above has told whose trace it is.
            if self._lines or not self._title:
                self._open(text(begin[0].strip(b" :\t")), at)
            # Old kernels print the first place behind it.
            self._frame(at, said[begin.end() :])
        else:
            self._frame(at, said)

    def _frame(self, at: int, said: bytes) -> None:
        if not self._title or self._measured or at - self._at >= _FAR:
            return
        line = self._met.get(said)
        if line is None:
            found = _FROM.match(said) or _FRAME.match(said)
            if not found:
                return
            groups = found.groupdict()
            sure = not (groups.get("doubt") or groups.get("unsure"))
            # A log repeats the same few again and again.
            line = self._met[said] = Line(_location(found), sure=sure)
        self._lines.append(line)
        self._at = at

    def finish(self) -> None:
        """The trace that was read is whole."""
        if self._lines:
            missing = max(self._expected - len(self._lines), 0)
            self.done.append(Trace(self._title, tuple(self._lines), self._measured, missing))
        self._lines, self._title = [], ""
        self._measured, self._expected, self._last = False, 0, -1

    def _open(self, title: str, at: int) -> None:
        self.finish()
        self._title, self._at = title, at

    def _begin_table(self, entries: int) -> None:
        self.finish()
        self._title, self._measured, self._expected = "stack_trace", True, entries

    def _row(self, row: re.Match[bytes]) -> None:
        """A line of ftrace's table; one that is there already or out of order is left out."""
        index, line = int(row[1]), Line(_location(row), int(row[2]), int(row[3]))
        if not self._measured or (index == 0 and self._lines and self._lines[0] != line):
            self._begin_table(0)
        if index > self._last and index < (self._expected or index + 1):
            self._lines.append(line)
            self._last = index


def _location(found: re.Match[bytes]) -> Location:
    groups = found.groupdict()
    if groups["name"] is None:
        return Location(text(groups["address"]), "", 0, 0, "")
    module = text(groups["module"] or b"")
    name, offset, size = text(groups["name"]), text(groups["offset"]), text(groups["size"])
    printed = f"{name}+0x{offset}/0x{size}" + (f" [{module}]" if module else "")
    return Location(printed, name, int(offset, 16), int(size, 16), module)
