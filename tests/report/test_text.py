"""Tables for people: plain columns, or fitted ones on a terminal; names that disturb neither."""

from __future__ import annotations

import io

import pytest

from stackgauge.report.text import printable, write_table

ROWS = [["8", "f", "a"], ["1048", "do_sys_poll", ""], ["24", "[red]g[/red]", "fs/select.c:883"]]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)


def _table(out: io.StringIO, rows: list[list[str]]) -> str:
    write_table(out, ["frame", "function", "source"], rows, right={"frame"})
    return out.getvalue()


def test_plain() -> None:
    assert _table(io.StringIO(), ROWS) == (
        "frame  function      source\n"
        "    8  f             a\n"
        " 1048  do_sys_poll\n"
        "   24  [red]g[/red]  fs/select.c:883\n"
    )
    assert _table(io.StringIO(), []) == "frame  function  source\n"


def test_on_a_terminal() -> None:
    shown = _table(Terminal(), ROWS)
    assert "─" in shown
    # What looks like rich's markup is text.
    assert "[red]g[/red]" in shown
    assert "\x1b[31m" not in shown


def test_a_long_name_is_folded_not_cut() -> None:
    name = "".join(chr(97 + number % 26) for number in range(300))
    shown = _table(Terminal(), [["8", name, ""]])
    letters = "".join(one for one in shown if one.islower())
    assert name in letters.replace("framefunctionsource", "")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_control_characters(stream: type[io.StringIO]) -> None:
    shown = _table(stream(), [["8", "a\x1b[2Jb\nc\rd\x9be\u202ef", "\x07\ud800"]])
    assert "a\\x1b[2Jb\\nc\\rd\\x9be\\u202ef" in shown
    assert "\\x07\\ud800" in shown
    for disturbing in "\r\x07\x9b\u202e\ud800":
        assert disturbing not in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("name with spaces", "name with spaces"),
        ("größe", "größe"),
        ("back\\slash", "back\\slash"),
        ("tab\there", "tab\\there"),
        ("\x00\x7f\x85", "\\x00\\x7f\\x85"),
        ("\u2028\U000e0001", "\\u2028\\U000e0001"),
        ("\ufffd", "\ufffd"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()
