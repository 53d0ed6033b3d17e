"""The command line itself: its verbs, its exit codes, its streams."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from stackgauge import __version__
from stackgauge.cli.main import VERBS
from tests.cli.conftest import Run, command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: VERB"),
        (["frame"], "argument VERB: invalid choice: 'frame'"),
        (["--frames"], "the following arguments are required: VERB"),
        (["frames"], "the following arguments are required: IMAGE"),
        (["frames", "--nothing", "x"], "unrecognized arguments: --nothing"),
        (["frames", "--min", "many", "x"], "argument --min: 'many' is not a number"),
        (["frames", "--min", "-1", "x"], "argument --min: '-1' is not a number"),
        (["frames", "--min", "1.5", "x"], "argument --min: '1.5' is not a number"),
        (["frames", "--top", "-5", "x"], "argument --top: '-5' is not a number"),
        (["frames", "--top", "9" * 5000, "x"], "argument --top: '999"),
        (["frames", "--match", "a(b", "x"], "--match 'a(b': missing )"),
        (["frames", "--match", "*\n", "x"], r"--match '*\n': nothing to repeat"),
        (["frames", "--summary", "--verify", "x"], "argument --verify: not allowed with"),
        (["frames", "--csv", "--json", "x"], "argument --json: not allowed with"),
        (["frames", "--format", "xml", "x"], "argument --format: invalid choice: 'xml'"),
        (["frames", "--format", "checkstack", "--summary", "x"], "--format checkstack has no form"),
        (["checkstack", "vax"], "checkstack: unknown architecture 'vax'"),
        (["checkstack", "x86_64", "few"], "checkstack: 'few' is not a number of bytes"),
        (["checkstack", "x86_64", "9" * 5000], "checkstack: '999"),
        (["fetch", "gentoo"], "argument archive: invalid choice: 'gentoo'"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, words: list[str], message: str) -> None:
    assert run(*words).refused().startswith(message)


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help(verb: str | None, capsys: pytest.CaptureFixture[str], run: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*([verb] if verb else []), "--help")
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("usage: stackgauge")
    assert verb or all(name in said.out for name in VERBS)


def test_version(capsys: pytest.CaptureFixture[str], run: Run) -> None:
    with pytest.raises(SystemExit):
        run("--version")
    assert capsys.readouterr().out == f"stackgauge {__version__}\n"


def test_a_defect_is_one_line_too(run: Run, vmlinux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.delenv("STACKGAUGE_DEBUG", raising=False)
    monkeypatch.setattr("stackgauge.frames.measure.measure", fail)
    outcome = run("frames", vmlinux)
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(
        r"stackgauge: internal error, please report it: ZeroDivisionError: by nothing .*\n",
        outcome.err,
    )
    monkeypatch.setenv("STACKGAUGE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("frames", vmlinux)


def test_too_little_memory(run: Run, vmlinux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("stackgauge.frames.measure.measure", fail)
    assert run("frames", vmlinux).refused() == "not enough memory for this image"


@pytest.mark.parametrize("option", ["--csv", "--verify", "--summary"])
def test_a_reader_that_has_enough(vmlinux: Path, option: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command("frames", vmlinux, option), stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk(vmlinux: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("frames", vmlinux), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"stackgauge: standard output: No space left on device\n"


def test_closed_streams(vmlinux: Path) -> None:
    words = command("frames", vmlinux)
    shell = ["sh", "-c", '"$@" >&-', "sh"]
    done = subprocess.run([*shell, *words], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"stackgauge: standard output is closed\n")
    shell = ["sh", "-c", '"$@" 2>&-', "sh"]
    done = subprocess.run([*shell, *words, "nothing"], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    shell = ["sh", "-c", '"$@" <&-', "sh"]
    words = command("checkstack", "x86_64")
    done = subprocess.run([*shell, *words], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"stackgauge: checkstack: nothing on standard input")


def test_an_interrupt_says_nothing() -> None:
    with subprocess.Popen(
        command("checkstack", "x86_64"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        # More than a pipe holds, so that it has begun to read when this is written.
        process.stdin.write(b"\n" * (1 << 20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")
