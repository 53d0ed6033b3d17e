"""GCC's figures for functions of a Debian kernel, from the same source, options and compiler.

On amd64 ORC counts from the stack pointer in most functions, and settles their frames. This takes
the others, compiles their files as Debian did but with ``-fstack-usage``, and keeps those functions
whose machine code is, but for what the linker fills in, Debian's to the byte. On i386, where next
to no frame is settled by a table, and on ARM it takes all functions of the files that are named.
Run as a program it writes them as a table (see ``Row``):

    python -m tests.oracles.debian_usage VMLINUX CONFIG OUTPUT [--files FILE...]

VMLINUX is that of the ``-dbg`` package, CONFIG the one beside the kernel. The source's version,
the compiler (see ``COMPILERS``) and ``pahole`` have to be those of the kernel. ``--tree`` names a
folder for the objects, which is kept, so that a stopped run goes on where it was. ``--time`` limits
the compiling (some 35 minutes of processor time for all of amd64).

Needs pyelftools.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import tempfile
from bisect import bisect_right
from collections import defaultdict
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackgauge.image.elf import EM_386, EM_ARM, EM_X86_64, SHT_REL, SHT_RELA, Elf, parse_elf
from stackgauge.image.source import Bytes, map_file
from stackgauge.image.symbols import NO_SECTION, STT_FUNC, Symbols, elf_symbols
from tests.oracles.linux_source import linux_source
from tests.oracles.su import Usage, name_in_su, parse_su

# arch/x86/include/asm/orc_types.h of 6.1: two offsets, then sp_reg in the lowest four bits.
_ORC = np.dtype([("sp_offset", "<i2"), ("bp_offset", "<i2"), ("rest", "<u2")])
_ORC_REG_UNDEFINED, _ORC_REG_SP = 0, 5
# System V ABI, AMD64 supplement, table 4.9: relocations of eight bytes; others have four, and so
# have those of i386 and ARM.
_EIGHT_BYTES = {EM_X86_64: (1, 24), EM_386: (), EM_ARM: ()}
# The kernel's name of the architecture, and what is put before the names of its tools. The kernel
# chooses the float ABI and the instruction set itself, so armhf's and armel's are one.
COMPILERS = {
    EM_X86_64: ("x86_64", ""),
    EM_386: ("i386", "i686-linux-gnu-"),
    EM_ARM: ("arm", "arm-linux-gnueabihf-"),
}
_COLD = re.compile(r"\.cold(\.\d+)?$")


@dataclass(frozen=True, slots=True)
class Function:
    """A stretch of code of the kernel, by its symbol: address and size in bytes."""

    address: int
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table, tab-separated.

    Attributes:
        address: of the function in that kernel.
        function: its symbol.
        file: the source file that was compiled.
        size: bytes of machine code, without a cold piece.
        bytes, kind: the frame, as in ``su.Usage``.
    """

    address: str
    function: str
    file: str
    size: int
    bytes: int
    kind: str


def read_rows(path: Path) -> list[Row]:
    """Read a table."""
    rows = []
    for line in path.read_text().splitlines()[1:]:
        address, function, file, size, usage, kind = line.split("\t")
        rows.append(Row(address, function, file, int(size), int(usage), kind))
    return rows


def unsettled(elf: Elf, symbols: Symbols) -> list[Function]:
    """The functions in which some ORC entry counts from another register than rsp."""
    section = elf.section(".orc_unwind_ip")
    assert section is not None
    places = elf.words(section, "i4").astype(np.int64)
    places += np.arange(len(places)) * 4
    entries = elf.contents(".orc_unwind").view(_ORC)
    register = entries["rest"] & 15
    # Neighbouring differences of addresses fit, whatever the addresses are.
    start = (section.address - (1 << 64)) + places
    other = (register != _ORC_REG_SP) & (register != _ORC_REG_UNDEFINED)
    before = np.concatenate([[0], np.cumsum(other)])
    rows = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.size > 0))
    begin = symbols.value[rows].astype(np.int64)
    end = begin + symbols.size[rows].astype(np.int64)
    first = np.maximum(np.searchsorted(start, begin, "right") - 1, 0)
    last = np.searchsorted(start, end, "left")
    rows = rows[before[last] > before[first]]
    return [_function(symbols, row) for row in rows.tolist()]


