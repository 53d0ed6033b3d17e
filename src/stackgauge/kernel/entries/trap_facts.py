"""Interrupts and exceptions of each architecture: what handles them, and what lies above it.

A handler is the first function in C. What comes before it is in assembly, and pushes the same
number of bytes whatever happened; those are stated here, as the kernel's sources do.
"""

from __future__ import annotations

from dataclasses import replace

from stackgauge.image.elf import (
    EM_386,
    EM_AARCH64,
    EM_ARM,
    EM_LOONGARCH,
    EM_MIPS,
    EM_PPC,
    EM_PPC64,
    EM_RISCV,
    EM_S390,
    EM_X86_64,
)
from stackgauge.image.opening import Image
from stackgauge.kernel.entries.traps import Traps
from stackgauge.kernel.stacks import On

# An x86-64 processor aligns the stack pointer to 16 before it pushes; one with FRED leaves 64 bytes
# free, aligns to 64, and pushes 16 bytes more (arch/x86/include/asm/fred.h).
_X86_ALIGNMENT = 8
_FRED_INSIDE = 64 + 56 + 16

_X86_64 = Traps(
    source="arch/x86/entry/entry_64.S, arch/x86/include/asm/idtentry.h",
    pushed=168,
    inside=168 + _X86_ALIGNMENT,
    interrupts=(
        "common_interrupt", "spurious_interrupt", "sysvec_*", "fred_sysvec_*",
        "xen_pv_evtchn_do_upcall", "exc_xen_hypervisor_callback",
    ),
    fault=("exc_page_fault", "exc_general_protection", "exc_stack_segment"),
    warning=("exc_invalid_op",),
    others=(
        "exc_*", "noist_exc_*", "user_exc_*", "xenpv_exc_*", "do_syscall_64",
        "do_int80_emulation", "int80_emulation", "do_int80_syscall_32", "do_fast_syscall_32",
        "do_SYSENTER_32", "fred_entry_from_user", "fred_entry_from_kernel",
    ),
    nested={"exc_virtualization_exception": "TDX guest", "xenpv_exc_nmi": "Xen PV guest"},
    own={
        "exc_nmi": On.NMI, "exc_debug": On.DEBUG, "exc_machine_check": On.MACHINE_CHECK,
        "exc_double_fault": On.DOUBLE_FAULT, "kernel_exc_vmm_communication": On.VIRTUALIZATION,
    },
    route=("do_syscall_64", "x64_sys_call"),
)  # fmt: skip

# 6 words by the processor and the stub, 8 of FIXUP_FRAME, 9 of SAVE_ALL (entry_32.S).
_I386 = Traps(
    source="arch/x86/entry/entry_32.S",
    pushed=68,
    inside=23 * 4,
    interrupts=_X86_64.interrupts,
    fault=_X86_64.fault,
    warning=_X86_64.warning,
    others=_X86_64.others,
    nested={"exc_nmi": "", "exc_machine_check": "hardware error"},
    own={"doublefault_shim": On.DOUBLE_FAULT},
    route=("do_int80_syscall_32", "ia32_sys_call"),
)

_ARM64 = Traps(
    source="arch/arm64/kernel/entry.S, arch/arm64/kernel/entry-common.c",
    pushed=336,
    inside=336,
    interrupts=(
        "el1h_64_irq_handler", "el1h_64_fiq_handler", "el0t_64_irq_handler", "el0t_64_fiq_handler",
        "el0t_32_irq_handler", "el0t_32_fiq_handler",
    ),
    fault=("el1h_64_sync_handler",),
    warning=("el1h_64_sync_handler",),
    others=(
        "el0t_64_sync_handler", "el0t_32_sync_handler", "el0t_64_error_handler",
        "el0t_32_error_handler", "el1h_64_error_handler",
    ),
    nested={"el1h_64_error_handler": "hardware error"},
    own={"__sdei_handler": On.FIRMWARE, "handle_bad_stack": On.OVERFLOW},
    from_user=("el0t_*",),
    route=("el0t_64_sync_handler", "el0_svc", "do_el0_svc", "el0_svc_common", "invoke_syscall"),
)  # fmt: skip

# struct svc_pt_regs, and 4 bytes to align the stack pointer; und_svc keeps 64 free for kprobes.
_ARM = Traps(
    source="arch/arm/kernel/entry-armv.S",
    pushed=72,
    inside=80 + 4 + 64,
    interrupts=("generic_handle_arch_irq", "asm_do_IRQ"),
    fault=("do_DataAbort", "do_PrefetchAbort"),
    warning=("do_undefinstr",),
    others=("do_work_pending", "handle_fiq_as_nmi"),
    switched=True,
)

# Of pt_regs that MIPS32 begins with eight words for arguments; 400 bytes on Octeon.
_MIPS = Traps(
    source="arch/mips/include/asm/stackframe.h, arch/mips/kernel/genex.S",
    pushed=400,
    inside=400,
    interrupts=("plat_irq_dispatch", "do_IRQ"),
    fault=("do_page_fault",),
    warning=("do_bp", "do_tr"),
    others=(
        "do_ade", "do_be", "do_ri", "do_cpu", "do_ov", "do_fpe", "do_msa_fpe", "do_msa",
        "do_watch", "do_mcheck", "do_dsp", "do_reserved", "do_notify_resume",
        "syscall_trace_enter", "syscall_trace_leave",
    ),
    nested={"do_ade": "unaligned access", "do_be": "hardware error",
            "do_mcheck": "hardware error"},
    switched=True,
)  # fmt: skip

