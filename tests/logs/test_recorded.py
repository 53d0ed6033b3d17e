"""Recorded logs: what kernels printed, on real and on emulated machines."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stackgauge.logs.reading import read_chains, read_marks

RECORDED = Path(__file__).parent / "recorded"


def test_the_sample_of_elinux() -> None:
    """The sample of the page "Kernel Small Stacks" has 25 tasks."""
    marks = read_marks([str(RECORDED / "sysrq-t-elinux-2011")])
    assert len(marks.tasks) == 25
    assert marks.tasks[0][:7] == (1, None, "init", False, None, "S", 932)
    assert {task.free for task in marks.tasks if task.comm == "ash"} == {1264}
    assert max(task.free or 0 for task in marks.tasks) == 3024
    assert sum(bool(task.kthread) for task in marks.tasks) == 22
    assert all(task.used is None and task.stack_size is None for task in marks.tasks)


@pytest.mark.parametrize(
    ("name", "tasks", "measured", "deepest"),
    [
        ("sysrq-t-2.6.22-i386", 5, True, ("bash", 5104)),
        ("sysrq-t-2.6.29-amd64", 3, True, ("init", 3488)),
        ("sysrq-t-3.16-amd64", 4, True, ("Web Content", 10520)),
        ("sysrq-t-4.14-arm", 4, True, ("init", 5896)),
        ("sysrq-t-5.10-amd64.dmesg", 24, False, None),
        ("sysrq-t-6.1-amd64.dmesg", 24, False, None),
        ("sysrq-t-6.1-arm64.dmesg", 24, False, None),
        ("sysrq-t-6.12-amd64.dmesg", 24, False, None),
        ("sysrq-t-7.3-amd64.dmesg", 24, False, None),
        ("sysrq-t-7.3-arm64.dmesg", 24, False, None),
        ("sysrq-t-6.6-arm", 2, True, ("init", 5688)),
        ("sysrq-t-6.15-caller", 3, True, ("iou-wrk-131061", 9816)),
        ("sysrq-t-6.1-amd64-measured", 26, True, ("init", 14112)),
        ("console-6.1-amd64", 22, False, None),
        ("journal-short", 10, False, None),
        ("journal-short-iso", 10, False, None),
        ("journal-json", 10, False, None),
        ("journal-json-pretty", 5, False, None),
        ("journal-export", 10, False, None),
        ("dmesg-T", 10, False, None),
        ("kmsg-records", 10, False, None),
        ("low-water-elinux-2011", 4, True, ("init", 9028)),
        ("low-water-formats", 5, True, ("wpa_supplicant", 5236)),
    ],
)
def test_tasks(name: str, tasks: int, measured: bool, deepest: tuple[str, int] | None) -> None:
    marks = read_marks([str(RECORDED / name)])
    assert len(marks.tasks) == tasks
    assert marks.measured == measured
    if deepest:
        assert (marks.tasks[0].comm, marks.tasks[0].free) == deepest


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("stack_trace-5.10-amd64", [1, 18, 22, 1, 17, 24, 1]),
        ("stack_trace-6.1-amd64", [29, 11, 23, 20, 14]),
        ("stack_trace-6.1-amd64-random-offset", [29, 11, 23, 14, 11, 23, 14]),
        ("stack_trace-6.1-arm64", [31, 25, 30, 23, 26, 27]),
        ("stack_trace-7.3-amd64", [31, 16, 30, 20, 20, 23, 22]),
    ],
)
def test_stack_traces(name: str, entries: list[int]) -> None:
    found = [trace for trace in read_chains([str(RECORDED / name)]).traces if trace.measured]
    assert [len(trace.lines) for trace in found][: len(entries)] == entries
    for trace in found:
        assert trace.missing == 0
        # Sizes are the distances of depths.
        depths = [line.depth or 0 for line in trace.lines] + [0]
        assert [line.size for line in trace.lines] == [
            deep - less for deep, less in itertools.pairwise(depths)
        ]


def test_files_together() -> None:
    paths = ("stack_trace-6.1-amd64", "stack_max_size-6.1-amd64", "sysrq-t-6.1-amd64.dmesg")
    chains = read_chains([str(RECORDED / path) for path in paths])
    assert chains.max_size == 2920
    assert chains.traces[0].lines[0].depth == 2920
    assert chains.traces[5].title == "init (1)"
    assert chains.traces[6].title == "kthreadd (2)"


def test_counters_and_reports() -> None:
    marks = read_marks([str(RECORDED / "vmstat-kstack")])
    assert marks.exited == {"1k": 3, "2k": 188, "4k": 11391, "8k": 243, "16k": 0}
    reports = read_marks([str(RECORDED / "overflow-formats")]).overflows
    said = [(one.text.split(" (")[0][:48], one.task, one.pid, one.stack_size) for one in reports]
    assert said == [
        ("BUG: TASK stack guard page was hit at 0000000009", "trace", 11009, None),
        ("BUG: stack guard page was hit at ffffc90009defff", "", None, None),
        ("kernel stack overflow", "syz-executor.0", 17591, None),
        ("Kernel panic - not syncing: corrupted stack end ", "kworker/1:1", 77, None),
        ("Insufficient stack space to handle exception!", "sh", 98, 16384),
        ("Kernel panic - not syncing: kernel stack overflo", "", None, None),
        ("do_IRQ: stack overflow: 328", "", None, None),
        ("Kernel stack overflow in process 00000000d1c4fe6", "", None, None),
        ("low stack detected by irq handler", "", None, None),
        ("Thread overran stack, or stack corrupted", "", None, None),
    ]
