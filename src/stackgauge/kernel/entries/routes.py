"""What runs above entry points: the functions of the kernel's own that lead to them."""

from __future__ import annotations

from stackgauge.image.elf import EM_X86_64
from stackgauge.kernel.entries.model import Route
from stackgauge.kernel.entries.traps import Traps
from stackgauge.kernel.stacks import On, Stack, on_own_stack

# kernel/kthread.c; its caller, ret_from_fork, has put nothing on the stack but the registers.
THREAD = ("ret_from_fork", "kthread")
# kernel/workqueue.c
WORK = (*THREAD, "worker_thread", "process_scheduled_works", "process_one_work")
# kernel/irq/manage.c; the second where interrupts are made threads.
IRQ_THREAD = (*THREAD, "irq_thread", "irq_thread_fn", "irq_forced_thread_fn")
# init/main.c; the initcalls of the console are called by start_kernel itself.
INITCALL = (
    "ret_from_fork", "kernel_init", "kernel_init_freeable", "do_initcalls", "do_initcall_level",
    "do_one_initcall",
)  # fmt: skip
# kernel/time/timer.c, below what runs softirqs.
TIMER = ("run_timer_softirq", "__run_timers", "__run_timer_base", "expire_timers", "call_timer_fn")

# kernel/softirq.c: what runs softirqs when an interrupt ends, and the thread that runs them where
# there are too many, on its own stack.
_SOFTIRQ = ("__do_softirq", "handle_softirqs")
_IRQ_EXIT = ("irq_exit_rcu", "__irq_exit_rcu", "irq_exit", "____do_softirq")
_KSOFTIRQD = (*THREAD, "smpboot_thread_fn", "run_ksoftirqd")


def other_stack_bytes(machine: int) -> int:
    """Bytes that are at the top of an interrupt stack when its first function is called.

    x86-64 keeps the other stack pointer there (hardirq_stack_ptr, arch/x86/kernel/irq_64.c).
    """
    return 8 if machine == EM_X86_64 else 0


def softirq_routes(
    machine: int, traps: Traps, stacks: list[Stack], after: tuple[str, ...] = ()
) -> list[tuple[On, Route]]:
    """The ways to what softirqs run, by the stack that each is on.

    Where interrupts have no stack of their own, softirqs run below the interrupt's handler, whose
    entry point has them in its chain; what is left is the thread.

    Args:
        machine: the ELF machine.
        traps: of the architecture.
        stacks: those of the kernel.
        after: the functions between a softirq and what it runs.
    """
    own = on_own_stack(stacks, On.SOFTIRQ)
    thread = Route(traps.pushed, (*_KSOFTIRQD, *_SOFTIRQ, *after))
    if own == On.TASK:
        return [(On.TASK, thread)]
    top = other_stack_bytes(machine)
    return [(own, Route(top, (*_IRQ_EXIT, *_SOFTIRQ, *after))), (On.TASK, thread)]
