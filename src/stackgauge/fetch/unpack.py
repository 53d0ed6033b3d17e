"""Chosen files out of a Debian package, as a stream: what is not wanted never reaches the disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from stackgauge.errors import InputError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Part:
    """Files of a package that are unpacked together.

    Attributes:
        name: what their folder in the cache is called.
        pattern: matches the whole path of each, without a leading ``./``.
        last: matches the path after which none of them comes, as dpkg-deb writes packages sorted
            by path; None where there is no such. It saves reading the rest of a package
            (gigabytes, in one of debug information).
    """

    name: str
    pattern: re.Pattern[str]
    last: re.Pattern[str] | None = None


def check_deb(deb: Path, name: str, version: str) -> None:
    """See that a package is readable and the one that was asked for.

    Raises:
        InputError: it is not.
    """
    fields = ("Package", "Version")
    done = subprocess.run(
        ["dpkg-deb", "--field", os.fspath(deb), *fields],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = dict(line.partition(": ")[::2] for line in done.stdout.splitlines())
    if done.returncode != 0 or [said.get(field) for field in fields] != [name, version]:
        raise InputError(deb.name, "is not the Debian package that was asked for")


def unpack_deb(deb: Path, parts: list[Part], folder: Path) -> None:
    """Write the regular files of each part below ``folder / part.name``.

    Raises:
        InputError: the package cannot be read to where it was needed.
        OSError: the files cannot be written.
    """
    for part in parts:
        (folder / part.name).mkdir()
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", os.fspath(deb)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        drained = False
        try:
            if not _unpack_stream(process.stdout, parts, folder):
                # Nothing but padding is left; dpkg-deb ends well when that has been read.
                while process.stdout.read(_CHUNK):
                    pass
                drained = True
        except tarfile.TarError as error:
            raise InputError(deb.name, f"cannot be unpacked: {error}") from error
        finally:
            if not drained:
                process.terminate()
    if drained and process.returncode != 0:
        raise InputError(deb.name, "cannot be unpacked: dpkg-deb failed")


def _unpack_stream(stream: IO[bytes], parts: list[Part], folder: Path) -> bool:
    """Whether all parts are known to be complete, with some of the stream left unread."""
    open_parts = list(parts)
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
        # A loop over the files of one package, some thousand at most.
        for member in archive:
            path = PurePosixPath(member.name)
            if not member.isreg() or path.is_absolute() or ".." in path.parts:
                continue
            part = next((part for part in open_parts if part.pattern.fullmatch(str(path))), None)
            content = archive.extractfile(member)
            if part is None or content is None:
                continue
            target = folder / part.name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "wb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
            if part.last is not None and part.last.fullmatch(str(path)):
                open_parts.remove(part)
                if not open_parts:
                    return True
    return False
