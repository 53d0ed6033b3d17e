"""Files of annotations: what a user, or the kernel's source, knows of calls that the image hides.

TOML, a table a statement; docs/depth.md shows each kind. Patterns are those of a shell (``*``,
``?``, ``[...]``) and match a whole name; a name stands for its clones (``.isra.0``) as well.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from pathlib import Path

from stackgauge.errors import InputError, UsageError

# The largest file that is read, and the most times that a function may be said to be on a stack.
_LARGEST = 1 << 18
_MOST_TIMES = 1_000_000

# Stands for what is called through pointers, in place of a callee.
POINTERS = "(*)"

_EDGE = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")
_SYNTAX = re.compile(r"(?s)(.*) \(at line (\d+), column \d+\)")


class Statement(Enum):
    """What an annotation says; the values are the names of the file's tables."""

    CALL = "call"
    """The caller's calls through pointers reach the callee, and none that are not annotated."""
    NEVER = "never"
    """The caller never calls the callee; POINTERS: nothing through a pointer."""
    RECURSION = "recursion"
    """The function is on one stack so many times at most."""
    IGNORE = "ignore"
    """Calls of the function are to be left out."""


@dataclass(frozen=True)
class Rule:
    """One annotation.

    Attributes:
        statement: what it says.
        caller: pattern of the functions that call; empty where that does not matter.
        callee: pattern of the functions that are called, or that it speaks of.
        times: of a recursion, else 0.
        why: the reason that the file gives, such as a line of the kernel's source.
        where: the file and the line.
        strict: whether a pattern that no function matches is a mistake: a user's file is written
            for the kernel at hand, a shipped one for all.
    """

    statement: Statement
    caller: str
    callee: str
    times: int
    why: str
    where: str
    strict: bool


def read_annotations(path: str | os.PathLike[str]) -> list[Rule]:
    """The rules of a user's file.

    Raises:
        InputError: the file cannot be read, is not TOML, or says what makes no sense; with the
            line.
    """
    where = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(where, f"cannot be read: {error.strerror}") from error
    if len(raw) > _LARGEST:
        raise InputError(where, f"has more than {_LARGEST} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}, line {line}", "is not UTF-8") from error
    return _Reader(text, where, strict=True).rules()


def shipped(name: str) -> list[Rule]:
    """The rules of a file that comes with the program, by its name without ``.toml``."""
    text = (files("stackgauge.calls") / "data" / f"{name}.toml").read_text("utf-8")
    return _Reader(text, f"{name}.toml", strict=False).rules()


def ignored(name: str) -> list[Rule]:
    """The rules of a set that ``--ignore`` names.

    Raises:
        UsageError: there is no such set.
    """
    if name not in IGNORED_SETS:
        raise UsageError(f"no set is called {name!r}; there is {', '.join(IGNORED_SETS)}")
    return shipped(f"ignore-{name}")


IGNORED_SETS = ("diagnostics",)


