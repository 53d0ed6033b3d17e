"""Symbols from text: a System.map, as ``nm -n vmlinux`` prints it, or /proc/kallsyms."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.letters import lettered_symbols
from stackgauge.image.source import Bytes, map_file
from stackgauge.image.symbols import Strings, Symbols

# The value of a hexadecimal digit; 16 for what is none.
_DIGIT = np.full(256, 16, np.uint8)
for _digit in range(16):
    _DIGIT[[ord(f"{_digit:x}"), ord(f"{_digit:X}")]] = _digit

_NEWLINE, _TAB, _SPACE = b"\n\t "


def read_system_map(path: str | os.PathLike[str]) -> Symbols:
    """The kernel's symbols in a file of lines ``ADDRESS LETTER NAME``, in the file's order.

    A fourth column, a module's name in brackets, is what /proc/kallsyms has; such lines are left
    out, being no part of the kernel's image.

    Raises:
        InputError: the file cannot be read, or a line is of another form; the message has its
            number.
    """
    return parse_system_map(map_file(path), path)


def parse_system_map(data: Bytes, where: object) -> Symbols:
    """As ``read_system_map``, from bytes; ``where`` is what to call them in messages."""
    text = data if len(data) and data[-1] == _NEWLINE else np.append(data, np.uint8(_NEWLINE))
    ends = np.flatnonzero(text == _NEWLINE)
    starts = np.append(0, ends[:-1] + 1)
    # All addresses of a map have as many digits, so that its columns are at fixed places.
    digits = int(np.argmax(text[:17] == _SPACE))
    wrong = (ends - starts < digits + 4) | (digits not in (8, 16))
    if wrong.any():
        raise _bad_line(text, starts, ends, wrong, where)

    nibbles = _DIGIT[text[starts[:, None] + np.arange(digits)]]
    letters = text[starts + (digits + 1)]
    names = starts + (digits + 3)
    blank = np.append(np.flatnonzero((text == _SPACE) | (text == _TAB)), len(text))
    after_name = blank[np.searchsorted(blank, names)]
    modules = after_name < ends
    bracketed = (text[np.minimum(after_name + 1, ends)] == ord("[")) & (text[ends - 1] == ord("]"))
    wrong = (
        (nibbles > 15).any(axis=1)
        | (text[starts + digits] != _SPACE)
        | (text[names - 1] != _SPACE)
        | (letters <= _SPACE)
        | (letters > ord("z"))
        | (after_name == names)
        | (modules & ~bracketed)
    )
    control = np.flatnonzero((text < _SPACE) & (text != _NEWLINE) & (text != _TAB))
    wrong[np.searchsorted(ends, control)] = True
    if wrong.any():
        raise _bad_line(text, starts, ends, wrong, where)

    value = np.zeros(len(starts), np.uint64)
    # A loop over 16 columns.
    for column in range(digits):
        value = (value << np.uint64(4)) | nibbles[:, column]
    if not value.any():
        raise InputError(where, "has no address but 0: /proc/kallsyms shows them to root alone")
    strings = text.copy()
    strings[ends] = 0
    kept = ~modules
    return lettered_symbols(
        value[kept], letters[kept], names[kept].astype(np.int64), Strings(strings), "system-map"
    )


def _bad_line(
    text: Bytes,
    starts: NDArray[np.intp],
    ends: NDArray[np.intp],
    wrong: NDArray[np.bool_],
    where: object,
) -> InputError:
    """The error that shows the first wrong line."""
    line = int(np.argmax(wrong))
    shown = text[starts[line] : min(int(ends[line]), int(starts[line]) + 60)].tobytes()
    return InputError(
        f"{where}:{line + 1}", f"is not ADDRESS LETTER NAME: {shown.decode('utf-8', 'replace')!r}"
    )
