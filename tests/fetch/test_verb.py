"""The verb: paths on standard output, one a line, all else on standard error."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from stackgauge.cli import fetch

from .conftest import VERSION, Archive


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    fetch.prepare_parser(parser)
    return parser.parse_args(words)


def test_prints_paths_alone(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.run(parse("debian")) == 0
    said = capsys.readouterr()
    paths = [Path(line) for line in said.out.splitlines()]
    assert [path.name for path in paths] == [f"vmlinuz-{VERSION}", f"config-{VERSION}"]
    assert all(path.is_file() for path in paths)
    assert "downloading" in said.err


def test_options_reach_the_archive(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.run(parse("debian", f"linux-image-{VERSION}", "--modules", "--refresh")) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("/a.ko")
    assert fetch.run(parse("debian", "linux-image-cloud-amd64", "--suite", "trixie")) == 0
    assert "reading the package lists of trixie for amd64" in capsys.readouterr().err


def test_debian_is_what_there_is(archive: Archive) -> None:
    with pytest.raises(SystemExit):
        parse("gentoo")
