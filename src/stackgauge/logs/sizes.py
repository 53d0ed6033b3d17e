"""Marks of tasks whose stacks' size is known."""

from __future__ import annotations

from collections.abc import Iterable

from stackgauge.logs.model import Task


def sized(tasks: Iterable[Task], stack_size: int) -> list[Task]:
    """Tasks with the size of their stacks, and what they have used of it.

    All that is not free counts as used, so that where struct thread_info lies at the stack's end
    (kernels without THREAD_INFO_IN_TASK) it is counted too: the chains have used no more than
    that. A mark above the stack's size is one of another kernel and gives nothing.

    Args:
        tasks: of one kernel.
        stack_size: THREAD_SIZE in bytes.
    """
    return [
        task._replace(
            stack_size=stack_size,
            used=stack_size - task.free
            if task.free is not None and task.free <= stack_size
            else None,
        )
        for task in tasks
    ]
