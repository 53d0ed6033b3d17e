"""A trimmed Linux 6.1, built here with ``-fstack-usage``: GCC's figures for a whole kernel.

Run as a program it builds the kernel where the cache does not hold it (some ten minutes of
processor time) and prints where it is:

    python -m tests.oracles.kernel_build x86_64
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stackgauge.fetch.cache import cache_folder, locked
from tests.oracles.linux_source import kernel_version, linux_source

FRAGMENT = Path(__file__).parents[1] / "kernels" / "trimmed.config"


@dataclass(frozen=True)
class Flavour:
    """A kernel to build: its architecture by the kernel's name, what leads the names of the tools,
    and the settings that are switched on besides FRAGMENT."""

    arch: str
    tools: str
    settings: tuple[str, ...] = ()


_ARM = (
    "MMU",
    "ARCH_MULTIPLATFORM",
    "ARCH_MULTI_V7",
    "ARCH_VIRT",
    "AEABI",
    "VFP",
    "NEON",
    "KPROBES",
)

FLAVOURS = {
    "x86_64": Flavour("x86_64", ""),
    "arm64": Flavour("arm64", "aarch64-linux-gnu-"),
    # With frame pointers throughout, as the APCS (ARM's older procedure call standard) has them.
    "arm-apcs": Flavour("arm", "arm-linux-gnueabihf-", (*_ARM, "UNWINDER_FRAME_POINTER")),
    "arm-thumb": Flavour("arm", "arm-linux-gnueabihf-", (*_ARM, "THUMB2_KERNEL")),
}


@dataclass(frozen=True)
class Build:
    """A kernel and what GCC said of it.

    Attributes:
        vmlinux: the kernel, with symbols and debug information.
        usage: the ``.su`` lines of every object in it, for ``su.read_joined``.
    """

    vmlinux: Path
    usage: Path


def trimmed_kernel(name: str) -> Build:
    """The trimmed kernel, built with GCC 12 where the cache does not hold it.

    The cache knows it by the source's version and the configuration.

    Args:
        name: one of FLAVOURS.

    Raises:
        StackgaugeError: the source is out of reach.
        FileNotFoundError: the compiler is missing.
        CalledProcessError: the build failed.
    """
    flavour, source = FLAVOURS[name], linux_source()
    settings = FRAGMENT.read_text() + "".join(f"CONFIG_{one}=y\n" for one in flavour.settings)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
    folder = cache_folder("trimmed", f"{name}-{kernel_version(source)}-{digest}")
    built = Build(folder / "vmlinux", folder / "vmlinux.su")
    with locked(folder, lambda: None):
        if not built.usage.exists():
            with tempfile.TemporaryDirectory(dir=folder) as tree:
                _make(source, Path(tree), flavour, settings)
                lines = usage_lines(source, Path(tree), flavour)
                (Path(tree) / "vmlinux").replace(built.vmlinux)
            # Written last, and so the sign that the rest is there.
            built.usage.write_text("\n".join(lines) + "\n")
    return built


def _make(source: Path, tree: Path, flavour: Flavour, settings: str) -> None:
    arch, tools = flavour.arch, flavour.tools
    command = ["nice", "make", "-C", os.fspath(source), f"O={tree}", f"ARCH={arch}", "-s"]
    command += [f"CROSS_COMPILE={tools}", f"CC={tools}gcc-12"]
    fragment = tree / "trimmed.config"
    fragment.write_text(settings)
    subprocess.run([*command, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"], check=True)
    jobs = f"-j{os.cpu_count() or 1}"
    subprocess.run([*command, jobs, "KCFLAGS=-fstack-usage", "vmlinux"], check=True)


def usage_lines(source: Path, tree: Path, flavour: Flavour) -> list[str]:
    """The ``.su`` lines of the objects that a build's vmlinux was linked from.

    Args:
        source: the source tree, whose path is taken off the names of files.
        tree: the build's output.
        flavour: what was built.

    Returns:
        Lines, each led by the name of the source file that was compiled and a tab. A weak
        function that another one replaces is left out: its name is gone from the kernel.
    """
    objects: list[str] = []
    folder = flavour.arch.replace("_64", "")
    for archive in ("vmlinux.a", "lib/lib.a", f"arch/{folder}/lib/lib.a"):
        objects += _said(tree, "ar", "t", archive).split()
    # A library's objects that nothing calls for are not linked; they do no harm here.
    objects = list(dict.fromkeys(objects))
    replaced = _replaced(_said(tree, flavour.tools + "nm", "-A", "--defined-only", *objects))
    lines = []
    for name in objects:
        stem = os.path.splitext(name)[0]
        usage = tree / f"{stem}.su"
        if not usage.exists():
            continue  # made from assembly
        unit = os.path.basename(stem) + ".c"
        for line in usage.read_text().splitlines():
            function = line.split("\t")[0].rsplit(":", 1)[1]
            if (name, function) not in replaced:
                lines.append(f"{unit}\t{line.removeprefix(f'{source}/')}")
    return lines


def _said(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def _replaced(symbols: str) -> set[tuple[str, str]]:
    """Weak functions, as (object, name), in whose place the linker takes another one.

    Args:
        symbols: what ``nm -A`` says of the objects, in the order of linking.
    """
    weak: list[tuple[str, str]] = []
    taken: dict[str, str] = {}
    for line in symbols.splitlines():
        where, kind, name = line.rsplit(" ", 2)
        if kind == "W":
            weak.append((where.rsplit(":", 1)[0], name))
        elif kind == "T":
            taken[name] = where.rsplit(":", 1)[0]
    # Where there is no other kind the first weak one is taken.
    return {(where, name) for where, name in weak if taken.setdefault(name, where) != where}


if __name__ == "__main__":
    print(trimmed_kernel(sys.argv[1]))
