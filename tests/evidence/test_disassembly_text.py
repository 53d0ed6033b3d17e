"""What else there is in objdump's text: files, headings, labels, and forms without a compiler."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from stackgauge.errors import InputError, UsageError
from stackgauge.evidence.disassembly import read_listing
from stackgauge.isa.objdump_patterns import DIALECTS, dialect_of
from tests.evidence.objdump_text import frame, frames, function, listing, text

TAKES = ("sub    $0x{:x},%rsp", "add    $0x{:x},%rsp", "ret")


def takes(name: str, size: int, address: int = 0, bits: int = 64) -> str:
    """A function that takes so many bytes beside its return address."""
    return function(name, address, *(line.format(size) for line in TAKES), bits=bits)


def test_functions_in_the_order_of_the_text_with_their_files() -> None:
    found = listing(
        text(takes("a", 1), takes("b", 2, 16), name="drivers/net/one.ko")
        + text(takes("a", 3), name="built-in.a(two.o)")
        + text(takes("c", 4), name="three.ko.debug")
    )
    assert found.function == ["a", "b", "a", "c"]
    assert found.frame == [9, 10, 11, 12]
    # As the kernel's script has it.
    assert found.object == ["one", "one", "built-in.a(two.o)", "three.debug"]
    assert found.address == [0, 16, 0, 0]
    assert (found.bits, found.dynamic) == (64, [False] * 4)


def test_addresses_of_32_bits() -> None:
    assert listing(text(takes("a", 1, bits=32), arch="i386")).bits == 32


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_the_blocks_that_it_is_read_in_do_not_matter(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = text(takes("a", 1), takes("b", 2, 16)) + text(takes("c", 3), name="other.o")
    whole = listing(data)

    class Slow(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            return super().read(size)

    assert read_listing(Slow(data), dialect_of("x86_64")) == whole


def test_local_labels_do_not_end_a_function() -> None:
    # Where the linker may move code, the assembler's own labels are shown.
    data = text(function("f", 0, "push   %rbx", "push   %rbp"))
    data += b"0000000000000008 <.L12>:\n   8:\t50   \tpush   %rax\n\n"
    data += b"0000000000000009 <L0^A>:\n   9:\t50   \tpush   %rax\n\n"
    data += b"000000000000000a <$L18>:\n   a:\t50   \tpush   %rax\n\n"
    assert frames(data) == {"f": 48}


def test_source_lines_and_relocations_between_the_instructions() -> None:
    data = text(takes("f", 0x80))
    data = data.replace(b"\n       4:", b"\n\t\t\t2: R_X86_64_PLT32\tg-0x4\n       4:")
    data = data.replace(b"\n       8:", b"\nf():\n/src/f.c:12\n  if (a <b>:\n\n       8:")
    assert frames(data) == {"f": 0x88}


def test_a_name_with_everything_in_it() -> None:
    assert frames(text(takes("operator<< <int>(a::b const&)", 8))) == {
        "operator<< <int>(a::b const&)": 16
    }


def test_a_cold_piece_without_its_parent_is_listed_with_the_least_it_takes() -> None:
    found = listing(text(takes("f.cold", 0x80)))
    assert (found.function, found.frame, found.dynamic) == (["f.cold"], [0x88], [True])


def test_a_cold_piece_starts_at_the_depth_of_the_branch_into_it() -> None:
    cold = function("f.cold", 0x100, "push   %rax", "call   5000 <g>", "jmp    2010 <f+0x10>")
    parent = function(
        "f",
        0x2000,
        "push   %rbx",
        "jne    100 <f.cold>",
        "sub    $0x100,%rsp",
        "add    $0x100,%rsp",
        "pop    %rbx",
        "ret",
    )
    # Before its parent or after it; its own depth is 24 at most.
    assert frames(text(cold, parent)) == frames(text(parent, cold)) == {"f": 16 + 0x100}
    deep = parent.replace("jne    100 <f.cold>", "nop").replace(
        "add    $0x100", "jne    100 <f.cold>\n 200c:\t00 \tadd    $0x100"
    )
    assert frames(text(cold, deep)) == {"f": 16 + 0x100 + 8}


def test_pieces_of_functions_with_one_name_go_to_their_own() -> None:
    def one(address: int, piece: int, size: int) -> str:
        return function(
            "f", address, "push   %rbx", f"jne    {piece:x} <f.cold>", "pop    %rbx", "ret"
        ) + function("f.cold", piece, f"sub    $0x{size:x},%rsp", "call   9000 <die>")

    found = listing(text(one(0x1000, 0x3000, 0x40), one(0x2000, 0x4000, 0x80)))
    assert found.function == ["f", "f"]
    assert found.frame == [16 + 0x40, 16 + 0x80]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no function in it"),
        (b"\n\n", "no function in it"),
        (b"hello\n" * 1000, "no function in it"),
        (text(), "no function of vmlinux in it"),
        (text(function("f", 0, "jr\tra"), arch="mips"), "vmlinux is of architecture mips, not x86"),
        (text(function("f", 0, "ret"), arch="arm64"), "vmlinux is of architecture arm64, not x86"),
        (b"00000000 <f>:\n   0:\t27bdffe0 \taddiu\tsp,sp,-32\n", "nothing in it moves a stack"),
    ],
)
def test_text_that_is_none(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        listing(data)


@pytest.mark.parametrize(
    "names",
    [
        "x86 x86_64 i386 i486 i586 i686",
        "aarch64 arm64",
        "arm armv5tel armv7l armv8l armeb",
        "m68k",
        "mips mips64 mipsel mips64el",
        "nios2",
        "openrisc",
        "parisc parisc64",
        "powerpc ppc ppc64 ppcle ppc64le",
        "s390 s390x",
        "sparc sparc64",
        "riscv riscv32 riscv64",
        "loongarch loongarch32 loongarch64",
        "ia64",
        "sh64",
    ],
)
def test_the_names_that_the_script_and_uname_have(names: str) -> None:
    assert len({dialect_of(name).name for name in names.split()}) == 1


@pytest.mark.parametrize("name", ["vax", "x86_65", "arm63", "", "arm64\n", "[", "sparc32"])
def test_other_names(name: str) -> None:
    with pytest.raises(UsageError, match="unknown architecture"):
        dialect_of(name)


def test_no_two_architectures_have_one_object_format() -> None:
    assert len({dialect.formats for dialect in DIALECTS}) == len(DIALECTS)


def forms() -> Iterator[tuple[str, bytes, int]]:
    """Forms that no recorded text has."""
    # From the kernel's script, which had these when the kernel did.
    yield "ia64", b"   6:\t01 0f fc 8c  \tadds r12=-384,r12;;\n", 384
    yield "sh64", b"   0:\td4fc40f0  \taddi.l  r15,-240,r15\n", 240
    yield "riscv", b"   0:\t7139  \tc.addi16sp\tsp,-64\n", 64
    yield "riscv", b"   0:\t7139  \taddi\tsp,sp,-64 # 5000 <g>\n", 64
    yield "loongarch", b"   0:\t02fec063  \taddi.d  $sp, $sp, -80(0xfb0)\n", 80
    yield "openrisc", b"   0:\t9c 21 fe f0  \tl.addi r1,r1,-272\n", 272
    yield "nios2", b"   0:\tdefffb04 \taddi\tsp,sp,-20\n", 20
    yield "m68k", b"   0:\t4ff7 0170 fffe \tlea %sp@(fffffffffffeee90),%sp\n", 70004
    yield "m68k", b"   0:\t9ffc 0001 1170 \tsubal #70000,%sp\n", 70004
    yield "m68k", b"   0:\t48e7 3f20 \tmoveml %d2-%d7/%a2,%sp@-\n", 32
    yield "m68k", b"   0:\t50e7 \tst %sp@-\n", 6
    yield "parisc", b"   0:\t6f c3 00 80 \tstw,ma r3,40(sp)\n", 64
    yield "parisc64", b"   0:\t73 c1 01 28 \tstd,ma r1,90(sp)\n", 144
    yield "s390", b"   0:\tc2 f8 ff fe ee 90\tagfi\t%r15,-70000\n", 70000
    yield "powerpc", b"   0:\t94 21 ff 30 \tstwu    r1,-208(r1)\n", 208
    yield "sparc", b"   0:\t9d e3 bf 90 \tsave  %sp, -112, %sp\n", 112
    yield "arm", b"   0:\te92dd800 \tstmdb\tsp!, {fp, ip, lr, pc}\n", 16
    yield "arm", b"   0:\ted2d8b04 \tvstmdb\tsp!, {d8-d9}\n", 16
    yield "arm", b"   0:\te24dd064 \tsub\tsp, sp, #100\t; 0x64\n", 100
    yield "arm64", b"   0:\ta9bb7bfd \tstp\tx29, x30, [sp, #-80]!\n", 80
    yield "arm64", b"   0:\td11643ff \tsub\tsp, sp, #0x590\n", 0x590
    yield "mips", b"   0:\t27bdffe0 \taddiu\tsp,sp,-32\n", 32
    yield "mips64", b"   0:\t67bdfff0 \tdaddiu\tsp,sp,-16\n", 16


@pytest.mark.parametrize(("arch", "line", "size"), list(forms()))
def test_forms(arch: str, line: bytes, size: int) -> None:
    assert frames(b"00000000 <f>:\n" + line, arch) == {"f": size}


def test_prefixes_and_suffixes_of_x86() -> None:
    assert frame("pushq  $0x1", "cs jmp {3} <f+0xc>", "nop", "bnd jne {5} <f+0x14>", "ret") == 16
    assert frame("pushw  $0x1", "pushfq", "popfq", "popw   %ax", "repz ret") == 18
