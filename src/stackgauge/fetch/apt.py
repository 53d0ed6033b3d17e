"""Debian's apt with state of its own: another architecture or suite, no root, nothing shared.

apt checks every list against the archive's signature and every package against its list, so what
comes out of here is what Debian signed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from stackgauge.errors import StackgaugeError
from stackgauge.fetch.sources import choose_sources, format_sources, read_sources

# What apt says when the archive is out of reach, whichever method and address family it tried.
_UNREACHABLE = re.compile(
    r"could not resolve|temporary failure resolving|could not connect|unable to connect"
    r"|cannot initiate the connection|connection (?:failed|timed out|refused|reset)"
    r"|network is unreachable|no route to host"
    # The mirror is being changed: to try again later is all that helps.
    r"|mirror sync in progress|hash sum mismatch|has unexpected size",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left on device|don't have enough free space", re.IGNORECASE)
_NO_PACKAGE = re.compile(r"No packages found|has no candidate|Unable to locate package")
# Listed, but no longer (or not yet) there.
_GONE = re.compile(r"Failed to fetch .*404  Not Found")
_NO_SUITE = re.compile(r"does not have a Release file|is no longer signed")

# Read after the system's own configuration, of which proxies and the like stay in force. Hooks
# are not ours to run (containers delete the system's cache in one), pins not ours to follow. The
# user apt drops to could not reach a cache in root's home; everything is verified all the same.
_CONFIGURATION = """\
Dir::State "{root}";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}";
Dir::Cache::archives "{root}/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{root}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "{architecture}";
#clear APT::Architectures;
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
"""


class UnreachableError(StackgaugeError):
    """The archive cannot be reached: there is no network, or no way to it."""


class NotFoundError(StackgaugeError):
    """The archive has no such package, suite or architecture, as far as the lists here say."""


@dataclass(frozen=True)
class Package:
    """A package as the lists have it: ``depends`` is that field's text, ``size`` in bytes."""

    name: str
    version: str
    architecture: str
    depends: str
    size: int

    def depends_on(self, pattern: re.Pattern[str]) -> list[str]:
        """The names of the packages that it needs, as far as they match."""
        words = re.split(r"[\s,|]+", self.depends)
        return [word for word in words if pattern.fullmatch(word)]


