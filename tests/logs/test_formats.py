"""Every format of a task's line, behind every prefix."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackgauge.logs.reading import read_marks
from tests.logs.formats import FORMATS, PREFIXES, Printed

TASKS = [
    Printed("init", 1, 0, 932, False),
    Printed("kthreadd", 2, 0, 2496, False),
    Printed("kworker/0:1H", 17, 2, 11240, True),
    Printed("a b: c", 31234, 1, 13656, False),
    Printed("pid of 7 digits", 4194303, 1, 1264, True),
]


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("version", FORMATS)
def test_all_tasks(tmp_path: Path, version: str, prefix: str) -> None:
    log = tmp_path / "log"
    lines = [prefix + FORMATS[version](task) + "\r\n" for task in TASKS]
    log.write_text("before\r\n" + "".join(lines) + "after\r\n")
    marks = read_marks([str(log)])
    width = 13 if version.startswith("2.") else 15
    assert [(task.comm, task.pid, task.free, task.state) for task in marks.tasks] == [
        (task.comm[:width].rstrip(), task.pid, task.free, task.state)
        for task in sorted(TASKS, key=lambda task: task.free)
    ]
    assert {task.pid: task.kthread for task in marks.tasks if task.pid != 2} == {
        task.pid: task.ppid == 2 for task in TASKS if task.pid != 2
    }
    assert {task.tgid is None for task in marks.tasks} == {version not in ("6.9", "6.14")}
    assert {task.source for task in marks.tasks} == {"sysrq-t"}


def test_zero_is_not_measured(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(FORMATS["6.1"](task._replace(free=0)) + "\n" for task in TASKS))
    marks = read_marks([str(log)])
    assert not marks.measured
    assert {task.free for task in marks.tasks} == {None}


def test_the_least_mark_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    frees = (4000, 0, 3000, 3500)
    log.write_text(
        "".join(FORMATS["6.1"](TASKS[0]._replace(free=free)) + "\n" for free in frees)
        + "init (1) used greatest stack depth: 2000 bytes left\n"
    )
    [task] = read_marks([str(log)]).tasks
    assert (task.free, task.source, task.state) == (2000, "exit", "S")
