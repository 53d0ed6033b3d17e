"""Runs the command line: in this process, or in one of its own with limits."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackgauge.cli.main import main
from tests.seeds import kernel

# What a broken file may take: CPU seconds, and bytes of address space (Python, NumPy and its
# libraries take some 300 MB of it).
SECONDS = 10
MEMORY = 1536 << 20


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    def refused(self) -> str:
        """The one line of a command that was refused."""
        assert self.code == 2
        assert self.out == ""
        assert self.err.startswith("stackgauge: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1
        assert "internal error" not in self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("stackgauge: ").removesuffix("\n")

    def answered(self) -> str:
        """What a command printed that went well and had nothing to complain of."""
        assert (self.code, self.err) == (0, "")
        return self.out

    def answered_or_refused(self) -> None:
        """Either of the two (or the check of ``--verify`` failed), and nothing else."""
        if self.code in (0, 1):
            assert self.out
            assert self.err == ""
        else:
            self.refused()


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""

    def call(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return call


def command(*words: object) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "stackgauge.cli.main", *map(str, words)]


def limited() -> None:
    """Keep this process to what a broken file may take."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def run_limited(*words: object) -> Outcome:
    """The command line, in a process that has no more time and memory than that."""
    done = subprocess.run(
        command(*words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,  # of the clock, which other processes use as well
        preexec_fn=limited,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def vmlinux(tmp_path: Path) -> Path:
    """A small kernel."""
    path = tmp_path / "vmlinux"
    path.write_bytes(kernel())
    return path
