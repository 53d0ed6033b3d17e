"""The Debian kernels that are measured: of each architecture one with debug information."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from stackgauge.fetch.apt import NotFoundError
from stackgauge.fetch.debian import fetch_debian


@dataclass(frozen=True)
class Kernel:
    """A Debian kernel with debug information.

    Attributes:
        arch: as Debian calls it.
        flavour: the end of its package's name.
        tools: what leads the names of its binutils.
        script: the architecture as checkstack.pl calls it; empty where Debian 12's does not.
        suite: of Debian's archive; None for those that apt is set up with.
        release: the one that GCC's figures are of, where there are some.
    """

    arch: str
    flavour: str
    tools: str
    script: str
    suite: str | None = None
    release: str | None = None

    def fetch(self) -> tuple[str, Path]:
        """Its release and its vmlinux: the one that GCC's figures are of, or else the newest.

        Raises:
            StackgaugeError: it is out of reach.
        """
        try:
            path = self._fetch(f"{self.release}-{self.flavour}" if self.release else self.flavour)
        except NotFoundError:
            path = self._fetch(self.flavour)
        # .../boot/vmlinux-RELEASE, in newer packages .../modules/RELEASE/vmlinux.
        name = path.name.removeprefix("vmlinux").removeprefix("-")
        return name or path.parent.name, path

    def _fetch(self, name: str) -> Path:
        package = f"linux-image-{name}-dbg"
        return fetch_debian(package, arch=self.arch, suite=self.suite, log=sys.stderr).image


KERNELS = (
    Kernel("amd64", "amd64", "x86_64-linux-gnu-", "x86_64", release="6.1.0-56"),
    Kernel("i386", "686-pae", "i686-linux-gnu-", "i386", release="6.1.0-50"),
    Kernel("arm64", "cloud-arm64", "aarch64-linux-gnu-", "arm64"),
    Kernel("armhf", "armmp", "arm-linux-gnueabihf-", "arm", release="6.1.0-50"),
    Kernel("armel", "rpi", "arm-linux-gnueabi-", "arm", release="6.1.0-50"),
    Kernel("mipsel", "4kc-malta", "mipsel-linux-gnu-", "mips"),
    Kernel("mips64el", "5kc-malta", "mips64el-linux-gnuabi64-", "mips64"),
    Kernel("ppc64el", "powerpc64le", "powerpc64le-linux-gnu-", "powerpc"),
    Kernel("s390x", "s390x", "s390x-linux-gnu-", "s390"),
    # Debian 12 has no kernels for these.
    Kernel("riscv64", "riscv64", "riscv64-linux-gnu-", "riscv64", suite="sid"),
    Kernel("loong64", "loong64", "loongarch64-linux-gnu-", "", suite="sid"),
)
