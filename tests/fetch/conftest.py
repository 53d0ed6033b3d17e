"""A Debian archive that is not there: fake tools in PATH, its packages in a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).with_name("fake_apt.py")
SOURCES = "deb http://mirror.example/debian bookworm main contrib\n"

VERSION = "6.1.0-1-cloud-amd64"
META = {
    "Version": "1",
    "Depends": f"linux-base, linux-image-{VERSION} (= 6.1.1-1)",
    "files": {"usr/share/doc/readme": "nothing here"},
}
KERNEL = {
    "Version": "6.1.1-1",
    "Depends": "kmod, linux-base (>= 4.3~) | other",
    "Size": 1000,
    "files": {
        f"boot/System.map-{VERSION}": "ffffffffffffffff B The real System.map is elsewhere",
        f"boot/config-{VERSION}": "CONFIG_X86=y\n",
        f"boot/vmlinuz-{VERSION}": "the image",
        f"lib/modules/{VERSION}/kernel/lib/a.ko": "a module",
        f"lib/modules/{VERSION}/modules.order": "no module",
    },
}


class Archive:
    """What the fake tools offer, and what was asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: dict[str, Any] = {
            "linux-image-cloud-amd64": META,
            f"linux-image-{VERSION}": KERNEL,
        }
        (folder / "sources.list").write_text(SOURCES)
        (folder / "calls").write_text("")
        self.publish()
        self.fail()

    def publish(self, **packages: Any) -> None:
        """Add packages, ``_`` in a name standing for ``-``."""
        self.packages |= {name.replace("_", "-"): value for name, value in packages.items()}
        (self.folder / "packages.json").write_text(json.dumps(self.packages))

    def fail(self, **verbs: str) -> None:
        """Have commands of these verbs fail with these words, and no others."""
        (self.folder / "say.json").write_text(json.dumps(verbs))

    def calls(self) -> list[str]:
        """The commands run since the last time of asking."""
        text = (self.folder / "calls").read_text()
        (self.folder / "calls").write_text("")
        return text.splitlines()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    folder, tools = tmp_path / "archive", tmp_path / "bin"
    folder.mkdir()
    tools.mkdir()
    for name in ("apt-get", "apt-cache", "apt-config", "dpkg-deb"):
        (tools / name).write_text(f"#!{sys.executable} -IS\n{FAKE.read_text()}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("FAKE_ARCHIVE", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Archive(folder)