class Apt:
    """apt for one architecture and suite, with its lists in a folder of its own."""

    def __init__(
        self, folder: Path, architecture: str | None, suite: str | None, log: TextIO | None
    ) -> None:
        """Set it up; nothing is downloaded yet.

        Args:
            folder: the cache folder, below which each architecture and suite has its own.
            architecture: Debian's name of it; None for this machine's.
            suite: None for those that the system's apt is set up with.
            log: where apt may show its progress, if that is a terminal.

        Raises:
            StackgaugeError: apt is not installed, or not set up with Debian's archive.
        """
        self._terminal = log if log is not None and log.isatty() else None
        for tool in ("apt-get", "apt-cache", "apt-config", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise StackgaugeError(f"{tool} is not installed: fetch needs apt, as Debian has it")
        system = self._system()
        self.architecture = architecture or system["architecture"]
        sources = choose_sources(read_sources(Path(system["list"]), Path(system["parts"])), suite)
        self.suites = " ".join(name for source in sources for name in source.suites)
        self._root = (
            folder / f"{self.suites.replace(' ', '+').replace('/', '-')}_{self.architecture}"
        )
        self._configuration = self._root / "apt.conf"
        self._lay_out(format_sources(sources, self.architecture))

    def _system(self) -> dict[str, str]:
        """What the system's apt is set up with: its architecture and its sources' places."""
        names = {
            "architecture": "APT::Architecture",
            "list": "Dir::Etc::sourcelist/f",
            "parts": "Dir::Etc::sourceparts/f",
        }
        arguments = [word for pair in names.items() for word in pair]
        text = self._checked(["apt-config", "shell", *arguments])
        return dict(line.partition("=")[::2] for line in shlex.split(text))

    def _lay_out(self, sources: str) -> None:
        for name in ("lists/partial", "archives/partial"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        texts = {
            "status": "",
            "debian.sources": sources,
            self._configuration.name: _CONFIGURATION.format(
                root=self._root, architecture=self.architecture
            ),
        }
        for name, text in texts.items():
            file = self._root / name
            # A file that only looks newer would make apt read all its lists anew.
            if not file.is_file() or file.read_text() != text:
                file.write_text(text)

    def _checked(self, command: list[str], **options: object) -> str:
        """Run a command of apt's and return what it printed.

        Raises:
            StackgaugeError: it failed; which kind, as it says on standard error.
        """
        done = subprocess.run(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C"},
            check=False,
            **({"stdout": subprocess.PIPE} | options),
        )
        if done.returncode != 0:
            raise self._error(command[0], done.stderr)
        return str(done.stdout or "")

    def _error(self, tool: str, said: str) -> StackgaugeError:
        """The one line that says best what went wrong, out of all that apt said."""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        for line in lines:
            text = re.sub(r"^[EWN]: ", "", line)
            if _NO_SPACE.search(line):
                return StackgaugeError(f"the disk is full: {self._root.parent}")
            if _UNREACHABLE.search(line):
                return UnreachableError(f"the package archive is out of reach: {text}")
            if _NO_SUITE.search(line):
                return NotFoundError(f"the package archive has no suite that fits: {text}")
            if _NO_PACKAGE.search(line):
                return NotFoundError(text)
            if _GONE.search(line):
                return NotFoundError(f"the package archive lists it but does not have it: {text}")
        first = next((line[3:] for line in lines if line.startswith("E: ")), "")
        return StackgaugeError(f"{tool} failed: {first or (lines or ['it says nothing'])[0]}")

    def _apt(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        shown = self._terminal if tool == "apt-get" else None
        quiet = () if shown or tool != "apt-get" else ("-qq",)
        return self._checked(
            [tool, f"--config-file={self._configuration}", *quiet, *arguments],
            stdout=shown or subprocess.PIPE,
            cwd=cwd,
        )

    @property
    def has_lists(self) -> bool:
        """Whether there are lists of packages here, however old."""
        return any((self._root / "lists").glob(f"*_binary-{self.architecture}_Packages*"))

    def update(self) -> None:
        """Download the archive's newest lists.

        Raises:
            UnreachableError: there is no way to the archive.
            NotFoundError: it has no such suite or architecture.
        """
        self._apt("apt-get", "update")
        if not self.has_lists:
            raise NotFoundError(f"{self.suites} has no architecture {self.architecture!r}")

    def find(self, name: str) -> Package:
        """The newest version of a package that the lists have.

        Raises:
            NotFoundError: they have none.
        """
        missing = NotFoundError(f"{self.suites} has no package {name!r} for {self.architecture}")
        try:
            text = self._apt("apt-cache", "show", "--no-all-versions", name)
        except NotFoundError as error:
            raise missing from error
        fields = dict(line.partition(": ")[::2] for line in text.partition("\n\n")[0].splitlines())
        if fields.get("Package") != name or "Version" not in fields:
            raise missing
        return Package(
            name,
            fields["Version"],
            fields.get("Architecture", self.architecture),
            fields.get("Depends", ""),
            int(fields.get("Size", 0)),
        )

    def download(self, package: Package, folder: Path) -> Path:
        """Download a package into an empty folder, checked against the archive's lists.

        Raises:
            UnreachableError: there is no way to the archive.
            NotFoundError: the archive no longer has it.
            StackgaugeError: the disk is full, or apt fails in another way.
        """
        self._apt("apt-get", "download", f"{package.name}={package.version}", cwd=folder)
        found = list(folder.glob("*.deb"))
        if len(found) != 1:
            raise StackgaugeError(f"apt-get downloaded no {package.name}")
        return found[0]
