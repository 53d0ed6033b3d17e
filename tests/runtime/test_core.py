"""Tasks and marks out of dumps of memory."""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

import pytest

from stackgauge.errors import InputError, StackgaugeError
from stackgauge.image.opening import Image
from stackgauge.runtime.memory import read_core_marks
from tests.runtime.cores import SIZE, compiled, core

EXPECTED = [
    # pid, tgid, comm, kernel thread, state, free
    (2, 2, "kworker", True, "I", SIZE - 8),
    (10, 10, "process", False, "S", SIZE - 800),
    (11, 10, "thread of fifte", False, "D", 16),
    (3, 3, "gone", False, "Z", None),
]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Image:
    pytest.importorskip("drgn")
    return compiled(tmp_path_factory.mktemp("kernel"))


def _read(image: Image, folder: Path, raw: bytes) -> list[tuple[object, ...]]:
    path = folder / "core"
    path.write_bytes(raw)
    found = read_core_marks(str(path), image, SIZE)
    assert [one.task for one in found.overflows] == ["kworker"]
    assert found.zeroed
    for task in found.tasks:
        assert task.free is None or task.used == SIZE - task.free
    return [(one.pid, one.tgid, one.comm, one.kthread, one.state, one.free) for one in found.tasks]


def test_with_btf(kernel: Image, tmp_path: Path) -> None:
    found = _read(kernel, tmp_path, core(kernel))
    assert sorted(found, key=str) == sorted(EXPECTED, key=str)
    assert [one[0] for one in found] == [11, 10, 2, 3]


def test_with_debug_information(tmp_path: Path) -> None:
    pytest.importorskip("drgn")
    image = compiled(tmp_path, "-g")
    assert sorted(_read(image, tmp_path, core(image)), key=str) == sorted(EXPECTED, key=str)


def test_without_vmcoreinfo(kernel: Image, tmp_path: Path) -> None:
    assert len(_read(kernel, tmp_path, core(kernel, None))) == len(EXPECTED)


def _refused(image: Image, folder: Path, raw: bytes) -> str:
    path = folder / "core"
    path.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_core_marks(str(path), image, SIZE)
    return str(caught.value)


def test_another_kernels(kernel: Image, tmp_path: Path) -> None:
    assert "is not of" in _refused(kernel, tmp_path, core(kernel, "BUILD-ID=ffff\n"))
    moved = core(kernel, None).replace(b"Linux version 6.1", b"Linux version 6.2")
    assert "is not the kernel in it" in _refused(kernel, tmp_path, moved)


def test_what_is_no_dump(kernel: Image, tmp_path: Path) -> None:
    assert "is no dump of memory" in _refused(kernel, tmp_path, b"a log\n" * 99)
    assert _refused(kernel, tmp_path, core(kernel)[:SIZE])


def test_no_types(tmp_path: Path) -> None:
    pytest.importorskip("drgn")
    image = compiled(tmp_path, "-g0")
    assert "has no types" in _refused(image, tmp_path, core(image))


@pytest.mark.parametrize(
    ("last", "said"),
    [("&b.tasks", "broken"), ("0", "broken"), ("(void*)0x1234567", "has no memory at 0x12345")],
)
def test_lists_that_do_not_end(tmp_path: Path, last: str, said: str) -> None:
    pytest.importorskip("drgn")
    image = compiled(tmp_path, last=last)
    assert said in _refused(image, tmp_path, core(image))


def test_drgn_is_missing(kernel: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "drgn", None)
    with pytest.raises(StackgaugeError, match="drgn is not installed"):
        read_core_marks(str(tmp_path / "core"), kernel, SIZE)


def test_broken_dumps(kernel: Image, tmp_path: Path) -> None:
    """Bytes changed anywhere that counts: never anything but marks or a refusal."""
    whole = core(kernel)
    chance = random.Random(1)
    places = [*range(128), *range(SIZE + 0x8000, SIZE + 0x8000 + 250)]
    path = tmp_path / "core"
    for _ in range(150):
        raw = bytearray(whole)
        for place in chance.sample(places, 2):
            raw[place] = chance.randrange(256)
        path.write_bytes(raw)
        with contextlib.suppress(StackgaugeError):
            read_core_marks(str(path), kernel, SIZE)
