"""A writer of the kernel's kallsyms tables, in every layout that they have had, for tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass

TEXT = 0xFFFFFFFF81000000
TEXT_32 = 0xC0008000


@dataclass(frozen=True)
class Layout:
    """What differs between the kernels' tables."""

    addresses: str  # pointers, offsets, percpu, in-place, words
    first: bool  # the addresses are ahead of num_syms, as they were before 6.4
    sequences: str  # none, middle (6.2), end (6.4)
    bits: int = 64
    order: str = "<"
    align: int = 8
    text: int = TEXT


# By the first release of each layout; each for what wrote it (scripts/kallsyms.c).
LAYOUTS = {
    "5.10-x86": Layout("percpu", True, "none"),
    "5.10-arm64": Layout("offsets", True, "none", text=0xFFFF800010000000),
    "5.10-ia64": Layout("pointers", True, "none"),
    "5.10-arm": Layout("offsets", True, "none", 32, align=4, text=TEXT_32),
    "5.10-sparc": Layout("pointers", True, "none", 32, ">", 4, text=TEXT_32),
    "5.10-s390": Layout("offsets", True, "none", 64, ">", text=0x100000),
    "6.2-x86": Layout("percpu", True, "middle"),
    "6.2-mips": Layout("offsets", True, "middle", 32, ">", 4, text=TEXT_32),
    "6.4-x86": Layout("percpu", False, "end"),
    "6.4-i386": Layout("offsets", False, "end", 32, align=4, text=TEXT_32),
    "6.15-x86": Layout("offsets", False, "end"),
    "6.15-powerpc": Layout("offsets", False, "end", 64, ">", text=0xC000000000000000),
    "7.0-x86": Layout("in-place", False, "end", align=4),
    "7.0-s390": Layout("in-place", False, "end", 64, ">", 4),
    "7.0-arm": Layout("words", False, "end", 32, align=4, text=TEXT_32),
}


def make_symbols(layout: Layout, count: int = 700) -> list[tuple[int, str, str]]:
    """(address, letter, name) by ascending address."""
    rows = [(layout.text, "T", "_text"), (layout.text, "t", "startup")]
    if layout.addresses == "percpu":
        rows = [(0, "D", "__per_cpu_start"), (0x1B00, "A", "irq_stack"), *rows]
    letters = "tTdDbBrRwWVA"
    for number in range(count):
        name = f"do_{'some_' * (number % 7)}work_{number}.isra.{number % 3}"
        rows.append((layout.text + 16 * number + 64, letters[number % len(letters)], name))
    # One that takes two bytes for its length: no two characters of it are packed into one.
    long_name = "".join(chr(65 + number % 23) + chr(97 + number % 19) for number in range(120))
    rows.insert(len(rows) // 2, (rows[len(rows) // 2][0], "t", long_name))
    return rows


def pack(rows: list[tuple[int, str, str]]) -> tuple[list[bytes], list[bytes]]:
    """Tokens, and each symbol's bytes in them; the codes of unused characters stand for pairs."""
    texts = [(letter + name).encode() for _, letter, name in rows]
    used = set(b"".join(texts))
    pairs = [b"do_", b"some_", b"some_some_", b"work_", b".isra.", b"tdo_", b"Tdo_"]
    tokens = [bytes([code]) if code in used else b"" for code in range(256)]
    free = [code for code in range(255, -1, -1) if code not in used]
    for code, pair in zip(free, pairs, strict=False):
        tokens[code] = pair
    longest_first = sorted((t for t in tokens if len(t) > 1), key=len, reverse=True)
    packed = []
    for text in texts:
        out, at = b"", 0
        while at < len(text):
            token = next((t for t in longest_first if text.startswith(t, at)), text[at : at + 1])
            out += bytes([tokens.index(token)])
            at += len(token)
        packed.append(out)
    return tokens, packed


def write_tables(
    rows: list[tuple[int, str, str]], layout: Layout, place: int, base: int | None = None
) -> bytes:
    """The tables, as they would stand at the address ``place``; ``base``: relative_base stored."""
    order, align = layout.order, layout.align
    pointer = order + ("Q" if layout.bits == 64 else "I")
    tokens, packed = pack(rows)
    out = bytearray()

    def label() -> None:
        out.extend(bytes(-len(out) % align))

    def put_addresses() -> None:
        label()
        lowest = min(address for address, _, _ in rows if address >= layout.text)
        for address, _, _ in rows:
            match layout.addresses:
                case "pointers":
                    out.extend(struct.pack(pointer, address))
                case "words":
                    out.extend(struct.pack(order + "I", address))
                case "offsets":
                    out.extend(struct.pack(order + "I", address - lowest))
                case "percpu" if address < lowest:
                    out.extend(struct.pack(order + "i", address))
                case "percpu":
                    out.extend(struct.pack(order + "i", lowest - address - 1))
                case "in-place":
                    out.extend(struct.pack(order + "i", address - (place + len(out))))
        if layout.addresses in ("offsets", "percpu"):
            label()
            out.extend(struct.pack(pointer, lowest if base is None else base))

    def put_sequences() -> None:
        label()
        by_name = sorted(range(len(rows)), key=lambda row: rows[row][2])
        for row in by_name:
            out.extend(row.to_bytes(3, "big"))

    if layout.first:
        put_addresses()
    label()
    out.extend(struct.pack(order + "I", len(rows)))
    label()
    markers, begin = [], len(out)
    for number, text in enumerate(packed):
        if number % 256 == 0:
            markers.append(len(out) - begin)
        size = len(text)
        out.extend(bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7]))
        out.extend(text)
    label()
    out.extend(struct.pack(f"{order}{len(markers)}I", *markers))
    if layout.sequences == "middle":
        put_sequences()
    label()
    begin = len(out)
    index = []
    for token in tokens:
        index.append(len(out) - begin)
        out.extend(token + b"\0")
    label()
    out.extend(struct.pack(f"{order}256H", *index))
    if not layout.first:
        put_addresses()
    if layout.sequences == "end":
        put_sequences()
    return bytes(out)
