"""THREAD_SIZE, from what decides it in each architecture."""

from __future__ import annotations

import pytest

from stackgauge.kernel.thread_size import from_config, from_symbols
from tests.kernel.images import symbols_of

START = 0xFFFF_8000_0000_0000


@pytest.mark.parametrize("name", ["task", "stack"])
@pytest.mark.parametrize("size", [4096, 8192, 16384, 32768, 65536, 1 << 20])
def test_both_pairs_of_symbols(name: str, size: int) -> None:
    symbols = {f"__start_init_{name}": START, f"__end_init_{name}": START + size}
    assert from_symbols(symbols_of(symbols)) == size


@pytest.mark.parametrize("size", [0, 1, 2048, 12288, 16385, 1 << 21, 1 << 40, -16384])
def test_what_is_no_stacks_size_is_not_taken_for_one(size: int) -> None:
    symbols = {"__start_init_task": START, "__end_init_task": START + size}
    assert from_symbols(symbols_of(symbols)) is None


def test_one_of_a_pair_says_nothing() -> None:
    for name in ("__start_init_task", "__end_init_task", "init_thread_union"):
        assert from_symbols(symbols_of({name: START})) is None
    mixed = symbols_of({"__start_init_task": START, "__end_init_stack": START + 8192})
    assert from_symbols(mixed) is None


def test_the_second_pair_counts_where_the_first_makes_no_sense() -> None:
    symbols = {"__start_init_task": START, "__end_init_task": START + 4160}
    symbols |= {"__start_init_stack": START, "__end_init_stack": START + 16384}
    assert from_symbols(symbols_of(symbols)) == 16384


@pytest.mark.parametrize(
    ("architecture", "config", "size"),
    [
        ("x86_64", {}, 16384),
        ("x86_64", {"KASAN": "y"}, 32768),
        ("x86_64", {"KMSAN": "y"}, 32768),
        ("arm64", {}, 16384),
        ("arm64", {"KASAN": "y"}, 32768),
        ("arm64", {"VMAP_STACK": "y", "ARM64_PAGE_SHIFT": "12"}, 16384),
        ("arm64", {"VMAP_STACK": "y", "ARM64_PAGE_SHIFT": "16"}, 65536),
        ("arm64", {"VMAP_STACK": "y", "PAGE_SHIFT": "16"}, 65536),
        ("arm64", {"ARM64_PAGE_SHIFT": "16"}, 16384),
        ("powerpc", {"THREAD_SHIFT": "14"}, 16384),
        ("riscv", {"THREAD_SIZE_ORDER": "2"}, 16384),
        ("vax", {"VAX": "y"}, None),
        # What no kernel has been configured with.
        ("powerpc", {"THREAD_SHIFT": "no"}, None),
        ("powerpc", {"THREAD_SHIFT": "99999999999"}, None),
        ("powerpc", {"THREAD_SHIFT": "-1"}, None),
        ("powerpc", {"THREAD_SHIFT": "40"}, None),
        ("riscv", {"THREAD_SIZE_ORDER": ""}, None),
        ("arm64", {"VMAP_STACK": "y", "ARM64_PAGE_SHIFT": "0x10"}, None),
    ],
)
def test_configurations(architecture: str, config: dict[str, str], size: int | None) -> None:
    assert from_config(architecture, config) == size
