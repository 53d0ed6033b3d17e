from __future__ import annotations

import contextlib
import gzip
import lzma
import struct
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.image.vmlinuz import EM_ARM, EM_LOONGARCH, EM_RISCV, EM_S390, Flat, unpack
from tests.image.containers import bzimage, zboot
from tests.image.tiny_elf import Section, write_elf

CODE = np.random.default_rng(1).bytes(5000)
ELF = write_elf([Section(".text", CODE, 0xFFFFFFFF81000000)])
EM_AARCH64 = 183


def bytes_of(found: object) -> bytes:
    assert isinstance(found, np.ndarray)
    return found.tobytes()


def flat_of(found: object) -> Flat:
    assert isinstance(found, Flat)
    return found


def flat_image(magic: bytes, size: int = 9000, memory: int = 0x8000, flags: int = 0) -> bytes:
    header = struct.pack("<IIQQQ", 0, 0, 0, memory, flags).ljust(56, b"\0") + magic
    if magic == b"\xcd\x23\x82\x81":
        header = b"MZ" + header[2:] + struct.pack("<I", 0x40) + b"PE\0\0\x64\x62"
    return header.ljust(size, b"\x11")


def size_appended(stream: bytes, plain: bytes) -> bytes:
    return stream + struct.pack("<I", len(plain))


def opened(data: bytes) -> object:
    return unpack(np.frombuffer(data, np.uint8), "vmlinuz")


def test_an_elf_file_is_itself() -> None:
    assert bytes_of(opened(ELF)) == ELF


@pytest.mark.parametrize("setup_sectors", [0, 1, 27, 64])
def test_bzimage_holds_an_elf_file(setup_sectors: int) -> None:
    payload = size_appended(zstandard.compress(ELF), ELF)
    assert bytes_of(opened(bzimage(payload, setup_sectors))) == ELF


def test_bzimage_with_relocations_after_the_elf_file() -> None:
    plain = ELF + bytes(4) + struct.pack("<3I", 1, 2, 3)
    assert bytes_of(opened(bzimage(lzma.compress(plain)))) == plain


def test_a_compressed_file_is_unpacked() -> None:
    assert bytes_of(opened(lzma.compress(ELF))) == ELF
    assert bytes_of(opened(gzip.compress(bzimage(gzip.compress(ELF))))) == ELF


@pytest.mark.parametrize(
    ("magic", "machine"),
    [
        (b"ARM\x64", EM_AARCH64),
        (b"RSC\x05", EM_RISCV),
        (b"\xcd\x23\x82\x81", EM_LOONGARCH),
    ],
)
def test_a_flat_image_says_its_machine(magic: bytes, machine: int) -> None:
    image = flat_image(magic)
    for packed in (
        image,
        gzip.compress(image),
        zboot(size_appended(zstandard.compress(image), image), b"zstd22"),
        gzip.compress(zboot(gzip.compress(image), b"gzip")),
    ):
        flat = flat_of(opened(packed))
        assert flat.data.tobytes() == image
        assert (flat.machine, flat.bits, flat.order) == (machine, 64, "<")
        assert flat.memory == 0x8000


def test_a_big_endian_arm64_image_says_so() -> None:
    assert flat_of(opened(flat_image(b"ARM\x64", flags=0b1011))).order == ">"


def test_memory_is_never_less_than_the_image_nor_absurd() -> None:
    assert flat_of(opened(flat_image(b"ARM\x64", 9000, 10))).memory == 9000
    assert flat_of(opened(flat_image(b"ARM\x64", 9000, 1 << 60))).memory == 9000


@pytest.mark.parametrize("order", "<>")
def test_arm_zimage(order: str) -> None:
    kernel = b"\x01\x02\x03\x04" * 9000
    image = bytearray(0x2000)
    struct.pack_into(order + "I", image, 0x24, 0x016F2818)
    struct.pack_into(order + "I", image, 0x30, 0x04030201)
    image[0x100:0x103] = b"\x1f\x8b\x08"  # by chance, no stream
    flat = flat_of(opened(bytes(image) + size_appended(gzip.compress(kernel), kernel) + bytes(99)))
    assert flat.data.tobytes() == kernel
    assert (flat.machine, flat.bits, flat.order) == (EM_ARM, 32, order)


def test_s390_image() -> None:
    kernel = bytes(range(256)) * 600
    image = bytearray(0x11000)
    image[0x10008:0x1000E] = b"S390EP"
    flat = flat_of(opened(bytes(image) + gzip.compress(kernel)))
    assert flat.data.tobytes() == kernel
    assert (flat.machine, flat.bits, flat.order) == (EM_S390, 64, ">")


def test_an_elf_file_is_found_in_an_image_of_unknown_layout() -> None:
    assert bytes_of(opened(b"boot code " * 500 + lzma.compress(ELF) + b"more")) == ELF


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain text\n" * 99, "is not an ELF file, an archive or a kernel image"),
        (b"\0", "is not an ELF file, an archive or a kernel image"),
        (b"code" * 99 + gzip.compress(b"no kernel"), "is not an ELF file, an archive or"),
        (bzimage(gzip.compress(ELF))[:20_000], "is cut off: its compressed kernel reaches beyond"),
        (bzimage(b"neither packed nor ELF"), "holds a kernel that is packed in an unknown way"),
        (zboot(b"", b"gzip"), "is cut off: its compressed kernel reaches beyond"),
        (bzimage(gzip.compress(ELF)[:-999] + bytes(999)), r"cannot be unpacked \(gzip\): "),
    ],
)
def test_other_files_are_errors(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^vmlinuz: {message}"):
        opened(data)


def test_packing_has_a_depth() -> None:
    data = ELF
    for _ in range(9):
        data = gzip.compress(data, 1)
    with pytest.raises(InputError, match="packed too many times"):
        opened(data)


def test_many_streams_share_one_budget() -> None:
    """Streams that unpack to much and are broken at their end cost no more than one bomb."""
    engine = zlib.compressobj(9, wbits=31)
    bomb = engine.compress(bytes(48 << 20)) + engine.flush()
    broken = bomb[:-8] + b"\xff" * 8
    with pytest.raises(InputError, match="unpacks to more than"):
        opened(b"code" + broken * 8)


SEEDS = [
    bzimage(gzip.compress(ELF)),
    zboot(gzip.compress(flat_image(b"ARM\x64")), b"gzip"),
    flat_image(b"RSC\x05", 200),
    b"code" * 20 + zstandard.compress(ELF) + b"code",
]


@given(st.sampled_from(SEEDS), st.data())
@settings(deadline=None)
def test_broken_images_raise_nothing_else(seed: bytes, data: st.DataObject) -> None:
    image = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        # Mostly in the header, where it matters.
        at = data.draw(st.integers(0, 0x260) | st.integers(0, len(image) - 1)) % len(image)
        image[at] = data.draw(st.integers(0, 255))
    del image[data.draw(st.integers(1, len(image)) | st.just(len(image))) :]
    with contextlib.suppress(InputError):
        opened(bytes(image))
