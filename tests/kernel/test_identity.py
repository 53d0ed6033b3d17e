"""What kernel an image says that it is."""

from __future__ import annotations

import time

import pytest

from stackgauge.kernel.identity import build_id, identify
from tests.image.tiny_elf import Section
from tests.kernel.images import image, note

NOTE = 7
RODATA, DATA = 0x2000, 0x9000

# As init/version.c and init/version-timestamp.c of these releases have been compiled.
BANNERS = {
    "Linux version 4.19.0-27-amd64 (debian-kernel@lists.debian.org) (gcc version 8.3.0 "
    "(Debian 8.3.0-6)) #1 SMP Debian 4.19.316-1 (2024-06-25)\n": (
        "4.19.0-27-amd64",
        "gcc version 8.3.0 (Debian 8.3.0-6)",
    ),
    "Linux version 5.10.0-32-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-10 (Debian "
    "10.2.1-6) 10.2.1 20210110, GNU ld (GNU Binutils for Debian) 2.35.2) #1 SMP Debian "
    "5.10.223-1 (2024-08-10)\n": (
        "5.10.0-32-cloud-amd64",
        "gcc-10 (Debian 10.2.1-6) 10.2.1 20210110",
    ),
    # What init/version.c holds for /proc/version where the date is added by the last link.
    "Linux version 6.1.0-28-arm64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) "
    "12.2.0, GNU ld (GNU Binutils for Debian) 2.40) # SMP Debian 6.1.119-1 (2024-11-22)\n": (
        "6.1.0-28-arm64",
        "gcc-12 (Debian 12.2.0-14) 12.2.0",
    ),
    "Linux version 6.12.9+deb13-amd64 (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-14 "
    "(Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils for Debian) 2.44) #1 SMP PREEMPT_DYNAMIC\n": (
        "6.12.9+deb13-amd64",
        "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0",
    ),
    "Linux version 7.2.0-rc3 (me@here) (gcc (GCC) 16.2.0, GNU ld version 2.45-1.fc43) #7 SMP\n": (
        "7.2.0-rc3",
        "gcc (GCC) 16.2.0",
    ),
    "Linux version 6.6.30-android15-8-g0123 (build-user@build-host) (Android (11368308, +pgo, "
    "+bolt, +lto, based on r510928) clang version 18.0.0 (https://android.googlesource.com/"
    "toolchain/llvm-project 477610d), LLD 18.0.0) #1 SMP PREEMPT\n": (
        "6.6.30-android15-8-g0123",
        "Android (11368308, +pgo, +bolt, +lto, based on r510928) clang version 18.0.0 "
        "(https://android.googlesource.com/toolchain/llvm-project 477610d)",
    ),
    "Linux version 6.1.0 (a@b) (Debian clang version 14.0.6, Debian LLD 14.0.6) #1\n": (
        "6.1.0",
        "Debian clang version 14.0.6",
    ),
    "Linux version 6.9.0-x (a@b) (clang version 17.0.1, GNU ld (GNU Binutils) 2.41) #1\n": (
        "6.9.0-x",
        "clang version 17.0.1",
    ),
    "Linux version 5.4.0 (me@(none)) (gcc (x) 9.1) #1\n": ("5.4.0", "gcc (x) 9.1"),
    "Linux version %s (%s)\n": None,
    "a Linux version of something\n": None,
}


@pytest.mark.parametrize("banner", BANNERS)
@pytest.mark.parametrize("with_symbol", [True, False])
@pytest.mark.parametrize("section", [".rodata", ".data"])
def test_banner(banner: str, with_symbol: bool, section: str) -> None:
    data = Section(section, b"some text\0" + banner.encode() + b"\0more", RODATA)
    symbols = {"linux_banner": RODATA + 10} if with_symbol else None
    found = identify(image(data, symbols=symbols), "x86_64", red_zone=128)
    expected = BANNERS[banner]
    assert (found.version, found.compiler) == (expected or (None, None))
    # A kernel is compiled without a red zone.
    assert found.red_zone == (0 if expected else 128)


def test_a_banner_in_code_or_beyond_a_section_is_none() -> None:
    text = next(iter(BANNERS)).encode()
    for section in (Section(".text", text, RODATA, flags=6), Section("x", text, flags=0)):
        assert identify(image(section), "arm64").version is None
    cut = image(Section(".rodata", text[:60], RODATA), symbols={"linux_banner": RODATA})
    assert identify(cut, "arm64").version is None
    wild = image(Section(".rodata", b"x", RODATA), symbols={"linux_banner": (1 << 64) - 1})
    assert identify(wild, "arm64").version is None


def test_text_that_looks_like_many_banners_takes_no_time() -> None:
    raw = b"Linux version 6.1 (a@b) (" * 200_000
    begun = time.process_time()
    assert identify(image(Section(".rodata", raw, RODATA)), "x86_64").version is None
    assert time.process_time() - begun < 5


def test_a_module_has_a_vermagic() -> None:
    info = b"license=GPL\0name=x\0vermagic=6.1.0-28-amd64 SMP preempt mod_unload modversions \0"
    found = identify(image(Section(".modinfo", info)), "x86_64", red_zone=128)
    assert (found.version, found.red_zone) == ("6.1.0-28-amd64", 0)
    other = image(Section(".modinfo", b"description=vermagic=1.2.3\0"))
    assert identify(other, "x86_64").version is None


def test_the_compilers_own_word_comes_first() -> None:
    banner = Section(".rodata", list(BANNERS)[3].encode(), RODATA)
    comment = Section(".comment", b"\0GCC: (Debian 14.2.0-19) 14.2.0\0clang\0", flags=0)
    found = identify(image(banner, comment), "x86_64")
    assert found.compiler == "GCC: (Debian 14.2.0-19) 14.2.0"
    assert identify(image(Section(".comment", b"\0\0", flags=0)), "x86_64").compiler is None


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_build_id(order: str, bits: int) -> None:
    digest = bytes(range(20))
    notes = note(0x100, b"Linux\0", b"\x01\2\3\4", order)  # of the kernel's own
    notes += note(3, b"Xen\0", b"1234", order)
    notes += note(3, b"GNU\0", digest, order)
    made = image(Section(".notes", notes, DATA, type=NOTE), order=order, bits=bits)
    assert build_id(made.elf) == digest.hex()


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"\4\0\0\0",
        note(3, b"GNU\0", b""),
        note(1, b"GNU\0", bytes(20)),
        note(3, b"gnu\0", bytes(20)),
        note(3, b"GNU\0", bytes(65)),
        b"\4\0\0\0\xff\xff\xff\xff\3\0\0\0GNU\0",
    ],
)
def test_no_build_id(notes: bytes) -> None:
    made = image(Section(".notes", notes, DATA, type=NOTE), Section(".text", b"\xc3", 0x1000))
    assert build_id(made.elf) is None


def test_millions_of_notes_take_no_time() -> None:
    begun = time.process_time()
    made = image(Section(".notes", note(1, b"", b"") * 1_000_000, DATA, type=NOTE))
    assert build_id(made.elf) is None
    assert time.process_time() - begun < 5


def test_the_size_of_stacks_by_symbols_before_a_configuration() -> None:
    data = Section(".data", b"\0", DATA)
    symbols = {"__start_init_task": 0x10000, "__end_init_task": 0x12000}
    made = image(data, symbols=symbols)
    assert identify(made, "x86_64", {"KASAN": "y"}).thread_size == 8192
    assert identify(image(data), "x86_64", {"KASAN": "y"}).thread_size == 32768
    assert identify(image(data), "x86_64").thread_size is None
