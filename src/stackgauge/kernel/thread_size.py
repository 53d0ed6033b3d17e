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
        return _power(1, config["THREAD_SHIFT"])
    kasan = 1 if "KASAN" in config or "KMSAN" in config else 0
    if architecture == "x86_64":  # arch/x86/include/asm/page_64_types.h
        return 4096 << (2 + kasan)
    if architecture == "arm64":  # arch/arm64/include/asm/memory.h
        size = 1 << 14 + kasan
        page = _power(1, config.get("ARM64_PAGE_SHIFT", config.get("PAGE_SHIFT", "12")))
        if "VMAP_STACK" not in config:
            return size
        return max(size, page) if page else None
    if "THREAD_SIZE_ORDER" in config:  # riscv: arch/riscv/include/asm/thread_info.h
        return _power(4096, config["THREAD_SIZE_ORDER"])
    return None


def _power(unit: int, exponent: str) -> int | None:
    """``unit`` times two to the power that an option gives; None where no stack has that size."""
    if not (exponent.isascii() and exponent.isdigit() and len(exponent) < 3):
        return None
    size = unit << int(exponent)
    return size if _plausible(size) else None
