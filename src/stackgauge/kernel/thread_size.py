"""THREAD_SIZE: how many bytes a task's kernel stack has."""

from __future__ import annotations

from stackgauge.image.symbols import Symbols

# The bounds of the first task's stack, which is of THREAD_SIZE bytes: include/asm-generic/
# vmlinux.lds.h, INIT_TASK_DATA (the second pair since 6.9). ``init_thread_union`` has no size.
_BOUNDS = (("__start_init_task", "__end_init_task"), ("__start_init_stack", "__end_init_stack"))


def from_symbols(symbols: Symbols) -> int | None:
    """THREAD_SIZE in bytes by the symbols around the first task's stack, or None."""
    for start, end in _BOUNDS:
        low, high = symbols.find(start), symbols.find(end)
        if low is not None and high is not None and _plausible(high - low):
            return high - low
    return None


def _plausible(size: int) -> bool:
    return 4096 <= size <= 1 << 20 and size & (size - 1) == 0


def from_config(architecture: str, config: dict[str, str]) -> int | None:
    """THREAD_SIZE in bytes by the options that decide it, or None where no rule is known.

    Args:
        architecture: as ``Isa.name``.
        config: options without ``CONFIG_``.
    """
    if "THREAD_SHIFT" in config:  # powerpc: arch/powerpc/include/asm/thread_info.h
        return 1 << int(config["THREAD_SHIFT"])
    kasan = 1 if "KASAN" in config or "KMSAN" in config else 0
    if architecture == "x86_64":  # arch/x86/include/asm/page_64_types.h
        return 4096 << (2 + kasan)
    if architecture == "arm64":  # arch/arm64/include/asm/memory.h
        shift = 14 + kasan
        page = int(config.get("ARM64_PAGE_SHIFT", config.get("PAGE_SHIFT", "12")))
        return 1 << (max(shift, page) if "VMAP_STACK" in config else shift)
    if "THREAD_SIZE_ORDER" in config:  # riscv: arch/riscv/include/asm/thread_info.h
        return 4096 << int(config["THREAD_SIZE_ORDER"])
    return None