def _function(symbols: Symbols, row: int) -> Function:
    name = symbols.strings[int(symbols.name[row])]
    return Function(int(symbols.value[row]), int(symbols.size[row]), name)


def by_file(vmlinux: Path, functions: list[Function]) -> dict[str, list[Function]]:
    """The functions by the source file that was compiled, out of the debug information."""
    from elftools.elf.elffile import ELFFile

    found: dict[str, list[Function]] = defaultdict(list)
    names: dict[int, str] = {}
    with open(vmlinux, "rb") as file:
        dwarf = ELFFile(file).get_dwarf_info(relocate_dwarf_sections=False)
        table = dwarf.get_aranges()
        assert table is not None
        ranges = sorted(
            (entry.begin_addr, entry.begin_addr + entry.length, entry.info_offset)
            for entry in table.entries
        )
        begins = [entry[0] for entry in ranges]
        for function in functions:
            at = bisect_right(begins, function.address) - 1
            if at < 0 or function.address >= ranges[at][1]:
                continue
            unit = ranges[at][2]
            if unit not in names:
                top = dwarf.get_CU_at(unit).get_top_DIE()
                names[unit] = top.attributes["DW_AT_name"].value.decode()
            found[names[unit]].append(function)
    return found


def compile_files(
    source: Path, tree: Path, config: Path, machine: int, files: list[str], limit: float
) -> None:
    """Compile C files of the kernel into ``tree``, in order, until ``limit`` seconds are over."""
    architecture, tools = COMPILERS[machine]
    command = ["nice", "make", "-k", "-C", os.fspath(source), f"O={tree}", f"ARCH={architecture}"]
    command += ["-s", f"CROSS_COMPILE={tools}", f"CC={tools}gcc-12", f"-j{os.cpu_count() or 1}"]
    if not (tree / ".config").exists():
        (tree / ".config").write_bytes(config.read_bytes())
        subprocess.run([*command, "olddefconfig", "prepare"], check=True)
    objects = [file[:-2] + ".o" for file in files if file.endswith(".c") and file[0] != "/"]
    # Debug information is no matter for the code, and half of the time.
    # What has been compiled when the time is over is what there is.
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*command, "KCFLAGS=-fstack-usage -g0", *objects], check=False, timeout=limit
        )


@dataclass(frozen=True)
class Object:
    """A compiled file: its functions by name, and which bytes the linker fills in."""

    elf: Elf
    functions: dict[str, int]
    symbols: Symbols
    filled: dict[int, NDArray[np.bool_]]

    def code(self, name: str) -> tuple[Bytes, NDArray[np.bool_]] | None:
        """The bytes of a function and the mask of those that the linker fills in."""
        row = self.functions.get(name)
        if row is None:
            return None
        section = int(self.symbols.section[row])
        start = int(self.symbols.value[row]) - int(self.elf.headers["addr"][section])
        end = start + int(self.symbols.size[row])
        return self.elf.contents(section)[start:end], self.filled[section][start:end]


def read_object(path: Path) -> Object:
    """Read a compiled file."""
    elf = parse_elf(map_file(path), path)
    symbols = elf_symbols(elf)
    rows = np.flatnonzero((symbols.type == STT_FUNC) & (symbols.section != NO_SECTION))
    functions = {symbols.strings[int(symbols.name[row])]: row for row in rows.tolist()}
    filled = {
        int(section): np.zeros(int(elf.headers["size"][section]), bool)
        for section in elf.executable
    }
    kind = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
    if elf.bits == 32:
        kind = np.dtype([("offset", "<u4"), ("type", "u1"), ("symbol", "u1", 3)])
    for table in np.flatnonzero(np.isin(elf.headers["type"], (SHT_REL, SHT_RELA))).tolist():
        mask = filled.get(int(elf.headers["info"][table]))
        if mask is None:
            continue
        relocations = elf.contents(table).view(kind)
        width = np.where(np.isin(relocations["type"], _EIGHT_BYTES[elf.machine]), 8, 4)
        for byte in range(8):
            mask[relocations["offset"][byte < width].astype(np.int64) + byte] = True
    return Object(elf, functions, symbols, filled)


