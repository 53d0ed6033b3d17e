"""``stackgauge fetch``: bring a kernel into the cache folder and say where it is."""

from __future__ import annotations

import argparse
import sys

from stackgauge.fetch.debian import DEFAULT_PACKAGE, fetch_debian


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Name the verb's arguments."""
    parser.description = (
        "Download a Debian kernel with apt into the cache folder (no root needed, the system's apt "
        "is not touched) and print the paths of its image and companions, one a line, the image "
        "first. What is in the cache is not downloaded again."
    )
    parser.add_argument("archive", choices=["debian"], help="whose packages")
    parser.add_argument(
        "package",
        metavar="PACKAGE",
        nargs="?",
        help="for example linux-image-amd64, or linux-image-amd64-dbg for a vmlinux with debug "
        f"information (default: {DEFAULT_PACKAGE.format(architecture='ARCH')}, the smallest)",
    )
    parser.add_argument("--arch", metavar="ARCH", help="Debian's name of an architecture")
    parser.add_argument("--suite", metavar="SUITE", help="for example trixie, bookworm-backports")
    parser.add_argument("--modules", action="store_true", help="unpack the modules, too")
    parser.add_argument("--refresh", action="store_true", help="look for a newer version")


def run(arguments: argparse.Namespace) -> int:
    """Fetch, and print one path a line on standard output; steps go to standard error."""
    fetched = fetch_debian(
        arguments.package,
        arch=arguments.arch,
        suite=arguments.suite,
        modules=arguments.modules,
        refresh=arguments.refresh,
        log=sys.stderr,
    )
    print(*fetched.paths, sep="\n")
    return 0
