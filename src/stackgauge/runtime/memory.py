"""Marks out of a kernel's memory: how much of each task's stack was never written.

Kernels zero new stacks (``THREADINFO_GFP`` has ``__GFP_ZERO``; a vmapped stack that is used again
is cleared in kernel/fork.c), so the zeros from a stack's end upwards are what no call has reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.image.opening import Image
from stackgauge.logs.model import Overflow, Task
from stackgauge.runtime.core import Core, open_core
from stackgauge.runtime.layouts import Layouts, find_layouts, word_type

# include/uapi/linux/magic.h; include/linux/sched.h.
_STACK_END_MAGIC = 0x57AC6E9D
_PF_KTHREAD = 0x0020_0000
_COMM = 16

# Task numbers go up to 4 Mi on 64 bits (include/linux/threads.h, PID_MAX_LIMIT).
_MOST_TASKS = 4 << 20

# fs/proc/array.c, task_state_array, by the highest bit of what is reported.
_STATES = "RSDTtXZP"
_REPORTED = 0x7F
_IDLE = 0x402


@dataclass(frozen=True)
class CoreMarks:
    """Marks of a dump.

    Attributes:
        tasks: every task but the idle ones, the fullest stack first.
        overflows: stacks whose end magic is gone.
        zeroed: whether this kernel zeroes new stacks; if not, its marks say nothing.
    """

    tasks: list[Task]
    overflows: list[Overflow]
    zeroed: bool


def read_core_marks(path: str, image: Image, stack_size: int) -> CoreMarks:
    """The marks of every task in a dump of memory.

    Args:
        path: the dump.
        image: the kernel that ran: its symbols, and BTF or debug information.
        stack_size: THREAD_SIZE in bytes.

    Raises:
        StackgaugeError: drgn is not installed.
        InputError: the dump is not of that kernel, or there are no types.
    """
    core = open_core(path, image)
    layouts = find_layouts(image)
    reader = _Reader(core, image, layouts)
    tasks, overflows = [], []
    # A loop over tasks, each of which has memory of its own to be read.
    for address in reader.tasks():
        task, overflow = reader.task(address, stack_size)
        tasks.append(task)
        overflows += overflow
    word = reader.word.itemsize
    full = sum(task.free is not None and task.free <= word for task in tasks)
    tasks.sort(key=lambda task: (task.free is None, task.free or 0, task.pid or 0))
    return CoreMarks(tasks, overflows, zeroed=2 * full <= len(tasks))


def untouched(stack: NDArray[np.unsignedinteger], head: int = 0) -> tuple[int, bool]:
    """The free bytes of a stack as the kernel counts them, and whether its end magic is there.

    Args:
        stack: the words of a stack from its end upwards, shape (words,).
        head: words of ``struct thread_info``, where it lies at the end.

    Returns:
        Bytes of the magic's word and of the zeros above it (include/linux/sched/task_stack.h,
        stack_not_used), ``head`` not included.
    """
    body = stack[head:]
    written = np.flatnonzero(body[1:])
    words = int(written[0]) + 1 if len(written) else len(body)
    return words * stack.itemsize, bool(len(body)) and int(body[0]) == _STACK_END_MAGIC


class _Reader:
    """Reads tasks of one dump."""

    def __init__(self, core: Core, image: Image, layouts: Layouts) -> None:
        self._core = core
        self._image = image
        self._layouts = layouts
        self.word = word_type(image.elf.bits, image.elf.order)
        names = ("tasks", "thread_node", "signal", "pid", "tgid", "comm", "stack", "flags")
        self._at = {name: self._offset("task_struct", name) for name in names}
        state = layouts.offset("task_struct", "__state")  # since 5.14
        self._at["state"] = self._offset("task_struct", "state") if state is None else state
        self._at["exit_state"] = self._offset("task_struct", "exit_state")
        self._head = self._offset("signal_struct", "thread_head")
        self._span = max(self._at.values()) + _COMM
        inside = layouts.offset("task_struct", "thread_info") is not None
        info = 0 if inside else layouts.size("thread_info") or 0
        self._info_words = info // self.word.itemsize

    def _offset(self, structure: str, member: str) -> int:
        found = self._layouts.offset(structure, member)
        if found is None:
            raise InputError(self._image.path, f"struct {structure} has no {member!r}")
        return found

    def tasks(self) -> Iterator[int]:
        """Where each task_struct is: processes after the first, and the threads of each."""
        symbol = self._image.symbols.find("init_task")
        if symbol is None:
            raise InputError(self._image.path, "has no symbol init_task")
        first = symbol + self._core.shift
        count = 0
        for process in self._list(first + self._at["tasks"]):
            signal = self._pointer(process - self._at["tasks"] + self._at["signal"])
            for thread in self._list(signal + self._head):
                count += 1
                if count > _MOST_TASKS:
                    raise InputError(self._core.path, "has a list of tasks without an end")
                yield thread - self._at["thread_node"]

    def _list(self, head: int) -> Iterator[int]:
        """What is linked into a ``struct list_head``, by where it is linked."""
        seen = {head}
        at = self._pointer(head)
        while at != head:
            if at in seen or not at:
                raise InputError(self._core.path, "has a list of tasks that is broken")
            seen.add(at)
            yield at
            at = self._pointer(at)

    def _pointer(self, address: int) -> int:
        return int(np.frombuffer(self._core.read(address, self.word.itemsize), self.word)[0])

    def task(self, address: int, stack_size: int) -> tuple[Task, list[Overflow]]:
        """A task and its mark, and what is wrong with its stack."""
        raw = self._core.read(address, self._span)

        def number(name: str, size: int = 4) -> int:
            kind = np.dtype(f"{self._image.elf.order}u{size}")
            return int(np.frombuffer(raw, kind, 1, self._at[name])[0])

        pid, tgid = number("pid"), number("tgid")
        comm = raw[self._at["comm"] :][:_COMM].partition(b"\0")[0].decode("utf-8", "replace")
        kthread = bool(number("flags") & _PF_KTHREAD)
        state = _letter(number("state") & 0xFFFF, number("exit_state") & 0xFFFF)
        stack = number("stack", self.word.itemsize)
        if not stack:  # it has ended, and only its number is left
            task = Task(pid, tgid, comm, kthread, None, state, None, None, stack_size, "memory")
            return task, []
        words = np.frombuffer(self._core.read(stack, stack_size), self.word)
        free, whole = untouched(words, self._info_words)
        used = stack_size - free
        task = Task(pid, tgid, comm, kthread, None, state, free, used, stack_size, "memory")
        gone = [] if whole else [Overflow("the stack's end magic is gone", comm, pid, stack_size)]
        return task, gone


def _letter(state: int, ended: int) -> str:
    if state == _IDLE:
        return "I"
    return _STATES[((state | ended) & _REPORTED).bit_length()]
