"""Where apt is set up to find Debian's archive: sources.list(5), in both of its formats."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from stackgauge.errors import StackgaugeError

_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>.*)"
)


@dataclass(frozen=True)
class Source:
    """One archive that apt reads binary packages from.

    Attributes:
        uris: of the archive's root; several are mirrors of each other.
        suites: of it, for example ``bookworm``.
        components: parts of each suite, for example ``main``.
        signed_by: the keyring's path, or a whole key as deb822 writes it; empty for apt's own.
    """

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str

    @property
    def debian(self) -> bool:
        """Whether this is Debian's archive or a mirror, judged by the path: ``/debian…``.

        The component tells it from others that publish under such a path.
        """
        path = re.sub(r"^[^:]*:(//[^/]*)?", "", self.uris[0])
        return "main" in self.components and any(
            part.startswith("debian") for part in path.split("/")
        )

    @property
    def security(self) -> bool:
        """Whether it holds security updates, which have an archive of their own."""
        return any(suite.endswith("-security") for suite in self.suites)


def read_sources(list_file: Path, parts_folder: Path) -> list[Source]:
    """The sources that apt reads, in its order: ``sources.list``, then ``sources.list.d``.

    Raises:
        OSError: one of them cannot be read; one that is not there is none.
    """
    files = [list_file] if list_file.is_file() else []
    if parts_folder.is_dir():
        files += sorted(parts_folder.iterdir())
    found: list[Source] = []
    for file in files:
        text = ""
        if file.suffix in (".list", ".sources"):
            text = file.read_text(encoding="utf-8", errors="replace")
        found += _read_deb822(text) if file.suffix == ".sources" else _read_lines(text)
    return found


def choose_sources(sources: list[Source], suite: str | None) -> list[Source]:
    """Those of Debian's archive alone, all of them or turned to one suite.

    Args:
        sources: what apt is set up with.
        suite: of the archive, for example ``trixie`` or ``bookworm-backports``; None for the
            suites that apt is set up with.

    Raises:
        StackgaugeError: none of them is Debian's.
    """
    ours = [replace(source, components=("main",)) for source in sources if source.debian]
    if not ours:
        raise StackgaugeError("apt is not set up with Debian's archive here: nothing to fetch from")
    if suite is None:
        return ours
    # Security updates lie in an archive of their own; every other suite in the main one.
    wanted = suite.endswith("-security")
    fitting = [source for source in ours if source.security == wanted]
    return [replace((fitting or ours)[0], suites=(suite,))]


def format_sources(sources: list[Source], architecture: str) -> str:
    """As deb822, for one architecture and for lists of packages only."""
    return "\n".join(
        "Types: deb\n"
        f"URIs: {' '.join(source.uris)}\n"
        f"Suites: {' '.join(source.suites)}\n"
        f"Components: {' '.join(source.components)}\n"
        f"Architectures: {architecture}\n"
        "Targets: Packages\n" + (f"Signed-By: {source.signed_by}\n" if source.signed_by else "")
        for source in sources
    )


def _read_lines(text: str) -> list[Source]:
    """The older format: ``deb [options] uri suite component…``, one source a line."""
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match is None or match["suite"].endswith("/"):
            continue
        options = [option.partition("=") for option in (match["options"] or "").split()]
        signed_by = next((value for name, _, value in options if name == "signed-by"), "")
        found.append(
            Source(
                (match["uri"],),
                (match["suite"],),
                tuple(match["rest"].split()),
                signed_by.replace(",", " "),
            )
        )
    return found


def _read_deb822(text: str) -> list[Source]:
    """The newer format: a paragraph a source, a field a line, indented lines going on with it."""
    found = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n[ \t]*\n", kept):
        fields = {
            match[1].lower(): match[2].rstrip()
            for match in re.finditer(r"^(\S+?):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE)
        }
        uris = tuple(fields.get("uris", "").split())
        wanted = "deb" in fields.get("types", "").split()
        disabled = fields.get("enabled", "yes").lower() in ("no", "false", "0")
        if not uris or not wanted or disabled:
            continue
        found.append(
            Source(
                uris,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )
        )
    return found
