from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.errors import InputError
from stackgauge.image.symbols import STB_LOCAL, STB_WEAK, STT_FUNC, STT_OBJECT, Symbols
from stackgauge.image.system_map import parse_system_map, read_system_map

MAP = """\
0000000000000000 D __per_cpu_start
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000040 t secondary_startup_64
ffffffff81000100 W arch_cpu_idle
ffffffff820001a0 r linux.0
ffffffff82000200 V tweak
ffffffff83000000 A _end
"""


def parse(text: str | bytes) -> Symbols:
    data = text.encode() if isinstance(text, str) else text
    return parse_system_map(np.frombuffer(data, np.uint8), "System.map")


def names(symbols: Symbols) -> list[str]:
    return [symbols.strings[at] for at in symbols.name.tolist()]


def test_a_map_is_read_in_its_order() -> None:
    symbols = parse(MAP)
    lines = [line.split() for line in MAP.splitlines()]
    assert names(symbols) == [line[2] for line in lines]
    assert symbols.value.tolist() == [int(line[0], 16) for line in lines]
    assert symbols.source == "system-map"
    assert symbols.type.tolist()[3:7] == [STT_FUNC, STT_FUNC, STT_OBJECT, STT_OBJECT]
    assert symbols.binding.tolist()[3:7] == [STB_LOCAL, STB_WEAK, STB_LOCAL, STB_WEAK]
    assert symbols.find("arch_cpu_idle") == 0xFFFFFFFF81000100
    assert symbols.find("cpu_idle") is None


def test_the_last_line_needs_no_end() -> None:
    assert names(parse(MAP.rstrip("\n"))) == names(parse(MAP))


def test_a_32_bit_map() -> None:
    symbols = parse("c0008000 T _text\nC0ABCDEF t end\n")
    assert symbols.value.tolist() == [0xC0008000, 0xC0ABCDEF]


def test_proc_kallsyms_leaves_modules_out() -> None:
    symbols = parse(
        "ffffffff81000000 T _text\n"
        "ffffffffc0a00000 t nfs_init\t[nfs]\n"
        "ffffffffc0b00000 t bpf_prog_0123456789abcdef_f [bpf]\n"
        "ffffffff82000000 D tail\n"
    )
    assert names(symbols) == ["_text", "tail"]
    assert symbols.value.tolist() == [0xFFFFFFFF81000000, 0xFFFFFFFF82000000]


def test_addresses_hidden_from_a_user_are_an_error() -> None:
    with pytest.raises(InputError, match=r"no address but 0: .* to root alone"):
        parse("0000000000000000 T _text\n0000000000000000 t x\t[nfs]\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n", 1),
        ("hello\n", 1),
        ("ffff T short_address\n", 1),
        (MAP + "\n" + MAP, 9),
        (MAP + "ffffffff81000000 T\n", 9),
        (MAP + "ffffffff81000000 T  two_spaces\n", 9),
        (MAP + "ffffffff8100000g T not_hex\n", 9),
        (MAP + "                 U undefined\n", 9),
        (MAP + "ffffffff81000000 TT two_letters\n" + MAP, 9),
        (MAP + "ffffffff81000000 T name with spaces\n", 9),
        (MAP + "ffffffff81000000\tT\ttabs\n", 9),
        (MAP + "ffffffff81000000 T control\x01\n", 9),
        (MAP.replace("\n", "\r\n"), 1),
        # What Debian ships in place of the map.
        ("ffffffffffffffff B The real System.map is in the linux-image-6.1.0-1-amd64-dbg\n", 1),
    ],
)
def test_another_line_is_an_error_with_its_number(text: str, line: int) -> None:
    with pytest.raises(InputError, match=rf"^System\.map:{line}: is not ADDRESS LETTER NAME: '"):
        parse(text)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_system_map(tmp_path / "System.map")
    (tmp_path / "System.map").write_text(MAP)
    assert len(read_system_map(tmp_path / "System.map")) == 8


@given(st.data())
def test_broken_maps_raise_nothing_else(data: st.DataObject) -> None:
    text = bytearray(MAP.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(
            st.sampled_from(b"\0\n\t []fgT\xff")
        )
    del text[data.draw(st.integers(0, len(text))) :]
    with contextlib.suppress(InputError):
        names(parse(bytes(text)))
