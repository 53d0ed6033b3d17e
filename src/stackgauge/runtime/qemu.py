"""One boot: QEMU runs, the guest is listened to, and what went wrong is told in one line."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stackgauge.errors import StackgaugeError
from stackgauge.runtime.console import Console, troubles
from stackgauge.runtime.initramfs import Guest, write_initramfs
from stackgauge.runtime.machines import Machine, command
from stackgauge.runtime.qmp import QmpError, dump_memory

_CHUNK = 1 << 16
# Kept of a console.
_MOST_CONSOLE = 64 << 20
# A guest that has sent all, or has panicked, ends within so many seconds or is ended.
_LAST = 15.0
# Between two looks at the clock.
_TICK = 0.5


@dataclass(frozen=True)
class Boot:
    """How a boot went.

    Attributes:
        command: what was run.
        seconds: how long it took.
        failure: why it did not go to the end; empty where it did.
        troubles: what the kernel complained of.
        files: what the guest sent, by name.
        damaged: names of what did not arrive whole.
        console: all that was on the console.
        traceable: whether the kernel has a stack tracer, as far as the guest got.
        core: the dump of memory; None where there is none.
    """

    command: list[str]
    seconds: float
    failure: str
    troubles: list[str]
    files: dict[str, bytes]
    damaged: list[str]
    console: bytes
    traceable: bool
    core: Path | None


@dataclass
class _Listener:
    """What is going on while QEMU runs."""

    process: subprocess.Popen[bytes]
    end: float
    tell: Callable[[str], None]
    console: Console = field(default_factory=Console)
    log: bytearray = field(default_factory=bytearray)
    problem: str = ""
    stopping: bool = False

    def stop_within(self, seconds: float) -> None:
        """Let the guest end by itself for a while."""
        if not self.stopping:
            self.stopping = True
            self.end = min(self.end, time.monotonic() + seconds)


def check_qemu(machine: Machine) -> None:
    """See that QEMU is there.

    Raises:
        StackgaugeError: it is not installed.
    """
    if shutil.which(machine.program) is None:
        raise StackgaugeError(
            f"{machine.program} is not installed (Debian has it in {machine.package})"
        )


def boot(
    machine: Machine,
    kernel: Path,
    guest: Guest,
    *,
    memory: int,
    seconds: float,
    core: Path | None = None,
    append: str = "",
    tell: Callable[[str], None] = lambda step: None,
) -> Boot:
    """Boot a kernel and let the guest do its work; whatever it sends is kept.

    Args:
        machine: what to emulate.
        kernel: its image.
        guest: what it is to do.
        memory: MiB that it has.
        seconds: how long it may take.
        core: where its memory is dumped to, if ``guest.core``.
        append: more for the kernel's command line.
        tell: is told what the guest is doing, some times a second.

    Raises:
        StackgaugeError: QEMU is not installed.
    """
    check_qemu(machine)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stackgauge-") as name:
        folder = Path(name)
        monitor, initramfs, errors = (folder / one for one in ("qmp", "initramfs", "errors"))
        with open(initramfs, "wb") as out:
            write_initramfs(out, guest)
        words = command(machine, str(kernel), str(initramfs), memory, str(monitor), append)
        with open(errors, "wb") as complaints:
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
            )
        listener = _Listener(process, begin + seconds, tell)
        try:
            _listen(listener, monitor, core)
        finally:
            _end(process)
        complaint = errors.read_text("utf-8", "replace").strip().splitlines()
    log = bytes(listener.log)
    found = troubles(log + b"\n" + listener.console.files.get("dmesg", b""))
    failure = "" if listener.console.done else _failure(listener, found, complaint, seconds)
    return Boot(
        words, time.monotonic() - begin, failure or listener.problem, found,
        listener.console.files, listener.console.damaged, log, listener.console.traceable,
        core if core is not None and core.exists() else None,
    )  # fmt: skip


def _listen(listener: _Listener, monitor: Path, core: Path | None) -> None:
    """Read the console until the guest has ended or its time is up."""
    process, console = listener.process, listener.console
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    # A loop over what the console prints.
    while (left := listener.end - time.monotonic()) > 0:
        ready, _, _ = select.select([descriptor], [], [], min(_TICK, left))
        listener.tell(console.step)
        if not ready:
            continue
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            listener.stopping = True
            return
        if len(listener.log) < _MOST_CONSOLE:
            listener.log += chunk
        console.take(chunk)
        if console.wants_core:
            console.wants_core = False
            listener.tell("dumping memory")
            _dump(listener, monitor, core, left)
        if console.done or b"Kernel panic - not syncing" in listener.log[-4 * _CHUNK :]:
            listener.stop_within(_LAST)


def _dump(listener: _Listener, monitor: Path, core: Path | None, seconds: float) -> None:
    if core is not None:
        try:
            dump_memory(monitor, core.resolve(), seconds)
        except QmpError as error:
            listener.problem = str(error)
    assert listener.process.stdin is not None
    with contextlib.suppress(OSError):
        listener.process.stdin.write(b"\n")
        listener.process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End QEMU, if it has not ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _failure(listener: _Listener, found: list[str], complaint: list[str], seconds: float) -> str:
    """Why a guest did not come to its end."""
    step = listener.console.step
    panic = next((one for one in found if one.startswith("Kernel panic")), None)
    if panic is not None:
        return f"{panic} (while {step})" if "init" not in step else panic
    if not listener.log:
        if complaint:
            return f"QEMU does not boot it: {complaint[-1]}"
        how = "ended" if listener.stopping else f"within {seconds:.0f} seconds"
        return f"the kernel printed nothing ({how}): is it one for this machine?"
    said = f"; the kernel says: {found[0]}" if found else ""
    if listener.stopping:
        return f"the guest ended before its work was done (while {step}){said}"
    return f"not done after {seconds:.0f} seconds (while {step}){said}"
