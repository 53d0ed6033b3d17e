"""Bytes of a file on disk, mapped rather than read, as one NumPy array."""

from __future__ import annotations

import mmap
import os
import stat

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError

Bytes = NDArray[np.uint8]

# Smaller files are read: it is quicker, and a mapping holds a file descriptor for as long as it
# lives, of which a thin archive's thousands of members would need too many.
_MAPPED_FROM = 1 << 20


def map_file(path: str | os.PathLike[str]) -> Bytes:
    """Map a regular file into memory.

    Args:
        path: the file. A directory, FIFO, socket or device is refused before it is opened, so
            that nothing can hang on it.

    Returns:
        A read-only array of the file's bytes, shape (size,); pages are read when touched.

    Raises:
        InputError: the file is missing, unreadable, not regular or empty.
    """
    where = os.fspath(path)
    try:
        mode = os.stat(where).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(where, "is a directory, not a kernel image")
        if not stat.S_ISREG(mode):
            raise InputError(where, "is not a regular file")
        with open(where, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise InputError(where, "is empty")
            if size < _MAPPED_FROM:
                return np.frombuffer(file.read(size), dtype=np.uint8)
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(where, (error.strerror or str(error)).lower()) from error
    except ValueError as error:  # an embedded NUL in the path
        raise InputError(repr(where), str(error)) from error
    return np.frombuffer(mapped, dtype=np.uint8)