class _Reader:
    """One file, and where in it things stand."""

    def __init__(self, text: str, where: str, *, strict: bool) -> None:
        self.text, self.where, self.strict = text, where, strict
        self.headers: dict[Statement, list[int]] = {}

    def rules(self) -> list[Rule]:
        """All rules, in the file's order within each kind."""
        try:
            tables = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            found = _SYNTAX.fullmatch(str(error))
            place = f"{self.where}, line {found[2]}" if found else self.where
            raise InputError(place, found[1] if found else str(error)) from error
        except RecursionError as error:
            raise InputError(self.where, "is nested too deeply") from error
        known = {one.value: one for one in Statement}
        result: list[Rule] = []
        for name, entries in tables.items():
            if name not in known:
                raise InputError(
                    self._place(rf"\[+\s*\"?{re.escape(name)}\b|\"?{re.escape(name)}\b"),
                    f"{name!r} is no statement; there is {', '.join(known)}",
                )
            if not isinstance(entries, list):
                raise InputError(
                    self._place(rf"\[*\s*{name}\b"), f"a statement begins with [[{name}]]"
                )
            for number, entry in enumerate(entries):
                result.append(self._rule(known[name], number, len(entries), entry))
        return result

    def _rule(self, statement: Statement, number: int, count: int, entry: object) -> Rule:
        def fail(what: str, key: str = "") -> InputError:
            return InputError(self._entry(statement, number, count, key), what)

        if not isinstance(entry, dict):
            raise fail(f"a statement begins with [[{statement.value}]]")
        needs = _NEEDS[statement]
        for key, value in entry.items():
            kind = (needs | _MAY_HAVE).get(key)
            if kind is None:
                allowed = ", ".join(needs | _MAY_HAVE)
                raise fail(f"{key!r} is no key of [[{statement.value}]], which has {allowed}", key)
            if type(value) is not kind:
                raise fail(f"{key!r} is not {_KIND_NAMES[kind]}", key)
        for key in needs:
            if key not in entry:
                raise fail(f"[[{statement.value}]] has no {key!r}")
        caller, callee = "", entry.get("function", "")
        if "edge" in needs:
            edge = _EDGE.fullmatch(entry["edge"])
            if edge is None:
                raise fail(f"{entry['edge']!r} is not of the form 'caller -> callee'", "edge")
            caller, callee = edge.groups()
        elif not callee or callee.split() != [callee]:
            raise fail(f"{callee!r} is not the name of a function", "function")
        if POINTERS in (caller, callee) and (
            statement is not Statement.NEVER or caller == POINTERS
        ):
            raise fail(f"{POINTERS} can only be what is never called", "edge")
        times = entry.get("times", 0)
        if "times" in needs and not 1 <= times <= _MOST_TIMES:
            raise fail(f"{times} is not a number of times from 1 to {_MOST_TIMES}", "times")
        return Rule(
            statement, caller, callee, times, entry.get("why", ""),
            self._entry(statement, number, count, ""), self.strict,
        )  # fmt: skip

    def _place(self, pattern: str) -> str:
        """The file, and the first line that begins like this."""
        found = re.search(rf"(?m)^[ \t]*(?:{pattern})", self.text)
        return self._line(found.start()) if found else self.where

    def _line(self, offset: int) -> str:
        return f"{self.where}, line {self.text.count(chr(10), 0, offset) + 1}"

    def _headers(self, statement: Statement) -> list[int]:
        """Where the headers of a statement's tables end."""
        if statement not in self.headers:
            header = rf"(?m)^[ \t]*\[\[[ \t]*{statement.value}[ \t]*\]\]"
            self.headers[statement] = [one.end() for one in re.finditer(header, self.text)]
        return self.headers[statement]

    def _entry(self, statement: Statement, number: int, count: int, key: str) -> str:
        """The file, and the line of an entry or of a key in it; tomllib does not tell."""
        headers = self._headers(statement)
        if len(headers) != count:
            # Written in some other way, which is TOML all the same.
            return f"{self.where}, [[{statement.value}]] number {number + 1}"
        begin = headers[number]
        following = re.compile(r"(?m)^[ \t]*\[").search(self.text, begin)
        end = following.start() if following else len(self.text)
        if key:
            found = re.compile(rf"(?m)^[ \t]*[\"']?{re.escape(key)}\b").search(
                self.text, begin, end
            )
            if found:
                return self._line(found.start())
        return self._line(begin)


_NEEDS: dict[Statement, dict[str, type]] = {
    Statement.CALL: {"edge": str},
    Statement.NEVER: {"edge": str},
    Statement.RECURSION: {"function": str, "times": int},
    Statement.IGNORE: {"function": str},
}
_MAY_HAVE: dict[str, type] = {"why": str}
_KIND_NAMES = {str: "a text in quotes", int: "a whole number"}
