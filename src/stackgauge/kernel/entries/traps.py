"""What there is to say of an architecture's interrupts and exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackgauge.kernel.stacks import On


@dataclass(frozen=True)
class Traps:
    """What an architecture runs when something interrupts it; names end in ``*`` for a prefix.

    Attributes:
        source: where the kernel's sources say so.
        pushed: bytes that an entry from user mode puts on an empty stack: the registers.
        inside: bytes that an entry from kernel code puts on the stack that it interrupts, the
            alignment of the stack pointer included.
        interrupts: handlers of interrupts.
        fault: handlers of a fault, whether the access was the user's or the kernel's.
        warning: handlers of the instruction that WARN and BUG are made of.
        others: handlers of everything else that begins on a task's stack, system calls included.
        nested: those of ``others`` that may interrupt kernel code wherever it is, each with what
            it takes for that to happen.
        own: handlers that have a stack of their own.
        from_user: those of all that only user mode comes to.
        switched: whether the code in assembly has gone to the interrupts' stack, where there is
            one, before it calls their handlers.
        route: the functions from a system call's entry to the function of its table.
    """

    source: str
    pushed: int
    inside: int
    interrupts: tuple[str, ...]
    fault: tuple[str, ...]
    warning: tuple[str, ...]
    others: tuple[str, ...] = ()
    nested: dict[str, str] = field(default_factory=dict)
    own: dict[str, On] = field(default_factory=dict)
    from_user: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    switched: bool = False
