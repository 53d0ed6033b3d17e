"""The verb boot, with a QEMU that only says what it is told to."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome, Run
from tests.logs.test_recorded import RECORDED
from tests.runtime.cores import SIZE, compiled, core
from tests.seeds import kernel

FAKE = """
import pathlib, sys, time
here = pathlib.Path(sys.argv[0]).parent
initramfs = pathlib.Path(sys.argv[sys.argv.index("-initrd") + 1]).read_bytes()
said = here / ("trace" if b"TRACE=1" in initramfs else "marks")
sys.stdout.buffer.write(said.read_bytes())
sys.stdout.flush()
sys.stderr.write((here / "complaint").read_text())
time.sleep(float((here / "sleep").read_text()))
"""


def _sent(name: str, data: bytes) -> bytes:
    text = base64.encodebytes(gzip.compress(data))
    return f"\n@@sg file {name}\n{text.decode()}\n@@sg end {name}\n".encode()


STEP = b"\n@@sg step workload: forks\n"
DMESG = _sent("dmesg", (RECORDED / "sysrq-t-6.1-amd64-measured").read_bytes())
DONE = b"\n@@sg done\n"


class Fake:
    """QEMU's stand-in, and a kernel for it."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self.out = folder / "out"
        self._run = run
        self._tools = folder / "bin"
        self._tools.mkdir()
        program = self._tools / "qemu-system-x86_64"
        program.write_text(f"#!{sys.executable} -IS\n{FAKE}")
        program.chmod(0o755)
        (folder / "vmlinux").write_bytes(kernel())
        (folder / "busybox").write_bytes(b"a program")
        self.says()

    def says(
        self, marks: bytes = b"", trace: bytes = b"", complaint: str = "", sleep: float = 0
    ) -> None:
        (self._tools / "marks").write_bytes(marks)
        (self._tools / "trace").write_bytes(trace)
        (self._tools / "complaint").write_text(complaint)
        (self._tools / "sleep").write_text(str(sleep))

    def boot(self, *options: object) -> Outcome:
        folder = self.folder
        return self._run(
            "boot", folder / "vmlinux", "--busybox", folder / "busybox", "-o", self.out, *options
        )

    def failed(self, *options: object) -> str:
        done = self.boot(*options)
        assert done.code == 1
        assert done.err.count("\n") == 1
        return done.err.removeprefix("stackgauge: boot for ").strip()

    def manifest(self) -> dict[str, object]:
        facts: dict[str, object] = json.loads((self.out / "manifest.json").read_text())
        return facts


