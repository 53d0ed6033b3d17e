"""Debian's kernels: by a package's name, the image and its companions in the cache folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from stackgauge.fetch.apt import Apt, NotFoundError, Package
from stackgauge.fetch.packages import check_name, fetch_packages
from stackgauge.fetch.unpack import Part

# The kernel for virtual machines in a cloud: by far the smallest that Debian builds.
DEFAULT_PACKAGE = "linux-image-cloud-{architecture}"

# Up to 6.x an image lies in boot/ with the version in its name, from 7.0 on in
# lib/modules/VERSION/ without; that of a -dbg package below usr/lib/debug/.
IMAGE = Part(
    "image",
    re.compile(
        r"(?:usr/lib/debug/)?(?:boot|(?:usr/)?lib/modules/[^/]+)"
        r"/(?:vmlinu[xz]|System\.map|config)(?:-[^/]+)?"
    ),
    last=re.compile(r".*/vmlinu[xz][^/]*"),
)
MODULES = Part("modules", re.compile(r"(?:usr/)?lib/(?:.*/)?modules/.*\.ko(?:\.\w+)?"))

# Beside a vmlinuz it has one line, which says that the real one is in the -dbg package.
_SYSTEM_MAP_STUB = 1024

# With a dot, since a flavour may begin with a digit, too: linux-image-4kc-malta.
_VERSIONED = r"-[0-9]+\.[a-z0-9+.-]*"
# linux-image-amd64, linux-image-amd64-dbg and the like hold nothing and depend on the newest.
_KERNEL = re.compile("linux-image" + _VERSIONED)
# From 7.0 on these hold nothing either, but depend on packages that hold a kernel's pieces.
_PIECES = re.compile("linux-(?:binary|base)" + _VERSIONED)
_PIECES_WITH_MODULES = re.compile("linux-(?:binary|base|modules)" + _VERSIONED)


@dataclass(frozen=True)
class Fetched:
    """A Debian kernel in the cache.

    Attributes:
        package: the package's name, after a metapackage has been followed.
        version: Debian's version of it.
        architecture: Debian's name of its architecture.
        paths: the files, the kernel image first.
    """

    package: str
    version: str
    architecture: str
    paths: tuple[Path, ...]

    @property
    def image(self) -> Path:
        """The kernel: ``vmlinuz``, or ``vmlinux`` out of a package of debug information."""
        return self.paths[0]


def fetch_debian(
    package: str | None = None,
    *,
    arch: str | None = None,
    suite: str | None = None,
    modules: bool = False,
    refresh: bool = False,
    log: TextIO | None = None,
) -> Fetched:
    """Bring a Debian kernel into the cache folder, or find it there.

    Args:
        package: for example ``linux-image-6.1.0-30-amd64-dbg``, or a metapackage, which stands
            for the kernel that it depends on; None for ``linux-image-cloud-ARCH``.
        arch: Debian's name of an architecture; None for this machine's.
        suite: for example ``trixie``, ``bookworm-backports``, ``bookworm-security``; None for
            those that apt is set up with.
        modules: whether to unpack the loadable modules, too.
        refresh: whether to look for a newer version than what was once found.
        log: where to say what is going on, a line a step.

    Raises:
        UnreachableError: what is not in the cache is out of reach.
        NotFoundError: Debian has no such package, suite or architecture, or it holds no kernel.
        UsageError: a name that cannot be one.
        StackgaugeError: apt is missing, the disk is full and so on, in one line.
    """
    check_name(package, "package")
    unpacked = fetch_packages(
        lambda apt: _kernel(apt, package, modules),
        [IMAGE, MODULES] if modules else [IMAGE],
        arch=arch,
        suite=suite,
        refresh=refresh,
        log=log,
    )
    kernel = unpacked[0].package
    paths = [path for one in unpacked for path in one.paths if not _is_stub(path)]
    if not any(map(_is_image, paths)):
        raise NotFoundError(f"{kernel.name} holds no kernel image")
    paths.sort(key=lambda path: not _is_image(path))
    return Fetched(kernel.name, kernel.version, kernel.architecture, tuple(paths))


def _kernel(apt: Apt, name: str | None, modules: bool) -> list[Package]:
    """The package of that name, or the kernel it depends on, and those that hold its pieces."""
    package = apt.find(name or DEFAULT_PACKAGE.format(architecture=apt.architecture))
    if package.name.startswith("linux-image-") and not _KERNEL.fullmatch(package.name):
        package = next((apt.find(other) for other in package.depends_on(_KERNEL)), package)
    pieces = _PIECES_WITH_MODULES if modules else _PIECES
    return [package, *(apt.find(other) for other in package.depends_on(pieces))]


def _is_image(path: Path) -> bool:
    return path.name.startswith(("vmlinux", "vmlinuz"))


def _is_stub(path: Path) -> bool:
    return path.name.startswith("System.map") and path.stat().st_size < _SYSTEM_MAP_STUB
