"""The line that says what kernel an image is."""

from __future__ import annotations

import io
from dataclasses import replace

from stackgauge.kernel.identity import Identity
from stackgauge.report.frames import identity_text

NOTHING = Identity("arm64", None, None, None, None, 0, "none")


def _line(name: str, kernel: Identity) -> str:
    out = io.StringIO()
    identity_text(out, name, kernel)
    return out.getvalue()


def test_what_is_known() -> None:
    kernel = Identity("x86_64", "6.1.0", "gcc-12", "ab12", 16384, 0, "symtab")
    assert _line("vmlinux", kernel) == "vmlinux: Linux 6.1.0, x86_64, 16384-byte stacks, gcc-12\n"
    kernel = replace(kernel, symbols="kallsyms")
    assert _line("vmlinuz", kernel).endswith(", gcc-12, symbols: kallsyms\n")


def test_what_is_not() -> None:
    assert _line("x", NOTHING) == "x: arm64, stack size not known, symbols: none\n"


def test_a_red_zone() -> None:
    assert _line("x", replace(NOTHING, red_zone=128)).splitlines()[1:] == [
        "not counted: a red zone of up to 128 bytes below each frame"
    ]


def test_text_from_the_image_stays_in_the_line() -> None:
    line = _line("a\nb", replace(NOTHING, version="6\x1b[1m", compiler="g\rcc"))
    assert line == ("a\\nb: Linux 6\\x1b[1m, arm64, stack size not known, g\\rcc, symbols: none\n")
