"""Files of Debian packages, kept in the cache folder: of each part, all or nothing is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from stackgauge.errors import StackgaugeError, UsageError
from stackgauge.fetch.apt import Apt, Package, UnreachableError
from stackgauge.fetch.cache import cache_folder, explained, locked, unfinished
from stackgauge.fetch.unpack import Part, check_deb, unpack_deb

# Debian Policy, 5.6.1, for packages; what the archive calls its suites and architectures.
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_OTHER_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")


@dataclass(frozen=True)
class Unpacked:
    """A package and those of its files that were asked for, sorted by path."""

    package: Package
    paths: tuple[Path, ...]


def fetch_packages(
    choose: Callable[[Apt], Sequence[Package]],
    parts: Sequence[Part],
    *,
    arch: str | None = None,
    suite: str | None = None,
    refresh: bool = False,
    log: TextIO | None = None,
) -> list[Unpacked]:
    """Bring files of Debian packages into the cache folder, or find them there.

    Args:
        choose: which packages, out of what ``Apt.find`` knows.
        parts: which files of each.
        arch: Debian's name of an architecture; None for this machine's.
        suite: of Debian's archive; None for those that apt is set up with.
        refresh: whether to look for newer versions than what the lists in the cache know.
        log: where to say what is going on, a line a step.

    Raises:
        UnreachableError: what is not in the cache is out of reach.
        NotFoundError: Debian has no such package, suite or architecture.
        UsageError: a name that cannot be one.
        StackgaugeError: apt is missing, the disk is full and so on, in one line.
    """
    check_name(arch, "architecture")
    check_name(suite, "suite")
    folder = cache_folder("debian")
    with (
        explained(folder),
        locked(folder, lambda: _say(log, "waiting for another fetch to end")),
    ):
        apt = Apt(folder / "apt", arch, suite, log)
        if not refresh and apt.has_lists:
            try:
                return [_obtain(apt, package, parts, folder, log) for package in choose(apt)]
            except UnreachableError:
                raise
            except StackgaugeError:
                pass  # lists of long ago may not know it, or know what is no longer there
        _say(log, f"reading the package lists of {apt.suites} for {apt.architecture}")
        apt.update()
        return [_obtain(apt, package, parts, folder, log) for package in choose(apt)]


def check_name(name: str | None, what: str) -> None:
    """See that a name from outside can be one of a Debian package, suite or architecture.

    Raises:
        UsageError: it cannot. Nothing else gets to apt's command line or into a path.
    """
    pattern = _PACKAGE_NAME if what == "package" else _OTHER_NAME
    if name is not None and not pattern.fullmatch(name):
        raise UsageError(f"{name!r} is not the name of a Debian {what}")


def _obtain(
    apt: Apt, package: Package, parts: Sequence[Part], folder: Path, log: TextIO | None
) -> Unpacked:
    # The colon of an epoch, as apt writes it into file names.
    version = package.version.replace(":", "%3a")
    place = folder / f"{package.name}_{version}_{package.architecture}"
    missing = [part for part in parts if not (place / part.name).is_dir()]
    if missing:
        with unfinished(folder) as work:
            _say(log, f"downloading {package.name} {package.version} ({package.size / 1e6:.1f} MB)")
            deb = apt.download(package, work)
            check_deb(deb, package.name, package.version)
            _say(log, f"unpacking {deb.name}")
            unpack_deb(deb, missing, work)
            place.mkdir(exist_ok=True)
            for part in missing:
                (work / part.name).rename(place / part.name)
    found = [path for part in parts for path in (place / part.name).rglob("*")]
    return Unpacked(package, tuple(sorted(path for path in found if path.is_file())))


def _say(log: TextIO | None, text: str) -> None:
    if log is not None:
        print(text, file=log, flush=True)
