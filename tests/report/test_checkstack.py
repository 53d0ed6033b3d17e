"""The lines of the kernel's scripts/checkstack.pl, byte for byte."""

from __future__ import annotations

import io
import re
import shutil
import subprocess

import pytest

from stackgauge.report.checkstack import note_least, write_checkstack


def _lines(rows: list[tuple[int, str, str, int]], **options: int) -> str:
    out = io.StringIO()
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    write_checkstack(out, *columns, **options)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_line_of_the_scripts_own_documentation() -> None:
    assert _lines([(0x0012C858, "nlmclnt_reclaim", "vmlinux-arm.o", 720)], bits=32) == (
        "0x0012c858 nlmclnt_reclaim [vmlinux-arm.o]:\t\t720\n"
    )


def test_as_perl_formats_it() -> None:
    """Against the statements of the script that print a line."""
    if not shutil.which("perl"):
        pytest.skip("perl is missing")
    # From its "push @stack" and "print" on; the script counts a tab as 8 characters.
    script = (
        "while (<STDIN>) { my ($addr, $func, $mod, $size) = split; "
        'my $intro = "$addr $func [$mod]:"; my $padlen = 56 - length($intro); '
        'while ($padlen > 0) { $intro .= "\\t"; $padlen -= 8; } print "$intro$size\\n"; }'
    )
    rows = [(0xFFFFFFFF81000000 + size, "f" * length, "m" * (size % 7 + 1), 1000 - size)
            for size, length in enumerate(range(1, 60))]  # fmt: skip
    given = "".join(f"{row[0]:#018x} {row[1]} {row[2]} {row[3]}\n" for row in rows)
    expected = subprocess.run(
        ["perl", "-e", script], input=given, text=True, capture_output=True, check=True
    ).stdout
    assert _lines(rows) == expected


def test_which_and_in_which_order() -> None:
    rows = [(1, "a", "o", 100), (2, "b", "o", 101), (3, "c", "o", 300), (4, "d", "o", 101)]
    assert re.findall(r"(\w) \[o\]", _lines(rows)) == ["c", "b", "d"]
    assert re.findall(r"(\w) \[o\]", _lines(rows, minimum=99)) == ["c", "b", "d", "a"]
    assert _lines([]) == ""


def test_names_stay_in_their_line() -> None:
    line = _lines([(1, "a\x1b[2J\nb", "m\r", 500)])
    assert line.startswith("0x0000000000000001 a\\x1b[2J\\nb [m\\r]:\t")
    assert line.count("\n") == 1


def test_a_note_names_some() -> None:
    out = io.StringIO()
    note_least(out, [], 9)
    assert out.getvalue() == ""
    note_least(out, ["a", "b\x1b"], 9)
    assert out.getvalue().startswith("stackgauge: 2 of 9 functions have a dynamic stack")
    assert out.getvalue().endswith(": a, b\\x1b\n")
    out = io.StringIO()
    note_least(out, list("abcdefg"), 9)
    assert out.getvalue().endswith(": a, b, c, d, e, ...\n")
