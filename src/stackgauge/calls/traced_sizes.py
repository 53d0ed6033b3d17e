"""The sizes in ftrace's ``stack_trace``, predicted from an image.

A size is the distance of two return addresses on the stack (kernel/trace/trace_stack.c,
``check_stack``): from where the one to the line's own location lies, in the frame of the function
that was called there, up to where the line's function has saved its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from stackgauge.calls.traced_model import ComparedLine, Place
from stackgauge.evidence.table import NO_LIMIT, UNKNOWN
from stackgauge.image.opening import Image
from stackgauge.isa.model import Isa
from stackgauge.kernel.stacks import stacks
from stackgauge.logs.model import Line

# What an x86-64 processor pushes, from the interrupted address up (struct pt_regs in
# arch/x86/include/asm/ptrace.h).
_PUSHED = 5 * 8

# What it aligns the stack to before that (Intel's manual, volume 3, 6.14.2).
_PUSHED_AT = 16

# A stack that may differ by more than this from run to run does so by a random offset
# (RANDOMIZE_KSTACK_OFFSET: up to 1,023 bytes), else since it is aligned.
_ALIGNED = 64

# Bytes from the traced function's stack pointer down to where arm64's ftrace_caller keeps its
# return address (arch/arm64/kernel/entry-ftrace.S).
_ARM64_TRACER = 8

Places = Sequence[Place | str]


def compare_sizes(
    image: Image, isa: Isa, lines: Sequence[Line], places: Places
) -> list[ComparedLine]:
    """The lines of one table beside what the image says.

    Args:
        image: the kernel.
        isa: its architecture.
        lines: the table, the deepest first.
        places: what the images say of each line's location, or the status of one that they do
            not know.
    """
    # Where return addresses are saved below local variables, the kernel moves the sizes by a
    # line (ARCH_FTRACE_SHIFT_STACK_TRACER).
    shift = 1 if isa.name == "arm64" else 0
    result = []
    for index, (line, place) in enumerate(zip(lines, places, strict=True)):
        above = places[index - 1] if index else ""
        if index == 0:
            result.append(_first(lines, places, shift))
        elif isinstance(place, str):
            result.append(ComparedLine(line, None, None, place))
        elif index == len(lines) - 1:
            result.append(_last(image, isa, line, place))
        elif isinstance(above, Place) and above.enters:
            result.append(_interrupted(isa, line, place))
        elif place.enters:
            result.append(_enters(isa, line, place))
        elif not place.call:
            result.append(ComparedLine(line, None, None, "interrupted" if shift else "not a call"))
        elif isa.entry_depth and place.least != UNKNOWN:
            # The call has pushed it, so that both lie in the same place of their frames.
            result.append(_judged(line, place.least, place.most, "equal"))
        else:
            result.append(_called(lines, places, index, shift))
    return _without_copies(result)


def _called(lines: Sequence[Line], places: Places, index: int, shift: int) -> ComparedLine:
    """A line between two return addresses that functions have saved."""
    line, following = lines[index], lines[index + 1]
    # The functions that have saved the one at the lower end, and the one at the upper end.
    lower, upper = places[index - 1 + shift], places[index + shift]
    unknown = ComparedLine(line, None, None, "not known")
    if isinstance(lower, str) or isinstance(upper, str) or not upper.call:
        return unknown
    if lower.saved is None or upper.saved is None or upper.least == UNKNOWN:
        return unknown
    if (line.depth or 0) - (following.depth or 0) != line.size:
        # Lines in between were lost.
        return unknown
    move = lower.saved - upper.saved
    agreed = "entry" if upper.enters else "equal"
    return _judged(line, upper.least + move, upper.most + move, agreed)


def _judged(line: Line, least: int, most: int, agreed: str) -> ComparedLine:
    more = None if most == least else most
    if line.size is None or not least <= line.size <= most:
        return ComparedLine(line, least, more, "differs")
    random = most - least >= _ALIGNED
    if more is None or (random and line.size == least):
        return ComparedLine(line, least, more, agreed)
    kind = "random offset" if random else "aligned"
    return ComparedLine(line, least, more, kind)


def _first(lines: Sequence[Line], places: Places, shift: int) -> ComparedLine:
    """The first line; the tracer's own frame is known of arm64 alone."""
    following = places[1] if len(places) > 1 else ""
    if not shift or isinstance(following, str) or following.saved is None or not following.call:
        return ComparedLine(lines[0], None, None, "first line")
    move = _ARM64_TRACER - following.saved
    least, most = following.least + move, following.most + move
    return ComparedLine(lines[0], least, None if least == most else most, "first line")


def _last(image: Image, isa: Isa, line: Line, place: Place) -> ComparedLine:
    """The last line, whose size reaches up to the stack's top."""
    if isa.name != "x86_64" or not place.enters or place.least == UNKNOWN:
        return ComparedLine(line, None, None, "entry")
    expected = place.least + isa.entry_depth + stacks(image, None)[0].reserved
    return _judged(line, expected, expected, "entry")


def _enters(isa: Isa, line: Line, place: Place) -> ComparedLine:
    """From below saved registers up to the interrupted address, which is one of them."""
    if isa.name != "x86_64" or place.least == UNKNOWN:
        return ComparedLine(line, None, None, "entry")
    expected = place.least + isa.entry_depth - _PUSHED
    return _judged(line, expected, expected, "entry")


def _interrupted(isa: Isa, line: Line, place: Place) -> ComparedLine:
    """From the interrupted address up to where the function returns to."""
    if isa.name != "x86_64" or place.least == UNKNOWN or place.most >= NO_LIMIT:
        return ComparedLine(line, None, None, "interrupted")
    least = place.least + _PUSHED - isa.entry_depth
    most = place.most + _PUSHED - isa.entry_depth + _PUSHED_AT - isa.entry_depth
    agrees = line.size is not None and least <= line.size <= most
    return ComparedLine(line, least, most, "interrupted" if agrees else "differs")


def _without_copies(lines: list[ComparedLine]) -> list[ComparedLine]:
    """Tell the lines that differ only since the tracer met older copies of return addresses.

    It looks for each return address from the last one it found upwards, and frames hold remains of
    earlier calls, its own among them. A copy lies below the real place: the line above it is too
    large, and lines below are too small by as much in all. Where the sum does not agree again,
    lines are left as they are.
    """
    result = list(lines)
    # How much deeper the tracer's place is than the real one, at least and at most.
    low = high = 0
    group: list[int] = []
    for index in reversed(range(len(lines))):
        line = lines[index]
        if line.static is None or line.line.size is None:
            group = []
            continue
        most = line.static if line.most is None else line.most
        if not group:
            if line.status != "differs" or line.line.size < most:
                continue
            low = high = 0
        low, high = low + line.line.size - most, high + line.line.size - line.static
        group.append(index)
        if low <= 0 <= high and line.line.size < line.static:
            for each in group:
                if lines[each].status == "differs":
                    result[each] = lines[each]._replace(status="older copy")
            group = []
        elif high < 0:
            group = []
    return result
