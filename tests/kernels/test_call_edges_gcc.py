"""Direct edges of files of a kernel, against what GCC says it calls (``-fcallgraph-info``)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.calls.linking import function_at
from stackgauge.calls.model import Kind
from stackgauge.calls.sites import find_sites
from stackgauge.fetch.apt import UnreachableError
from stackgauge.frames.measure import Frames, Measurer, measure
from stackgauge.image.opening import open_images
from stackgauge.kernel.thunks import Role
from tests.oracles.callgraph_info import Called, parse_ci
from tests.oracles.kernel_build import FRAGMENT
from tests.oracles.linux_source import linux_source

FILES = ("fs/read_write", "fs/namei", "kernel/fork", "mm/memory", "lib/vsprintf", "net/core/dev")
# What inline assembly calls, of which GCC knows nothing, and what a trampoline in it jumps to.
ASSEMBLY = ("__put_user_", "__get_user_", "copy_user_", "clear_page_", "clear_user_",
            "__sw_hweight", "__traceiter_")  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FILES, compiled with the trimmed configuration."""
    tree = tmp_path_factory.mktemp("kernel")
    try:
        source = linux_source()
        command = ["nice", "make", "-s", "-C", str(source), f"O={tree}", "ARCH=x86_64"]
        command += ["CC=gcc-12", "KCFLAGS=-fcallgraph-info=su"]
        config = f"KCONFIG_ALLCONFIG={FRAGMENT}"
        subprocess.run([*command, config, "allnoconfig"], check=True)
        subprocess.run([*command, "-j2", *(f"{file}.o" for file in FILES)], check=True)
    except (UnreachableError, FileNotFoundError) as error:
        pytest.skip(str(error))
    return tree


def found(path: Path) -> tuple[Called, Frames]:
    """What an object's functions call, by name."""
    [image] = open_images(path)
    work = Measurer(image)
    frames = measure(image, work)
    sites, role, named, symbol, _, _ = find_sites(work, frames)
    callers = frames.functions.names(sites.function)
    own = frames.functions.names(np.maximum(function_at(frames, named), 0))
    outside = image.symbols.strings.slices(image.symbols.name[np.maximum(symbol, 0)])
    called = Called(set(), set())
    for row, caller in enumerate(callers):
        if sites.kind[row] > Kind.TAIL and role[row] != Role.STATIC_CALL:
            called.indirect.add(caller)
        else:
            callee = own[row] if symbol[row] < 0 else outside[row].decode()
            called.direct.add((caller, callee))
    return called, frames


@pytest.mark.kernels
@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_every_call_that_gcc_makes(tree: Path, file: str) -> None:
    called, frames = found(tree / f"{file}.o")
    said = parse_ci((tree / f"{file}.ci").read_text())
    whole = np.flatnonzero(frames.functions.parent < 0)
    # GCC speaks of each of the names that a function has.
    aliases = {
        other: name
        for name, others in zip(
            frames.functions.names(whole), frames.functions.aliases(whole), strict=True
        )
        for other in others
    }
    direct = {tuple(aliases.get(name, name) for name in pair) for pair in said.direct}
    assert len(direct) > 100
    assert not direct - called.direct
    assert not {pair for pair in called.direct - direct if not pair[1].startswith(ASSEMBLY)}
    assert called.indirect == {aliases.get(name, name) for name in said.indirect}
