"""Debian's cloud kernel for amd64, booted: every task that it lists, and marks from its memory."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from stackgauge.cli.boot import busybox
from stackgauge.fetch.apt import NotFoundError, UnreachableError
from stackgauge.image.opening import open_images
from stackgauge.logs.reading import read_chains, read_marks
from stackgauge.runtime.machines import MACHINES
from tests.cli.conftest import command
from tests.kernels.conftest import fetched

pytestmark = pytest.mark.kernels

QEMU = "qemu-system-x86_64"


def test_amd64(tmp_path: Path) -> None:
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed")
    image = fetched("linux-image-cloud-amd64", "amd64")
    try:
        program = busybox(MACHINES["x86_64"])
    except (UnreachableError, NotFoundError) as error:
        pytest.skip(str(error))
    run = tmp_path / "run"
    words = ("boot", image, "--busybox", program, "--core", "--time", 170, "-o", run)
    done = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads((run / "manifest.json").read_text())
    assert facts["boots"]["marks"]["troubles"] == []
    assert facts["boots"]["marks"]["damaged"] == []
    listed = {(task.pid, task.comm) for task in read_marks([str(run / "marks/dmesg")]).tasks}
    assert {comm for _, comm in listed} >= {
        "load-forks", "load-files", "load-proc", "load-network", "load-signals", "load-deep"
    }  # fmt: skip
    # Call traces of sysrq-t are there, whatever else the kernel measures.
    assert len(read_chains([str(run / "marks/dmesg")]).traces) > 20
    _check_marks(run / "core", image, listed)


def _check_marks(core: Path, image: Path, listed: set[tuple[int | None, str]]) -> None:
    """Every task that sysrq-t shows is in memory, with its end magic and a mark."""
    pytest.importorskip("drgn")
    from stackgauge.runtime.memory import read_core_marks

    [kernel] = open_images(image)
    found = read_core_marks(str(core), kernel, 16384)
    assert {(task.pid, task.comm) for task in found.tasks} == listed
    assert found.overflows == []
    assert found.zeroed
    for task in found.tasks:
        assert task.used is not None
        # No task sleeps without a call that switched away; none has used it all.
        assert 300 <= task.used < 8192, task