# STACK_INT_FRAME_SIZE of arch/powerpc/include/asm/ptrace.h: the registers, the largest minimal
# frame, and the red zone of the interrupted function.
_PPC64 = Traps(
    source="arch/powerpc/kernel/interrupt_64.S, arch/powerpc/include/asm/interrupt.h",
    pushed=384 + 112 + 288,
    inside=384 + 112 + 288,
    interrupts=(
        "do_IRQ", "timer_interrupt", "doorbell_exception", "performance_monitor_exception_async",
    ),
    fault=("do_page_fault", "do_hash_fault"),
    warning=("program_check_exception",),
    others=(
        "system_call_exception", "syscall_exit_prepare", "interrupt_exit_user_prepare",
        "alignment_exception", "emulation_assist_interrupt", "facility_unavailable_exception",
        "altivec_unavailable_exception", "vsx_unavailable_exception", "unknown_exception",
        "do_slb_fault", "do_break", "single_step_exception", "performance_monitor_exception",
    ),
    nested={"alignment_exception": "unaligned access", "performance_monitor_exception": "perf"},
    own={
        "machine_check_early": On.MACHINE_CHECK, "machine_check_exception": On.MACHINE_CHECK,
        "system_reset_exception": On.NMI, "hmi_exception_realmode": On.EMERGENCY,
    },
    route=("system_call_exception",),
)  # fmt: skip

# Five words for what differs between the machines, and BookE's eight further registers.
_PPC = Traps(
    source="arch/powerpc/kernel/entry_32.S, arch/powerpc/include/asm/ptrace.h",
    pushed=16 + 44 * 4 + 4 * 4 + 12 * 4,
    inside=16 + 44 * 4 + 4 * 4 + 12 * 4,
    interrupts=_PPC64.interrupts,
    fault=("do_page_fault",),
    warning=_PPC64.warning,
    others=_PPC64.others,
    nested={**_PPC64.nested, "machine_check_exception": "hardware error"},
    route=_PPC64.route,
)

# STACK_FRAME_OVERHEAD and struct pt_regs, with room for two more words than it has had.
_S390 = Traps(
    source="arch/s390/kernel/entry.S, arch/s390/include/asm/ptrace.h",
    pushed=160 + 216,
    inside=160 + 216,
    interrupts=("do_io_irq", "do_ext_irq"),
    fault=("__do_pgm_check",),
    warning=("__do_pgm_check",),
    others=("__do_syscall",),
    own={"s390_do_machine_check": On.MACHINE_CHECK},
    route=("__do_syscall", "do_syscall"),
)

_RISCV = Traps(
    source="arch/riscv/kernel/entry.S",
    pushed=288,
    inside=288,
    interrupts=("do_irq", "generic_handle_arch_irq"),
    fault=("do_page_fault",),
    warning=("do_trap_break",),
    others=("do_trap_*", "do_notify_resume", "do_work_pending"),
    nested={
        "do_trap_load_misaligned": "unaligned access",
        "do_trap_store_misaligned": "unaligned access",
    },
    own={"handle_bad_stack": On.OVERFLOW},
    route=("do_trap_ecall_u",),
)

_LOONGARCH = Traps(
    source="arch/loongarch/kernel/genex.S, arch/loongarch/include/asm/stackframe.h",
    pushed=320,
    inside=320,
    interrupts=("do_vint",),
    fault=("do_page_fault",),
    warning=("do_bp",),
    others=(
        "do_syscall", "do_ade", "do_ale", "do_bce", "do_fpe", "do_fpu", "do_lsx", "do_lasx",
        "do_lbt", "do_ri", "do_watch", "do_reserved",
    ),
    nested={"do_ale": "unaligned access"},
    route=("do_syscall",),
)  # fmt: skip

_TRAPS = {
    EM_X86_64: _X86_64, EM_386: _I386, EM_AARCH64: _ARM64, EM_ARM: _ARM, EM_MIPS: _MIPS,
    EM_PPC64: _PPC64, EM_PPC: _PPC, EM_S390: _S390, EM_RISCV: _RISCV, EM_LOONGARCH: _LOONGARCH,
}  # fmt: skip

_NONE = Traps("", 0, 0, (), (), ())


def traps_of(image: Image) -> Traps:
    """The interrupts and exceptions of an image's architecture, none of one not known here."""
    found = _TRAPS.get(image.elf.machine, _NONE)
    if image.elf.machine == EM_X86_64 and image.symbols.find("fred_entry_from_kernel") is not None:
        return replace(found, inside=found.pushed + _FRED_INSIDE)
    if image.elf.machine == EM_AARCH64:
        size = _arm64_registers(image) or found.pushed
        return replace(found, pushed=size, inside=size)
    return found


def _arm64_registers(image: Image) -> int | None:
    """Bytes of struct pt_regs, by the first instruction of an exception's vector.

    ``kernel_ventry`` of arch/arm64/kernel/entry.S: ``sub sp, sp, #PT_REGS_SIZE``, in the vector
    that is taken from the kernel's own level (the fifth of 128 bytes each).
    """
    vectors = image.symbols.find("vectors")
    if vectors is None:
        return None
    vector = vectors + 4 * 128
    code = image.elf.at_addresses(vector, vector + 4).tobytes()
    instruction = int.from_bytes(code, "little")
    # SUB (immediate), 64 bits, both registers the stack pointer, not shifted.
    if len(code) == 4 and instruction & 0xFFC0_03FF == 0xD100_03FF:
        return instruction >> 10 & 0xFFF
    return None
