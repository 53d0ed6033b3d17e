"""Units, address ranges and abbreviations are those that binutils reads."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stackgauge.image.dwarf_abbrev import TAG_COMPILE_UNIT, TAG_SUBPROGRAM, read_abbrevs
from stackgauge.image.dwarf_bytes import Dwarf, Reader, open_dwarf
from stackgauge.image.dwarf_units import all_unit_offsets, read_aranges, read_units
from stackgauge.image.source import Bytes
from tests.frames.programs import LINKED, compiled, opened

KINDS = {
    "DWARF 5": ("gcc", "-gdwarf-5"),
    "DWARF 4": ("gcc", "-gdwarf-4"),
    "types apart": ("gcc", "-gdwarf-5", "-fdebug-types-section"),
    "32-bit": ("gcc", "-gdwarf-5", "-m32"),
    "big-endian": ("mips-linux-gnu-gcc", "-gdwarf-5"),
    "LLVM": ("clang", "-gdwarf-5", "-gdwarf-aranges"),
}


@pytest.fixture(scope="module", params=KINDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler, *options = KINDS[request.param]
    folder: Path = tmp_path_factory.mktemp("program")
    return compiled(folder, "-O2", *options, *LINKED, compiler=compiler)


def read(program: Path) -> Dwarf:
    elf = opened(program)
    return open_dwarf(elf, elf.contents)


def dump(program: Path, what: str) -> str:
    command = ["readelf", f"--debug-dump={what}", str(program)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_units(program: Path) -> None:
    text = dump(program, "info")
    offsets = [int(at, 0) for at in re.findall(r"Compilation Unit @ offset (\w+):", text)]
    versions = [int(each) for each in re.findall(r"^\s+Version:\s+(\d)", text, re.M)]
    tables = [int(at, 0) for at in re.findall(r"Abbrev Offset:\s+(\w+)", text)]
    roots = [int(at, 16) for at in re.findall(r"<0><(\w+)>", text)]
    dwarf = read(program)
    assert all_unit_offsets(dwarf).tolist() == offsets
    units = read_units(dwarf, all_unit_offsets(dwarf))
    assert units.offset.tolist() == offsets
    assert units.version.tolist() == versions
    assert units.table.tolist() == tables
    assert units.root.tolist() == roots
    assert units.end.tolist() == [*offsets[1:], len(dwarf.info)]
    some = read_units(dwarf, all_unit_offsets(dwarf)[1:2])
    assert some.offset.tolist() == offsets[1:2]
    positions = np.array([0, offsets[1], roots[1], offsets[2]])
    assert some.holding(positions).tolist() == [-1, -1, 0, -1]
    assert some.starting(np.array([offsets[1], offsets[2]])).tolist() == [0, -1]


def test_aranges(program: Path) -> None:
    text = dump(program, "aranges")
    told = []
    for part in text.split("Offset into .debug_info:")[1:]:
        unit = int(part.split()[0], 0)
        for start, length in re.findall(r"^    ([0-9a-f]{8,}) ([0-9a-f]{8,})\s*$", part, re.M):
            if int(length, 16):
                told.append((int(start, 16), int(start, 16) + int(length, 16), unit))
    aranges = read_aranges(read(program))
    rows = zip(aranges.start.tolist(), aranges.end.tolist(), aranges.unit.tolist(), strict=True)
    assert list(rows) == sorted(told)
    assert len(told) >= 3
    start, end, unit = sorted(told)[0]
    asked = np.array([start - 1, start, end - 1, 1, (1 << 64) - 1], np.uint64)
    assert aranges.units(asked).tolist() == [-1, unit, unit, -1, -1]
    low = np.array([start - 9, start], np.uint64)
    between = aranges.units_between(low, np.array([start - 1, end], np.uint64))
    assert between.tolist() == [unit]


def test_abbreviations(program: Path) -> None:
    told = {}
    table = -1
    for line in dump(program, "abbrev").splitlines():
        if match := re.search(r"Number TAG \((\w+)\)", line):
            table = int(match[1], 0)
        elif match := re.match(r"\s+(\d+)\s+(DW_TAG_\w+)\s+\[", line):
            told[table, int(match[1])] = match[2]
    tags = {TAG_COMPILE_UNIT: "DW_TAG_compile_unit", TAG_SUBPROGRAM: "DW_TAG_subprogram"}
    dwarf = read(program)
    tables = np.array(sorted({table for table, _ in told}))
    ends = np.append(tables[1:], len(dwarf.abbrev))
    abbrevs = read_abbrevs(dwarf.abbrev, tables, ends, tuple(tags))
    ours = {
        (table, code): tags[tag]
        for table, code, tag in zip(
            abbrevs.table.tolist(), abbrevs.code.tolist(), abbrevs.tag.tolist(), strict=True
        )
    }
    assert ours == {key: tag for key, tag in told.items() if tag in tags.values()}
    # With ends that reach too far, the first declaration of a code still counts.
    far = read_abbrevs(dwarf.abbrev, tables, np.full(len(tables), len(dwarf.abbrev)), tuple(tags))
    assert far.key.tolist() == abbrevs.key.tolist()
    at = far.find(abbrevs.table, abbrevs.code)
    assert at.tolist() == list(range(len(abbrevs)))
    assert far.find(tables[:1], np.array([9999])).tolist() == [-1]


def declaration(code: bytes, tag: int, children: int, *attributes: int) -> bytes:
    return code + bytes([tag, children, *attributes, 0, 0])


def test_abbreviations_with_zeros_inside() -> None:
    # Constants of 0, of 64 (two bytes, the second 0), no attributes, and codes of two bytes.
    table = (
        declaration(b"\x01", TAG_COMPILE_UNIT, 0)
        + declaration(b"\x02", TAG_SUBPROGRAM, 1, 0x3A, 0x21, 0)
        + declaration(b"\x03", TAG_SUBPROGRAM, 0, 0x3A, 0x21, 0xC0, 0)
        + declaration(b"\x04", 0x24, 0, 0x3B, 0x21, 0x2E, 0x2E, 0x21, 0)
        + declaration(b"\x85\x01", TAG_SUBPROGRAM, 1, 0x40, 0x18)
        + b"\0"
    )
    section = Reader(np.frombuffer(table + table, np.uint8), "<")
    tables, ends = np.array([0, len(table)]), np.array([len(table), 2 * len(table)])
    abbrevs = read_abbrevs(section, tables, ends, (TAG_SUBPROGRAM, TAG_COMPILE_UNIT))
    assert abbrevs.code.tolist() == [1, 2, 3, 133] * 2
    assert abbrevs.table.tolist() == [0] * 4 + [len(table)] * 4
    lists = abbrevs.lists(np.arange(4))
    assert lists.count.tolist() == [0, 1, 1, 1]
    assert lists.attr.tolist() == [0x3A, 0x3A, 0x40]
    assert lists.const.tolist() == [0, 64, 0]
    assert abbrevs.code[abbrevs.mentioning(0x40, (0x18,))].tolist() == [133, 133]


def no_contents(_: str) -> Bytes:
    return np.zeros(0, np.uint8)


def test_sets_that_are_broken_are_left_out() -> None:
    def header(length: int, version: int, unit: int, width: int) -> bytes:
        return struct.pack("<IHIBB4x", length, version, unit, width, 0)

    pair = struct.pack("<4Q", 0x1000, 0x10, 0, 0)
    dwarf = Dwarf("<", 8, no_contents)
    sets = header(44, 2, 7, 8) + pair + header(44, 3, 8, 8) + pair + header(44, 2, 9, 4) + pair
    raw = (
        sets + header(44, 2, 10, 8) + pair.replace(b"\x10\0\0", b"\x20\0\0") + header(999, 2, 1, 8)
    )
    dwarf.__dict__["aranges"] = Reader(np.frombuffer(raw, np.uint8), "<")
    aranges = read_aranges(dwarf)
    assert aranges.unit.tolist() == [7, 10]
    assert aranges.start.tolist() == [0x1000, 0x2000]
    assert len(read_aranges(Dwarf("<", 8, no_contents)).start) == 0


def test_numbers_are_read_at_any_position() -> None:
    reader = Reader(np.frombuffer(bytes(range(1, 12)) + b"\xe5\x8e\x26\x80", np.uint8), ">")
    assert reader.numbers(4, np.array([1, -5, 99])).tolist() == [0x02030405, 0x01020304, 0xE58E2680]
    assert reader.numbers(2, np.array([3])).tolist() == [0x0405]
    values, ends = reader.ulebs(np.array([0, 11, 14]))
    assert values.tolist()[:2] == [1, 624485]
    assert ends.tolist()[:2] == [1, 14]
    assert ends[2] > len(reader)
    empty = Reader(np.zeros(0, np.uint8), "<")
    assert empty.numbers(8, np.array([0, 3])).tolist() == [0, 0]
    assert empty.bytes(np.array([4])).tolist() == [0]
