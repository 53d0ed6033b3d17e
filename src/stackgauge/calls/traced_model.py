"""Lines of traces beside what images say of them."""

from __future__ import annotations

from typing import NamedTuple

from stackgauge.logs.model import Line

STATUSES = {
    "equal": "the size is what the image says",
    "aligned": "between least and most of a function that aligns its stack",
    "random offset": "between least and most, where the kernel adds a random offset",
    "older copy": "the tracer met an older copy of a return address below the real one, so that "
    "this size is wrong and the sum of such lines right",
    "first line": "holds the tracer's own frame",
    "entry": "where the kernel is entered: saved registers",
    "interrupted": "not at a call, but where an exception or interrupt came",
    "differs": "the size is not what the image says",
    "static": "the depth at a call; the trace has no sizes",
    "unsure": "remains on the stack, maybe no call of this chain",
    "not a call": "the image has no call in front of that address",
    "ambiguous": "several functions of that name have a call there",
    "not known": "the image does not say how deep that is, or where the return address is saved",
    "not found": "the images have no such function",
}
"""What a status means."""


class ComparedLine(NamedTuple):
    """A line of a trace and the image.

    Attributes:
        line: the line.
        static: of a line with a size, what the image says that it is; else how deep the function
            is at that call; bytes, None where that is not known. The least, if it may differ.
        most: the most, where it may differ from run to run, else None.
        status: one of STATUSES.
    """

    line: Line
    static: int | None
    most: int | None
    status: str


class Place(NamedTuple):
    """What an image says of an address.

    Attributes:
        least, most: how deep its function is there; UNKNOWN and NO_LIMIT as in the common table.
        call: whether a call is right in front of it.
        enters: whether the kernel is entered there, and the registers of what ran lie above.
        saved: bytes from the caller's stack pointer down to where the function has saved its
            return address; None where that is not known.
    """

    least: int
    most: int
    call: bool
    enters: bool
    saved: int | None
