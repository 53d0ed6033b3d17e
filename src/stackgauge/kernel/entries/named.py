"""Entry points that are known by the names of their functions."""

from __future__ import annotations

from stackgauge.kernel.entries.model import EntryKind, Found, Group, Route
from stackgauge.kernel.entries.pointers import Pointers
from stackgauge.kernel.entries.routes import THREAD, other_stack_bytes, softirq_routes
from stackgauge.kernel.entries.traps import Traps
from stackgauge.kernel.stacks import On, Stack, on_own_stack

# What open_softirq is given in mainline (kernel/softirq.c, kernel/time, kernel/rcu, kernel/sched,
# net/core/dev.c, block/blk-mq.c, lib/irq_poll.c), under the names of all releases.
_SOFTIRQS = (
    "tasklet_action", "tasklet_hi_action", "run_timer_softirq", "hrtimer_run_softirq",
    "net_tx_action", "net_rx_action", "blk_done_softirq", "irq_poll_softirq",
    "run_rebalance_domains", "sched_balance_softirq", "rcu_core_si", "rcu_process_callbacks",
    "workqueue_softirq_action",
)  # fmt: skip

# Kernel threads that the kernel starts by itself (init/main.c, kernel/kthread.c, kernel/
# workqueue.c, kernel/smpboot.c), most of them by kernel_thread.
_THREADS = ("kernel_init", "kthreadd", "worker_thread", "rescuer_thread", "smpboot_thread_fn",
            "irq_thread", "kswapd", "kcompactd", "khugepaged", "ksm_scan_thread",
            "oom_reaper", "rcu_gp_kthread", "kauditd_thread", "devtmpfsd")  # fmt: skip

# Where the idle task of each processor begins (init/main.c, arch/*/kernel/smp*.c).
_BOOT = ("start_kernel", "start_secondary", "secondary_start_kernel", "smp_callin",
         "smp_start_secondary", "start_secondary_resume")  # fmt: skip


def trap_entries(pointers: Pointers, traps: Traps, stacks: list[Stack]) -> list[Group]:
    """The handlers of interrupts and exceptions, on the stack of the task that they interrupt.

    Those of interrupts go on to a stack of their own, where there is one; from user mode, some
    stay on the task's, which is empty then.
    """
    route = Route(traps.pushed)
    groups = []
    parts = (
        (EntryKind.IRQ, traps.interrupts),
        (EntryKind.EXCEPTION, traps.fault + traps.warning + traps.others),
    )
    own = set(traps.own)
    for kind, patterns in parts:
        address, names = pointers.with_names(*patterns)
        keep = [at for at, name in enumerate(names) if name not in own]
        names = [names[at] for at in keep]
        switched = kind == EntryKind.IRQ and traps.switched
        on = on_own_stack(stacks, On.IRQ) if switched else On.TASK
        way = route if on == On.TASK else Route(other_stack_bytes(pointers.image.elf.machine))
        groups.append(Group(kind, on, way, Found.NAME, address[keep], names))
    there = {stack.on for stack in stacks}
    # A handful.
    for name, on in traps.own.items():
        address, names = pointers.with_names(name)
        where = on if on in there else On.TASK
        groups.append(Group(EntryKind.EXCEPTION, where, route, Found.NAME, address, names))
    return groups


def software_entries(pointers: Pointers, traps: Traps, stacks: list[Stack]) -> list[Group]:
    """Softirqs, kernel threads and where processors begin."""
    machine = pointers.image.elf.machine
    address, names = pointers.with_names(*_SOFTIRQS)
    groups = [
        Group(EntryKind.SOFTIRQ, on, route, Found.NAME, address, names)
        for on, route in softirq_routes(machine, traps, stacks)
    ]
    address, names = pointers.with_names(*_THREADS)
    groups.append(
        Group(EntryKind.KTHREAD, On.TASK, Route(traps.pushed, THREAD), Found.NAME, address, names)
    )
    address, names = pointers.with_names(*_BOOT)
    groups.append(Group(EntryKind.BOOT, On.TASK, Route(traps.pushed), Found.NAME, address, names))
    return groups
