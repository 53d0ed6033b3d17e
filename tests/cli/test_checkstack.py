"""The verb ``checkstack``: the arguments, the lines and the order of the kernel's script."""

from __future__ import annotations

import io
import platform
import re
import subprocess
import sys

import pytest

from stackgauge.report.checkstack import write_checkstack
from tests.cli.conftest import SECONDS, Run, command, limited
from tests.evidence.objdump_text import RECORDED, function, text

PAGE = (RECORDED / "x86_64-corpus.txt").read_bytes()


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> type[io.BytesIO]:
    """Gives bytes as standard input."""

    class Given(io.BytesIO):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(self))

    return Given


def test_the_lines_are_the_scripts(run: Run, given: type[io.BytesIO]) -> None:
    given(PAGE)
    outcome = run("checkstack", "x86_64", 200)
    assert outcome.code == 0
    # Byte for byte what checkstack.pl prints, but for the bytes of stack: it has 10032 for page.
    assert outcome.out == (
        "0x00000000000000e0 huge [corpus.o]:\t\t\t70016\n"
        "0x00000000000000c0 page [corpus.o]:\t\t\t5024\n"
        "0x0000000000000490 passes [corpus.o]:\t\t\t1248\n"
        "0x00000000000000a0 array [corpus.o]:\t\t\t416\n"
        "0x00000000000002b0 aligned [corpus.o]:\t\t\t328\n"
        "0x0000000000000140 bug [corpus.o]:\t\t\t320\n"
        "0x0000000000000100 early [corpus.o]:\t\t\t224\n"
    )
    assert outcome.err == (
        "stackgauge: 1 of 18 functions have a dynamic stack, or one that the code does not tell; "
        "their figures are the least: variable\n"
    )


def test_a_hundred_bytes_are_not_listed(run: Run, given: type[io.BytesIO]) -> None:
    def takes(name: str, address: int, size: int) -> str:
        return function(name, address, f"sub    ${size:#x},%rsp", f"add    ${size:#x},%rsp", "ret")

    data = text(takes("a", 0, 92), takes("b", 16, 93), takes("c", 32, 200), takes("d", 48, 93))
    given(data)
    found = run("checkstack", "x86_64").answered()
    # As large ones stay in the order of the text.
    assert re.findall(r" (\w) \[vmlinux\]:\t+(\d+)", found) == [
        ("c", "208"),
        ("b", "101"),
        ("d", "101"),
    ]
    given(data)
    assert len(run("checkstack", "x86_64", "0").answered().splitlines()) == 4


def test_the_architecture_is_that_of_the_machine(
    run: Run, given: type[io.BytesIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "armv7l")
    for words in (), ("",):
        given((RECORDED / "arm-corpus.txt").read_bytes())
        first = run("checkstack", *words).out.splitlines()[0]
        assert first == "0x000000a8 huge [corpus.o]:\t\t\t\t70008"


def test_a_long_name_leaves_no_space(run: Run, given: type[io.BytesIO]) -> None:
    name = "mas_wr_spanning_store.isra.0"
    take = "sub    $0x798,%rsp", "add    $0x798,%rsp", "ret"
    given(text(function(name, 0xFFFFFFFF819E6160, *take)))
    expected = f"0xffffffff819e6160 {name} [vmlinux]:1952\n"
    assert run("checkstack", "x86_64").answered() == expected


@pytest.mark.parametrize("length", range(1, 40))
def test_the_tabs_are_counted_as_the_script_counts_them(length: int) -> None:
    out = io.StringIO()
    write_checkstack(out, [1], ["f" * length], ["vmlinux"], [101])
    intro = f"0x0000000000000001 {'f' * length} [vmlinux]:"
    padding, left = "", 56 - len(intro)
    while left > 0:
        padding, left = padding + "\t", left - 8
    assert out.getvalue() == f"{intro}{padding}101\n"


def test_a_name_cannot_disturb_the_terminal(run: Run, given: type[io.BytesIO]) -> None:
    take = "sub    $0x798,%rsp", "add    $0x798,%rsp", "ret"
    given(text(function("f\x1b[2J", 0, *take)))
    assert "f\\x1b[2J [vmlinux]:" in run("checkstack", "x86_64").answered()


def test_text_of_another_architecture_is_one_line(run: Run, given: type[io.BytesIO]) -> None:
    given((RECORDED / "arm-corpus.txt").read_bytes())
    message = run("checkstack", "x86_64").refused()
    assert message == "standard input: corpus.o is of architecture arm, not x86_64"


@pytest.mark.parametrize("data", [b"", b"\n", b"\0" * 100, b"\xff\xfe<f>:\n"])
def test_no_text_at_all_is_one_line(run: Run, given: type[io.BytesIO], data: bytes) -> None:
    given(data)
    assert "standard input: no function in it" in run("checkstack", "x86_64").refused()


def test_a_reader_that_stops_early() -> None:
    # As in ``| head``: nothing is said.
    process = subprocess.Popen(
        command("checkstack", "x86_64", "0"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, error = process.communicate(PAGE)
    assert (process.returncode, b"Error" in error) == (0, False)


@pytest.mark.parametrize(
    "unit",
    [
        b"\0",
        b"00001000 <f>:\n",
        b"\t",
        b"a",
        b"   1004:\tcc \tint3\n",
        b"1 <a>:\n  1:\t50\tpush\t\n",
    ],
)
def test_endless_garbage_stays_small_and_quick(unit: bytes) -> None:
    done = subprocess.run(
        command("checkstack", "x86_64"),
        input=b"00001000 <f>:\n   1000:\t55 \tpush   %rbp\n" + unit * ((8 << 20) // len(unit)),
        capture_output=True,
        timeout=12 * SECONDS,
        preexec_fn=limited,
        check=False,
    )
    assert done.returncode in (0, 2)
    assert b"Traceback" not in done.stderr
    assert b"internal error" not in done.stderr
