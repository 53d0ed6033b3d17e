"""Paths of source files as people name them: from the top of the source tree."""

from __future__ import annotations

import posixpath
import re

from stackgauge.image.dwarf_bytes import Dwarf

# What every kernel object's debug information names, from the top of the source tree.
_LANDMARKS = (b"/include/linux\0", b"/init/main.c\0")

# A relative path without a step to itself or up.
_PLAIN = re.compile(r"[^/.][^/]*(/[^/.][^/]*)*").fullmatch


class SourceTree:
    """Shortens paths; keeps what it has found out for the next path."""

    def __init__(self, dwarf: Dwarf) -> None:
        """Speak of the source files of one image."""
        self._dwarf = dwarf
        self._root: str | None = None
        self._known: dict[tuple[str, str, str], str] = {}

    def path(self, compilation: str, directory: str, name: str) -> str:
        """A path from the top of the tree where that can be told, else as the compiler saw it.

        Args:
            compilation: the directory where the compiler ran.
            directory: the file's directory; empty or relative: seen from ``compilation``.
            name: the file's name in it.
        """
        key = compilation, directory, name
        if key not in self._known:
            path = posixpath.join(directory, name)
            self._known[key] = path if _PLAIN(path) else self._shorten(compilation, path)
        return self._known[key]

    def _shorten(self, compilation: str, path: str) -> str:
        path = posixpath.normpath(path) if path else ""
        if not path.startswith("/"):
            # A build in a folder inside the tree names files from there: ../fs/select.c.
            while path.startswith("../"):
                path = path[3:]
            return path
        compilation = posixpath.normpath(posixpath.join("/", compilation))
        for top in (compilation, self._landmark_root(), _common(compilation, path)):
            if top.strip("/") and path.startswith(top.rstrip("/") + "/"):
                return path[len(top.rstrip("/")) + 1 :]
        return path

    def _landmark_root(self) -> str:
        """The kernel's source tree, from a path of which its place in the tree is known."""
        if self._root is None:
            self._root = ""
            for section in (self._dwarf.line_strings, self._dwarf.strings):
                raw = section.data.tobytes()
                for landmark in _LANDMARKS:
                    end = raw.find(landmark)
                    begin = raw.rfind(b"\0", 0, max(end, 0)) + 1
                    if end > begin and raw[begin : begin + 1] == b"/":
                        self._root = raw[begin:end].decode("utf-8", "replace")
                        return self._root
        return self._root


def _common(compilation: str, path: str) -> str:
    """The folder that holds both, where it is the compilation's by no more than three steps.

    Debian builds its kernels in debian/build/<flavour> of the tree.
    """
    top = posixpath.commonpath((compilation, path))
    steps = compilation[len(top) :].strip("/").count("/") + 1
    return top if top.count("/") >= 2 and steps <= 3 else ""
