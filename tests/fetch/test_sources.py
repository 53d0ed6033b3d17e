"""sources.list in both formats, and which of it is Debian's archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.errors import StackgaugeError
from stackgauge.fetch.sources import Source, choose_sources, format_sources, read_sources

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # a remark
deb [ arch=amd64 signed-by=/keys/a.gpg ] https://b.example/debian-security bookworm-security main
deb http://flat.example/debian ./
"""

DEB822 = """\
Types: deb deb-src
# a remark
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main
"""

MAIN = Source(("http://mirror.example/debian",), ("bookworm", "bookworm-updates"), ("main",), "")
SECURITY = Source(("http://mirror.example/debian-security",), ("bookworm-security",), ("main",), "")
STRANGER = Source(("https://packages.example/apt",), ("bookworm",), ("main",), "/keys/b.gpg")
DOCKER = Source(("https://download.example/linux/debian",), ("bookworm",), ("stable",), "")


def test_reads_one_line_format(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(ONE_LINE)
    found = read_sources(tmp_path / "sources.list", tmp_path / "missing")
    assert found == [
        Source(("http://mirror.example/debian",), ("bookworm",), ("main", "contrib"), ""),
        Source(
            ("https://b.example/debian-security",),
            ("bookworm-security",),
            ("main",),
            "/keys/a.gpg",
        ),
    ]


def test_reads_deb822_format(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    (tmp_path / "debian.sources.save").write_text(DEB822)
    (found,) = read_sources(tmp_path / "missing", tmp_path)
    assert found.uris == ("mirror+file:///etc/apt/mirrors/debian.list",)
    assert found.suites == ("trixie", "trixie-updates")
    assert found.debian


def test_a_whole_key_survives(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    found = read_sources(tmp_path / "missing", tmp_path)
    (tmp_path / "debian.sources").write_text(format_sources(found, "arm64"))
    assert read_sources(tmp_path / "missing", tmp_path) == found
    assert "\n .\n mQINBF\n" in found[0].signed_by


def test_takes_debian_alone() -> None:
    assert choose_sources([STRANGER, MAIN, DOCKER, SECURITY], None) == [MAIN, SECURITY]


@pytest.mark.parametrize(
    ("suite", "uri"),
    [
        ("trixie", "http://mirror.example/debian"),
        ("bookworm-backports", "http://mirror.example/debian"),
        ("trixie-security", "http://mirror.example/debian-security"),
    ],
)
def test_turns_to_another_suite(suite: str, uri: str) -> None:
    (found,) = choose_sources([SECURITY, MAIN], suite)
    assert (found.uris, found.suites) == ((uri,), (suite,))


def test_says_that_nothing_is_debian() -> None:
    with pytest.raises(StackgaugeError, match="not set up with Debian's archive"):
        choose_sources([STRANGER, DOCKER], None)


def test_writes_one_architecture_and_lists_of_packages_only() -> None:
    text = format_sources([MAIN], "riscv64")
    assert "Architectures: riscv64\n" in text
    assert "Targets: Packages\n" in text
    assert "Signed-By" not in text
