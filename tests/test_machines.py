"""Broken code of every architecture: a result or one of our errors, whatever it decodes to."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.image.elf import parse_elf
from tests.image.tiny_elf import ALLOC, EXEC, STRTAB, SYMTAB, Section, write_elf
from tests.mutating import ask_everything, bounded, change, several
from tests.seeds import OBJECTS

__all__ = ["bounded"]

pytestmark = pytest.mark.usefixtures("bounded")

# ELF's numbers of: MIPS, PowerPC, PowerPC64, s390, ARM, x86-64, arm64, RISC-V, LoongArch.
MACHINES = (8, 20, 21, 22, 40, 62, 183, 243, 258)

NAMES = ["f", "g", "f.cold", "$a", "$t", "$d", "$x", "__pfx_f"]


@cache
def real_code(machine: int) -> list[bytes]:
    """What compilers have made for a machine."""
    found = []
    for path in sorted(OBJECTS.glob("*.o")):
        elf = parse_elf(np.fromfile(path, np.uint8), path)
        if elf.machine == machine:
            found.append(elf.contents(".text").tobytes()[:4096])
    return found


def _symbols(rows: list[tuple[str, int, int, int]], bits: int, order: str) -> list[Section]:
    """``.symtab`` and ``.strtab`` of (name, value, size, type) rows."""
    names, table = b"\0", b""
    for name, value, size, kind in rows:
        info = 1 << 4 | kind
        if bits == 64:
            table += struct.pack(order + "IBBHQQ", len(names), info, 0, 1, value, size)
        else:
            table += struct.pack(order + "IIIBBH", len(names), value, size, info, 0, 1)
        names += name.encode() + b"\0"
    return [
        Section(".symtab", table, type=SYMTAB, flags=0, link=3),
        Section(".strtab", names, type=STRTAB, flags=0),
    ]


@pytest.mark.parametrize("machine", MACHINES)
@several
@given(data=st.data())
def test_code(tmp_path: Path, machine: int, data: st.DataObject) -> None:
    parts = [st.binary(max_size=64)]
    if code := real_code(machine):
        # Pieces of real code, so that one instruction in two is not where a path ends.
        parts += [
            st.tuples(st.sampled_from(code), st.integers(0, 1000), st.integers(0, 60)).map(
                lambda piece: piece[0][piece[1] * 4 :][: piece[2] * 4]
            )
        ] * 3
    raw = bytearray(b"".join(data.draw(st.lists(st.one_of(parts), min_size=1, max_size=6))))
    if data.draw(st.booleans()) and raw:
        change(data, raw, 0, len(raw))
    bits, order = data.draw(st.sampled_from([32, 64])), data.draw(st.sampled_from("<>"))
    top = (1 << bits) - 1
    base = data.draw(st.sampled_from([0, 0x1000, 0x7FFF_F000, top - 0xFFFFF]))
    places = st.integers(0, len(raw)).map(lambda at: base + at)
    row = st.tuples(
        st.sampled_from(NAMES), places, st.sampled_from([0, 0, 1, 4, 20, top]),
        st.sampled_from([0, 2, 2]),
    )  # fmt: skip
    sections = [
        Section(".text", bytes(raw), base, flags=ALLOC | EXEC),
        *_symbols(data.draw(st.lists(row, max_size=6)), bits, order),
    ]
    path = tmp_path / "file"
    image = bytearray(write_elf(sections, bits, order, machine, data.draw(st.sampled_from([1, 2]))))
    # e_flags: which instructions and which ABI there are.
    flags = data.draw(st.sampled_from([0, 1, 2, 0x0500_0000, 0x5000_1007, 0xFFFF_FFFF]))
    struct.pack_into(order + "I", image, 36 if bits == 32 else 48, flags)
    path.write_bytes(image)
    ask_everything(path)


@several
@given(data=st.data())
def test_objects(tmp_path: Path, data: st.DataObject) -> None:
    """Every compiler's object, each of its sections as likely as any other to be broken."""
    raw = bytearray(data.draw(st.sampled_from(sorted(OBJECTS.glob("*.o")))).read_bytes())
    elf = parse_elf(np.frombuffer(bytes(raw), np.uint8), "object")
    headers = elf.headers
    held = [index for index in range(1, len(headers))
            if headers["type"][index] != 8 and headers["size"][index]]  # fmt: skip
    for index in data.draw(st.lists(st.sampled_from(held), min_size=1, max_size=3)):
        offset = int(headers["offset"][index])
        change(data, raw, offset, offset + int(headers["size"][index]))
    path = tmp_path / "file"
    path.write_bytes(raw)
    ask_everything(path)
