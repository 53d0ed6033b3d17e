"""A progress bar for long work: on standard error, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# One kernel takes under a second, and so do this many modules.
_QUICK = 50


def progress(items: Sequence[Item], label: str) -> Iterable[Item]:
    """The items one by one, with a bar that says how many are done."""
    if len(items) <= _QUICK or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, description=label, console=Console(stderr=True), transient=True)
