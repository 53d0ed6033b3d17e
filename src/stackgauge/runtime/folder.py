"""A run folder: all that boots have brought, and a manifest that says what is what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stackgauge import __version__
from stackgauge.errors import InputError
from stackgauge.runtime.manifest import MANIFEST, SCHEMA
from stackgauge.runtime.qemu import Boot

# Which files other verbs read as logs, and what they then have.
_TASKS = {"dmesg": b"", "vmstat": b"kstack_"}
_TRACES = "stack_trace-"


class Run:
    """A folder that boots are written to, one after another.

    Attributes:
        folder: where it is.
        boots: how they went, by name.
        core: the dump of memory; None where there is none.
    """

    def __init__(self, folder: Path, image: str, architecture: str) -> None:
        """Make the folder.

        Args:
            folder: new, or empty.
            image: the kernel's path, for the manifest.
            architecture: as the kernel calls it.

        Raises:
            InputError: the folder cannot be made, or holds something.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise InputError(folder, "is not empty")
        except OSError as error:
            raise InputError(folder, f"cannot be made: {error.strerror}") from error
        self.folder = folder
        self.boots: dict[str, Boot] = {}
        self.core: Path | None = None
        self._facts = {"image": image, "architecture": architecture}
        self._logs: dict[str, list[str]] = {"tasks": [], "traces": []}

    def add(self, name: str, boot: Boot) -> None:
        """Write what a boot has brought, and the manifest anew.

        Raises:
            InputError: it cannot be written.
        """
        self.boots[name] = boot
        self.core = boot.core or self.core
        place = self.folder / name
        try:
            place.mkdir()
            (place / "console").write_bytes(boot.console)
            for file, data in boot.files.items():
                (place / file).write_bytes(data)
                if name == "marks" and file in _TASKS and _TASKS[file] in data:
                    self._logs["tasks"].append(f"{name}/{file}")
                elif file.startswith(_TRACES):
                    self._logs["traces"].append(f"{name}/{file}")
            self._write_manifest()
        except OSError as error:
            raise InputError(self.folder, f"cannot be written: {error.strerror}") from error

    def logs(self, kind: str) -> list[str]:
        """The paths of what ``tasks`` or ``traces`` reads."""
        return [str(self.folder / name) for name in self._logs[kind]]

    def _write_manifest(self) -> None:
        facts: dict[str, Any] = {
            "schema": SCHEMA,
            "stackgauge": __version__,
            **self._facts,
            "boots": {
                name: {
                    "command": boot.command,
                    "seconds": round(boot.seconds, 1),
                    "failure": boot.failure,
                    "troubles": boot.troubles,
                    "files": sorted(boot.files),
                    "damaged": boot.damaged,
                    "stack_tracer": boot.traceable if name == "trace" else None,
                }
                for name, boot in self.boots.items()
            },
            "core": self.core and self.core.name,
            **self._logs,
        }
        (self.folder / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n")