@pytest.fixture
def fake(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Fake(tmp_path, run)


def test_a_boot_ends_with_its_tasks(fake: Fake, run: Run) -> None:
    fake.says(STEP + DMESG + DONE)
    printed = fake.boot().answered().splitlines()
    assert "26 tasks, 26 with a mark" in printed
    assert fake.manifest()["tasks"] == ["marks/dmesg"]
    # The run folder is read as a log.
    assert run("tasks", fake.out, "--csv").answered().count("\n") == 27
    assert "nothing that 'traces' reads" in run("traces", fake.out).refused()


def test_chains_come_from_a_boot_of_their_own(fake: Fake, run: Run) -> None:
    chain = (RECORDED / "stack_trace-6.1-amd64").read_bytes()
    fake.says(DMESG + DONE, _sent("stack_trace-forks", chain) + _sent("dmesg", b"x") + DONE)
    printed = fake.boot("--trace").answered()
    assert "the deepest of" in printed
    assert fake.manifest()["traces"] == ["trace/stack_trace-forks"]
    assert fake.manifest()["tasks"] == ["marks/dmesg"]
    assert run("traces", fake.out, "--csv").answered().count("\n") > 90


def test_a_kernel_without_the_tracer(fake: Fake) -> None:
    fake.says(DMESG + DONE, b"\n@@sg no-tracer\n" + DONE)
    assert "CONFIG_STACK_TRACER" in fake.boot("--trace").answered()


def test_a_panic_keeps_what_came(fake: Fake) -> None:
    fake.says(DMESG + STEP + b"[    2.0] Kernel panic - not syncing: no init\r\n")
    assert fake.failed() == (
        "marks: Kernel panic - not syncing: no init (while workload: forks)"
    )  # fmt: skip
    assert (fake.out / "marks/dmesg").is_file()
    assert b"no init" in (fake.out / "marks/console").read_bytes()


def test_a_hang_ends_at_its_time(fake: Fake) -> None:
    fake.says(STEP + b"rcu: INFO: rcu_sched self-detected stall on CPU\n", sleep=60)
    assert fake.failed("--time", 2).startswith(
        "marks: not done after 2 seconds (while workload: forks); the kernel says: rcu: INFO:"
    )


def test_an_end_before_the_end(fake: Fake) -> None:
    fake.says(STEP)
    assert "ended before its work was done (while workload: forks)" in fake.failed()


def test_no_output(fake: Fake) -> None:
    assert "the kernel printed nothing (ended)" in fake.failed()


def test_qemu_refuses(fake: Fake) -> None:
    fake.says(complaint="qemu: a warning\nqemu: could not load kernel\n")
    assert fake.failed() == "marks: QEMU does not boot it: qemu: could not load kernel"


def test_after_all_was_sent_the_guest_is_not_waited_for(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackgauge.runtime.qemu._LAST", 0.5)
    fake.says(DMESG + DONE, sleep=60)
    assert "26 tasks" in fake.boot().answered()


def test_what_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.out.mkdir()
    (fake.out / "mine").write_text("precious")
    assert "is not empty" in fake.boot().refused()
    assert "cannot be read" in fake.boot("--workload", "/nonexistent").refused()
    assert "has no modules" in fake.boot("--modules", fake.out).refused()
    assert "at least" in fake.boot("--memory", 1).refused()
    monkeypatch.setenv("PATH", "")
    assert fake.boot().refused() == (
        "qemu-system-x86_64 is not installed (Debian has it in qemu-system-x86)"
    )


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", '{"schema": "stackgauge.run/1"}', '{"schema": "stackgauge.run/1", "tasks": 3}',
     '{"schema": "stackgauge.run/1", "tasks": ["../x"]}',
     '{"schema": "stackgauge.run/1", "tasks": ["/etc/passwd"]}', "[" * 100_000],
)  # fmt: skip
def test_foreign_folders(run: Run, tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    run("tasks", tmp_path).refused()


def test_core_is_refused_in_one_line(run: Run, vmlinux: Path, tmp_path: Path) -> None:
    assert "--core needs --image" in run("tasks", "--core", vmlinux).refused()
    assert "either logs or --core" in run("tasks").refused()
    assert "either logs or --core" in run("tasks", "x", "--core", "y").refused()
    size = ("--thread-size", 16384)
    assert run("tasks", "--core", vmlinux, "--image", vmlinux, *size).refused()


@pytest.mark.parametrize("types", ["-gbtf", "-g"])
def test_core(run: Run, tmp_path: Path, types: str) -> None:
    pytest.importorskip("drgn")
    image = compiled(tmp_path, types)
    (tmp_path / "core").write_bytes(core(image))
    words = ("tasks", "--core", tmp_path / "core", "--image", image.path, "--thread-size", SIZE)
    printed = run(*words, "--csv").answered().splitlines()
    assert printed[1] == "11,10,thread of fifte,0,,D,16,4080,4096,memory"
    assert len(printed) == 5
    printed = run(*words).answered().splitlines()
    assert printed[0] == (
        "overflow in kworker (2), stack of 4096 bytes: the stack's end magic is gone"
    )  # fmt: skip
    assert printed[1] == "4 tasks, 3 with a mark"
