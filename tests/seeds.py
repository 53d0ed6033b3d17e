"""Small sound files of every kind, for tests that break them."""

from __future__ import annotations

import gzip
import struct
from functools import cache
from pathlib import Path

from tests.frames.made_kernel import BASE, LOCAL, MadeKernel
from tests.image.containers import bzimage, write_archive
from tests.image.kallsyms_writer import LAYOUTS
from tests.image.test_opening import flat_kernel
from tests.image.tiny_elf import ALLOC, EXEC, NOBITS, PROGBITS, WRITE, Section

OBJECTS = Path(__file__).with_name("corpus") / "objects"

NOTE = 7
INIT = BASE + 0x40_0000
_TABLES = BASE + 0x80_0000
_BANNER = (
    b"Linux version 6.12.9 (me@here) (gcc (Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils) 2.44) "
    b"#1 SMP\n\0"
)


def build_id(digest: bytes = bytes(range(20))) -> Section:
    """The note that ``ld --build-id`` writes."""
    note = struct.pack("<3I", 4, len(digest), 3) + b"GNU\0" + digest
    return Section(".notes", note, _TABLES + 0x9000, type=NOTE)


def _relative(place: int, *targets: int) -> bytes:
    """Addresses, each as a 32-bit distance from where it stands."""
    return b"".join(
        struct.pack("<i", target - (place + 4 * at)) for at, target in enumerate(targets)
    )


@cache
def kernel() -> bytes:
    """An x86-64 vmlinux with ORC and with every table that redirects control."""
    made = MadeKernel()
    made.file("first.c")
    push = made.add("pushes", "55 41 54 53 48 83 ec 10 0f 1f 00 48 83 c4 10 5b 41 5c 5d c3")
    depths = {0: 8, 1: 16, 3: 24, 4: 32, 8: 48, 9: 56, 10: 48, 15: 32, 16: 24, 18: 16, 19: 8}
    for offset, depth in depths.items():
        made.hint(push + offset, depth)
    made.hint(push + 20, 0, 0, 0)
    poll = made.add("do_sys_poll", "55 48 89 e5 48 83 e4 f0 48 81 ec 00 04 00 00 c9 c3")
    for offset, depth, register in ((0, 8, 5), (1, 16, 5), (4, 16, 4), (16, 8, 5)):
        made.hint(poll + offset, depth, register)
    made.hint(poll + 17, 0, 0, 0)
    plain = made.add("plain", "50 58 c3")
    for offset, depth in ((0, 8), (1, 16), (2, 8)):
        made.hint(plain + offset, depth)
    made.hint(plain + 3, 0, 0, 0)
    made.add("alloca", "55 48 89 e5 48 29 fc c9 c3")
    jumps = made.add("jumps", "0f 1f 44 00 00 50 58 c3 50 50 58 58 c3")
    made.add("odd", "48 8b 20 50 c3")  # mov (%rax),%rsp
    splits = made.add("splits", "85 ff 0f 8f 00 00 00 00 c3")
    cold = made.add("splits.cold", "48 81 ec 80 00 00 00 0f 0b", binding=LOCAL)
    branch = splits + 4 - BASE
    made.text = made.text[:branch] + _relative(splits + 8, cold) + made.text[branch + 4 :]
    made.alias("__x64_sys_poll", poll, 17)
    made.add(None, "50 50 58 58 c3")
    made.add("loops", "55 48 89 e5 50 75 fd e8 00 00 00 00 c9 c3")
    replacement = _TABLES + 0x8000
    alternative = _relative(_TABLES, push + 8, replacement) + struct.pack("<IBB", 0, 3, 2)
    made.sections += [
        Section(".altinstructions", alternative, _TABLES),
        Section(
            "__ex_table",
            _relative(_TABLES + 0x1000, push + 4, push + 15) + bytes(4),
            _TABLES + 0x1000,
        ),
        Section(
            "__jump_table",
            _relative(_TABLES + 0x2000, jumps, jumps + 8) + bytes(8),
            _TABLES + 0x2000,
        ),
        Section(".rodata", _BANNER, _TABLES + 0x3000),
        Section(".modinfo", b"name=made\0vermagic=6.12.9 SMP\0", _TABLES + 0x4000),
        Section(".altinstr_replacement", b"\x9c\x9d", replacement, flags=ALLOC | EXEC),
        Section(".init.text", bytes.fromhex("4883ec784883c478c3"), INIT, flags=ALLOC | EXEC),
        build_id(),
        Section(".bss", bytes(99), _TABLES + 0xA000, type=NOBITS, flags=ALLOC | WRITE),
        Section(".comment", b"GCC: (Debian 14.2.0-19) 14.2.0\0", type=PROGBITS, flags=0),
    ]
    made.alias("linux_banner", _TABLES + 0x3000, len(_BANNER), 1)
    made.alias("__start_init_task", _TABLES + 0x1_0000, 0, 0)
    made.alias("__end_init_task", _TABLES + 0x1_4000, 0, 0)
    return made.file_bytes()


def corpus(name: str) -> bytes:
    """An object that a compiler made."""
    return (OBJECTS / f"{name}.o").read_bytes()


@cache
def seeds() -> dict[str, bytes]:
    """All of them by name."""
    objects = ("x86_64-kernel-O2-cfi", "x86_64-user-O2", "arm64-kernel-O2-cfi", "arm64-user-O2")
    return {
        **{name: corpus(name) for name in objects},
        "kernel": kernel(),
        "bzimage": bzimage(gzip.compress(kernel())),
        "flat arm64": flat_kernel(LAYOUTS["6.4-x86"], every=True)[0],
        "flat arm64 of 5.10": flat_kernel(LAYOUTS["5.10-arm64"], every=False)[0],
        "archive": write_archive({"a.o": kernel(), "b.o": corpus("x86_64-user-Os")}),
    }
