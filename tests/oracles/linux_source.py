"""The source that Debian builds its 6.1 kernels from, unpacked in the cache folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from stackgauge.fetch.cache import cache_folder, locked
from stackgauge.fetch.packages import fetch_packages
from stackgauge.fetch.unpack import Part

PACKAGE = "linux-source-6.1"
_ARCHIVE = Part("archive", re.compile(r"usr/src/linux-source-6\.1\.tar\.xz"))


def linux_source() -> Path:
    """The root of the source tree, fetched where it is not there yet (some 140 MB).

    The environment's STACKGAUGE_LINUX_SOURCE names a tree to take instead.

    Raises:
        StackgaugeError: it is out of reach.
    """
    given = os.environ.get("STACKGAUGE_LINUX_SOURCE")
    if given:
        return Path(given).resolve()
    [fetched] = fetch_packages(lambda apt: [apt.find(PACKAGE)], [_ARCHIVE], log=sys.stderr)
    folder = cache_folder("linux-source", fetched.package.version)
    with locked(folder, lambda: None):
        if not (folder / "whole").exists():
            subprocess.run(["tar", "-xJf", fetched.paths[0], "-C", folder], check=True)
            (folder / "whole").touch()
    return folder / PACKAGE


def kernel_version(source: Path) -> str:
    """The version of a source tree, as its Makefile has it: ``6.1.192``."""
    text = (source / "Makefile").read_text()
    parts = [
        re.search(rf"^{name} = (\d+)$", text, re.MULTILINE)
        for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")
    ]
    return ".".join(part[1] for part in parts if part)
