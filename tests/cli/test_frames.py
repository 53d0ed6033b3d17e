"""The verb ``frames``: what it lists, in which form, of which kinds of files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, command
from tests.frames.made_kernel import BASE, MadeKernel
from tests.image.containers import bzimage, write_archive
from tests.image.test_opening import BANNER, RODATA, module, stripped_vmlinux, system_map
from tests.seeds import INIT, corpus, kernel

COLUMNS = "address,frame,least,kind,evidence,function,module,file,line"

TEXT = f"""\
vmlinux: Linux 6.12.9, x86_64, 16384-byte stacks, GCC: (Debian 14.2.0-19) 14.2.0
       frame  kind     evidence      function
1040 to 1048  static   instructions  do_sys_poll
         136  static   instructions  splits
         128  static   instructions  (no symbol at {INIT:#x})
          56  static   orc           pushes
         32+  dynamic  instructions  loops
          24  static   instructions  jumps
          24  static   instructions  (no symbol at {BASE + 0xA0:#x})
          16  static   orc           plain
         16+  dynamic  instructions  alloca
 unknown, 8+  unknown  instructions  odd
"""


def _rows(printed: str) -> list[dict[str, str]]:
    assert printed.splitlines()[0] == COLUMNS
    return list(csv.DictReader(io.StringIO(printed)))


def _functions(printed: str) -> list[str]:
    return [row["function"] for row in _rows(printed)]


def test_text(run: Run, vmlinux: Path) -> None:
    assert run("frames", vmlinux, "--min", 0).answered() == TEXT


def test_on_a_terminal_it_is_a_fitted_table(vmlinux: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    subprocess.run(
        command("frames", vmlinux, "--min", "0"), stdout=theirs, check=True, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 1 << 16):
            seen += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    shown = seen.decode()
    assert "─" in shown
    assert "\x1b[" in shown
    assert f"(no symbol at {INIT:#x})" in shown
    assert "unknown, 8+" in shown


def test_csv(run: Run, vmlinux: Path) -> None:
    assert run("frames", vmlinux, "--csv", "--min", 16).answered() == (
        f"{COLUMNS}\n"
        f"{BASE + 0x20:#x},1048,1040,static,instructions,do_sys_poll,vmlinux,,\n"
        f"{BASE + 0x80:#x},136,136,static,instructions,splits,vmlinux,,\n"
        f"{INIT:#x},128,128,static,instructions,,vmlinux,,\n"
        f"{BASE:#x},56,56,static,orc,pushes,vmlinux,,\n"
        f"{BASE + 0xB0:#x},32,32,dynamic,instructions,loops,vmlinux,,\n"
        f"{BASE + 0x60:#x},24,24,static,instructions,jumps,vmlinux,,\n"
        f"{BASE + 0xA0:#x},24,24,static,instructions,,vmlinux,,\n"
        f"{BASE + 0x40:#x},16,16,static,orc,plain,vmlinux,,\n"
        f"{BASE + 0x50:#x},16,16,dynamic,instructions,alloca,vmlinux,,\n"
        # What is not known is listed whatever the minimum.
        f"{BASE + 0x70:#x},,8,unknown,instructions,odd,vmlinux,,\n"
    )


def test_json(run: Run, vmlinux: Path) -> None:
    facts = json.loads(run("frames", vmlinux, "--json", "--top", 1).answered())
    assert facts == {
        "schema": "stackgauge.frames/1",
        "kernel": {
            "architecture": "x86_64",
            "version": "6.12.9",
            "compiler": "GCC: (Debian 14.2.0-19) 14.2.0",
            "build_id": bytes(range(20)).hex(),
            "thread_size": 16384,
            "red_zone": 0,
            "symbols": "symtab",
        },
        "frames": [
            {
                "address": f"{BASE + 0x20:#x}",
                "frame": 1048,
                "least": 1040,
                "kind": "static",
                "evidence": "instructions",
                "function": "do_sys_poll",
                "module": "vmlinux",
                "file": "",
                "line": None,
                "aliases": ["__x64_sys_poll"],
            }
        ],
    }


def test_the_three_forms_say_the_same(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "object.o"
    path.write_bytes(corpus("x86_64-kernel-O2-cfi"))
    words = ("frames", path, "--min", 0)
    rows = _rows(run(*words, "--csv").answered())
    frames: list[dict[str, Any]] = json.loads(run(*words, "--json").answered())["frames"]
    for frame in frames:
        frame.pop("aliases", None)
        frame.pop("origin", None)
    assert rows == [
        {key: "" if value is None else str(value) for key, value in frame.items()}
        for frame in frames
    ]
    lines = run(*words).answered().splitlines()[3:]
    assert [line.split()[-1] for line in lines] == [row["function"] for row in rows]


def test_which_are_listed(run: Run, vmlinux: Path) -> None:
    def listed(*options: object) -> list[str]:
        return _functions(run("frames", vmlinux, "--csv", *options).answered())

    assert listed() == ["do_sys_poll", "splits", "", "odd"]
    assert listed("--min", 129) == ["do_sys_poll", "splits", "odd"]
    assert listed("--min", 10**15) == ["odd"]
    assert listed("--top", 2) == ["do_sys_poll", "splits"]
    assert listed("--top", 0) == []
    assert listed("--min", 0, "--match", "^p") == ["pushes", "plain"]
    assert listed("--min", 0, "--match", "poll|LOOP") == ["do_sys_poll"]
    assert listed("--min", 0, "--match", "(?i)poll|LOOP") == ["do_sys_poll", "loops"]
    assert listed("--match", "nothing of the kind") == []


def test_pieces_apart(run: Run, vmlinux: Path) -> None:
    rows = _rows(run("frames", vmlinux, "--csv", "--min", 0, "--pieces").answered())
    frames = {row["function"]: (row["frame"], row["kind"]) for row in rows}
    assert (frames["splits"], frames["splits.cold"]) == (("8", "static"), ("136", "static"))
    assert frames["odd"] == ("", "unknown")
    assert frames["pushes"] == ("56", "static")


def test_several_images(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    loadable = tmp_path / "snd-hda.ko"
    loadable.write_bytes(module("snd_hda"))
    words = ("frames", vmlinux, loadable, "--min", 0)
    modules = [row["module"] for row in _rows(run(*words, "--csv").answered())]
    assert modules.count("vmlinux") == 10
    assert modules.count("snd_hda") == len(modules) - 10 > 0
    lines = run(*words).answered().splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["vmlinux", "snd-hda.ko"]
    assert ["frame", "kind", "evidence", "function", "module"] in [line.split() for line in lines]
    kernels = json.loads(run(*words, "--json").answered())["kernel"]
    assert [one["version"] for one in kernels] == ["6.12.9", None]
    # One image of several being broken, nothing is printed.
    run("frames", vmlinux, tmp_path / "missing").refused()


def test_addresses_in_an_object_are_those_in_its_sections(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "my-driver.ko"
    path.write_bytes(module(None))
    rows = _rows(run("frames", path, "--csv", "--min", 0).answered())
    assert [(row["address"], row["function"]) for row in rows] == [("0x0", "init")]
    # KBUILD_MODNAME has no minus.
    assert rows[0]["module"] == "my_driver"
    path.write_bytes(corpus("x86_64-user-O2"))
    for option in ("--csv", "--verify"):
        listing = run("frames", path, option, "--csv").answered()
        places = [int(row["address"], 16) for row in csv.DictReader(io.StringIO(listing))]
        assert places
        assert max(places) < len(corpus("x86_64-user-O2"))


def test_an_archive(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "built-in.a"
    path.write_bytes(write_archive({"one.o": kernel(), "two.o": kernel()}))
    rows = _rows(run("frames", path, "--csv", "--min", 1000).answered())
    assert [row["function"] for row in rows] == ["do_sys_poll", "do_sys_poll", "odd", "odd"]
    lines = run("frames", path, "--format", "checkstack", "--min", 1000).out.splitlines()
    assert [line.split("[")[1].split("]")[0] for line in lines] == ["one.o", "two.o"]
    # The kernel's build leaves one like this where a folder has nothing to build in.
    path.write_bytes(b"!<arch>\n")
    assert run("frames", path, "--csv").answered() == f"{COLUMNS}\n"
    for option in ("--json", "--summary", "--verify", "--format=checkstack"):
        run("frames", path, option).answered()


def test_a_kernel_with_its_system_map(run: Run, tmp_path: Path) -> None:
    image, symbols = tmp_path / "vmlinuz", tmp_path / "System.map"
    image.write_bytes(bzimage(gzip.compress(stripped_vmlinux())))
    symbols.write_text(system_map().replace("function_7\n", "renamed\n"))
    assert "function_7" in _functions(run("frames", image, "--csv", "--min", 0).answered())
    words = ("frames", image, "--system-map", symbols, "--min", 0)
    assert "renamed" in _functions(run(*words, "--csv").answered())
    assert "symbols: system-map" in run(*words).answered().splitlines()[0]
    symbols.write_text(system_map().replace(f"{RODATA:016x}", f"{RODATA + len(BANNER):016x}"))
    assert "linux_banner is not where it says" in run(*words).refused()


@pytest.mark.parametrize(
    ("config", "stacks"),
    [
        ("CONFIG_X86_64=y\n", "16384-byte stacks"),
        ("CONFIG_X86_64=y\nCONFIG_KASAN=y\n", "32768-byte stacks"),
    ],
)
def test_the_stack_size_of_a_configuration(
    run: Run, tmp_path: Path, config: str, stacks: str
) -> None:
    image, options = tmp_path / "vmlinux", tmp_path / "config"
    made = MadeKernel()
    made.add("f", "c3")
    image.write_bytes(made.file_bytes())
    options.write_text(config)
    assert "stack size not known" in run("frames", image).answered()
    assert stacks in run("frames", image, "--config", options).answered()


def test_names_are_shown_not_obeyed(run: Run, tmp_path: Path) -> None:
    made = MadeKernel()
    for number, name in enumerate(["[bold]x[/]", "a\x1b[2J", "b\nc", "d\u202ee", "f,g", 'h"i']):
        made.add(name, "50" * (number + 1) + "58" * (number + 1) + "c3")
    path = tmp_path / "vmlinux"
    path.write_bytes(made.file_bytes())
    words = ("frames", path, "--min", 0)
    lines = run(*words).answered().splitlines()
    assert [line.split()[-1] for line in lines[-6:]] == [
        'h"i', "f,g", "d\\u202ee", "b\\nc", "a\\x1b[2J", "[bold]x[/]"
    ]  # fmt: skip
    listing = run(*words, "--format", "checkstack").answered()
    assert all(line.expandtabs().isprintable() for line in listing.splitlines())
    # Machines get the names as they are.
    names = ['h"i', "f,g", "d\u202ee", "b\nc", "a\x1b[2J", "[bold]x[/]"]
    assert _functions(run(*words, "--csv").answered()) == names
    facts = json.loads(run(*words, "--json").answered())
    assert [frame["function"] for frame in facts["frames"]] == names


def test_the_scripts_format(run: Run, vmlinux: Path) -> None:
    outcome = run("frames", vmlinux, "--format", "checkstack", "--min", 24)
    assert outcome.code == 0
    assert outcome.out == (
        "0xffffffff81000020 do_sys_poll [vmlinux]:\t\t1048\n"
        "0xffffffff81000080 splits [vmlinux]:\t\t\t136\n"
        "0xffffffff81400000 0xffffffff81400000 [vmlinux]:\t128\n"
        "0xffffffff81000000 pushes [vmlinux]:\t\t\t56\n"
        "0xffffffff810000b0 loops [vmlinux]:\t\t\t32\n"
    )
    assert outcome.err.count("\n") == 1
    assert "2 of 8 functions have a dynamic stack" in outcome.err
    assert outcome.err.endswith(": loops, odd\n")
