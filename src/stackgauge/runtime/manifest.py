"""A run folder's manifest, as the verbs that read logs need it."""

from __future__ import annotations

import json
from pathlib import Path

from stackgauge.errors import InputError

MANIFEST = "manifest.json"
SCHEMA = "stackgauge.run/1"
_MOST_MANIFEST = 1 << 20


def logs_of(path: str, kind: str) -> list[str]:
    """The logs that a path stands for: those of a run folder, or itself.

    Args:
        path: as the user gave it.
        kind: ``tasks`` or ``traces``.

    Raises:
        InputError: a folder is no run folder, or has no such logs.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    try:
        with open(folder / MANIFEST, encoding="utf-8") as file:
            facts = json.loads(file.read(_MOST_MANIFEST))
        names = facts[kind] if facts["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(path, "is a folder, and no run folder of 'stackgauge boot'") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(path, "has a manifest that is broken")
    paths = [folder / name for name in names]
    # What a manifest names lies in its folder.
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise InputError(path, "has a manifest that names files elsewhere")
    if not paths:
        raise InputError(path, f"has nothing that '{kind}' reads")
    return [str(one) for one in paths]
