"""Where a verb's output goes: standard output, or a file that is never overwritten unasked."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from stackgauge.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """The options ``-o FILE`` and ``-f``."""
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite FILE if it exists")


@contextlib.contextmanager
def open_output(arguments: argparse.Namespace) -> Iterator[TextIO]:
    """The stream to write to; a file appears whole or, after an error, not at all.

    Raises:
        InputError: the file exists and ``--force`` is not given, or it cannot be written.
    """
    if arguments.output is None:
        yield sys.stdout
        return
    from pathlib import Path

    path = Path(arguments.output)
    text = io.StringIO()
    try:
        if path.is_dir():
            raise InputError(path, "is a directory")
        # A device or a pipe is written to, never replaced; it holds nothing that could be lost.
        replace = path.is_file() or not path.exists()
        if path.is_file() and not arguments.force:
            raise InputError(path, "exists already; -f overwrites it")
        yield text
        # Names come from untrusted files: whatever UTF-8 has no bytes for is written as \udc..
        data = text.getvalue().encode("utf-8", "backslashreplace")
        if replace:
            _replace(path.resolve(), data)
        else:
            path.write_bytes(data)
    except OSError as error:
        raise InputError(path, f"cannot be written: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".stackgauge-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