def code_at(elf: Elf, function: Function) -> Bytes:
    """The bytes of a function of the kernel."""
    for section in elf.executable.tolist():
        start = function.address - int(elf.headers["addr"][section])
        if 0 <= start < int(elf.headers["size"][section]):
            return elf.contents(section)[start : start + function.size]
    return elf.data[:0]


def same_code(elf: Elf, function: Function, compiled: Object) -> bool:
    """Whether a function of the kernel and of the compiled file are the same but for linking."""
    found = compiled.code(function.name)
    if found is None:
        return False
    ours, filled = found
    theirs = code_at(elf, function)
    return len(ours) == len(theirs) and bool(((ours == theirs) | filled).all())


def rows_of_file(
    elf: Elf,
    file: str,
    functions: list[Function],
    everything: dict[str, list[Function]],
    tree: Path,
) -> list[Row]:
    """What GCC says of the functions of one file, where it has been compiled.

    Args:
        elf: the kernel.
        file: the source file.
        functions: those wanted of it; a cold piece stands for its parent.
        everything: all functions of the kernel by name.
        tree: where the files were compiled.
    """
    stem = tree / file[:-2]
    if not (stem.with_suffix(".o").exists() and stem.with_suffix(".su").exists()):
        return []
    compiled = read_object(stem.with_suffix(".o"))
    usages: dict[str, list[Usage]] = defaultdict(list)
    for usage in parse_su(stem.with_suffix(".su").read_text(), file):
        usages[usage.name].append(usage)
    rows = {}
    for function in functions:
        name = _COLD.sub("", function.name)
        # Of several functions of that name, the one that has this code.
        whole = [one for one in everything.get(name, []) if same_code(elf, one, compiled)]
        if len(whole) != 1 or not same_code(elf, function, compiled):
            continue
        said = usages.get(name) or usages.get(name_in_su(name), [])
        if len(said) == 1:
            parent, usage = whole[0], said[0]
            rows[parent.address] = Row(
                f"{parent.address:#x}", name, file, parent.size, usage.bytes, usage.kind
            )
    return list(rows.values())


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description="GCC's figures for a Debian kernel's functions")
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--files", nargs="+", metavar="FILE", help="for example fs/select.c")
    parser.add_argument("--tree", type=Path)
    parser.add_argument("--time", type=float, default=3600.0, metavar="SECONDS")
    arguments = parser.parse_args()
    elf = parse_elf(map_file(arguments.vmlinux), arguments.vmlinux)
    symbols = elf_symbols(elf)
    everything: dict[str, list[Function]] = defaultdict(list)
    for row in np.flatnonzero((symbols.type == STT_FUNC) & (symbols.size > 0)).tolist():
        function = _function(symbols, row)
        everything[function.name].append(function)
    if arguments.files:
        found = by_file(arguments.vmlinux, [one for group in everything.values() for one in group])
        wanted = {file: found[file] for file in arguments.files}
    else:
        wanted = by_file(arguments.vmlinux, unsettled(elf, symbols))
    # Files with many such functions first.
    files = sorted(wanted, key=lambda file: (-len(wanted[file]), file))
    tree = (arguments.tree or Path(tempfile.mkdtemp())).resolve()
    tree.mkdir(parents=True, exist_ok=True)
    compile_files(linux_source(), tree, arguments.config, elf.machine, files, arguments.time)
    rows = [
        row for file in files for row in rows_of_file(elf, file, wanted[file], everything, tree)
    ]
    rows.sort(key=lambda row: row.address)
    lines = ["\t".join(field.name for field in fields(Row))]
    lines += ["\t".join(map(str, astuple(row))) for row in rows]
    arguments.output.write_text("\n".join(lines) + "\n")
    count = sum(map(len, wanted.values()))
    print(f"{len(rows)} functions, of {count} looked for, in {arguments.output}")


if __name__ == "__main__":
    main()
