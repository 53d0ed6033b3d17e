"""The cache folder: what is fetched once and kept, whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stackgauge.errors import StackgaugeError


def cache_folder(*parts: str) -> Path:
    """Where Stackgauge keeps what it can make or fetch again.

    That is ``$XDG_CACHE_HOME/stackgauge``, or ``~/.cache/stackgauge`` where the variable is unset
    or, as the XDG Base Directory Specification wants it, relative. Nothing is created.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path(os.path.expanduser("~")) / ".cache"
    return base.joinpath("stackgauge", *parts)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses (disk full, no permission) into one clear line.

    Raises:
        StackgaugeError: in place of an OSError that the body raised.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise StackgaugeError(f"{where}: {(error.strerror or str(error)).lower()}") from error


@contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold ``folder`` (made where missing) for this process alone.

    The lock is the kernel's, on an open file: it goes with the process, however that ends.

    Args:
        folder: what to hold.
        waiting: called once, before waiting for another process that holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """An empty work folder inside ``folder``, which the caller holds, gone at the end.

    It has one fixed name, so that what a killed process left is removed by the next one. Move
    what is whole out of it by renaming: it lies on the same file system.
    """
    work = folder / "unfinished"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
