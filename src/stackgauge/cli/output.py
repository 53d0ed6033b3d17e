"""Where a verb's output goes: standard output, or a file that is never overwritten unasked."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from stackgauge.errors import InputError


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """The options ``-o FILE`` and ``-f``."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite FILE if it exists")


@contextlib.contextmanager
def open_output(arguments: argparse.Namespace) -> Iterator[TextIO]:
    """The stream to write to; a file appears whole or, after an error, not at all.

    Raises:
        InputError: the file exists and ``--force`` is not given, or it cannot be written.
    """
    path: Path | None = arguments.output
    if path is None:
        yield sys.stdout
        return
    if path.exists() and not arguments.force:
        raise InputError(path, "exists already; -f overwrites it")
    text = io.StringIO()
    yield text
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text.getvalue(), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(path, f"cannot be written: {error.strerror}") from error
