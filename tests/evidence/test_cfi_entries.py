"""Entries of call frame information: versions, augmentations, encodings, what is left out."""

from __future__ import annotations

import pytest

from stackgauge.errors import InputError
from tests.evidence.cfi_sections import Frames, def_cfa, def_cfa_offset, listed, read, uleb

ADDRESS = 0x40000
CIE = b"\x0c\0\0\0\xff\xff\xff\xff\x01\0\x01\x78\x10\0\0\0"  # that says nothing


@pytest.mark.parametrize("version", [1, 3, 4, 5])
@pytest.mark.parametrize("bits", [32, 64])
def test_versions(version: int, bits: int) -> None:
    frames = Frames(bits=bits)
    frames.fde(frames.cie(version=version), 0x1000, 16, def_cfa_offset(24))
    assert listed(read(frames)) == [(0x1000, 0x1010, 24)]


def test_the_address_width_and_segment_of_version_4() -> None:
    frames = Frames()
    cie = frames.cie(version=4, address_width=4, segment_width=2)
    start = b"\xff\xff" + frames.pack("I", 0x1000)
    frames.fde(cie, start, frames.pack("I", 16), def_cfa_offset(24))
    assert listed(read(frames)) == [(0x1000, 0x1010, 24)]


@pytest.mark.parametrize(
    ("augmentation", "data", "signal"),
    [
        (b"", b"", False),
        (b"S", b"", True),
        (b"B", b"", False),
        (b"eh", b"", False),
        (b"z", b"", False),
        (b"zR", b"\x00", False),
        (b"zRS", b"\x00", True),
        (b"zRB", b"\x00", False),
        (b"zPLR", b"\x1b\x01\x02\x03\x04\x1b\x00", False),
        (b"zPLR", b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x1b\x00", False),
        (b"zPR", b"\xff\x00", False),
        (b"zR", b"\x00\x0e\x63", False),  # more data than the letters tell of
    ],
)
@pytest.mark.parametrize("eh", [False, True])
def test_augmentations(augmentation: bytes, data: bytes, signal: bool, eh: bool) -> None:
    frames = Frames(eh=eh)
    cie = frames.cie(augmentation=augmentation, data=data)
    own = uleb(2) + b"\x0e\x63" if augmentation.startswith(b"z") else b""
    frames.fde(cie, 0x1000, 16, own + def_cfa_offset(24))
    cfi = read(frames)
    assert listed(cfi) == [(0x1000, 0x1010, 24)]
    assert cfi.fde_signal.tolist() == [signal]


@pytest.mark.parametrize(
    ("encoding", "code"),
    [(0x02, "H"), (0x03, "I"), (0x04, "Q"), (0x0A, "h"), (0x0B, "i"), (0x0C, "q"), (0x00, "Q")],
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("relative", [False, True])
def test_encodings(encoding: int, code: str, order: str, relative: bool) -> None:
    frames = Frames(eh=True, address=ADDRESS, order=order)
    cie = frames.cie(augmentation=b"zR", data=bytes([encoding | (0x10 if relative else 0)]))
    here = ADDRESS + len(frames.raw) + 8
    backwards = relative and code.islower()
    target = here - 0x1000 if backwards else here + 0x1000 if relative else 0x1000
    value = target - here if relative else target
    start, size = frames.pack(code, value), frames.pack(code, 16)
    frames.fde(cie, start, size, uleb(0) + def_cfa_offset(24))
    assert listed(read(frames)) == [(target, target + 16, 24)]


def test_a_relative_address_wraps_in_32_bits() -> None:
    frames = Frames(eh=True, bits=32, address=ADDRESS)
    cie = frames.cie(augmentation=b"zR", data=b"\x1b")
    here = ADDRESS + len(frames.raw) + 8
    frames.fde(cie, frames.pack("I", (0xC0001000 - here) & 0xFFFFFFFF), 16, uleb(0))
    assert listed(read(frames)) == [(0xC0001000, 0xC0001010, 8)]


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("version", {"version": 2}),
        ("version", {"version": 255}),
        ("augmentation", {"augmentation": b"armcc+"}),
        ("augmentation", {"augmentation": b"zX", "data": b"\0\0"}),
        ("augmentation", {"augmentation": b"R"}),
        ("augmentation", {"augmentation": b"zPR", "data": b"\x50" + bytes(9)}),
        ("encoding", {"augmentation": b"zR", "data": b"\x3b"}),  # relative to the data
        ("encoding", {"augmentation": b"zR", "data": b"\x9b"}),  # indirect
        ("encoding", {"augmentation": b"zR", "data": b"\x01"}),  # LEB128
        ("encoding", {"augmentation": b"zR", "data": b"\xff"}),  # omitted
        ("encoding", {"version": 4, "address_width": 3}),
        ("factor", {"code_factor": 0}),
        ("factor", {"code_factor": 1 << 70}),
        ("factor", {"data_factor": -(1 << 70)}),
    ],
)
def test_fdes_of_a_cie_that_is_not_understood_are_counted(
    reason: str, options: dict[str, object]
) -> None:
    frames = Frames()
    strange, plain = frames.cie(**options), frames.cie()  # type: ignore[arg-type]
    for start in (0x1000, 0x2000):
        frames.fde(strange, start, 16, bytes(8))
    frames.fde(plain, 0x3000, 16)
    cfi = read(frames)
    assert listed(cfi) == [(0x3000, 0x3010, 8)]
    assert cfi.skipped == {reason: 2}


@pytest.mark.parametrize(
    ("reason", "start", "size"),
    [
        ("discarded", 0, 16),
        ("empty", 0x1000, 0),
        ("range", 0x1000, 1 << 40),
        ("range", (1 << 64) - 8, 16),
    ],
)
def test_fdes_that_cover_nothing_are_counted(reason: str, start: int, size: int) -> None:
    frames = Frames()
    cie = frames.cie()
    frames.fde(cie, start, size)
    frames.fde(cie, 0x3000, 16)
    cfi = read(frames)
    assert listed(cfi) == [(0x3000, 0x3010, 8)]
    assert cfi.skipped == {reason: 1}


def test_of_functions_that_overlap_one_is_kept_and_the_other_counted() -> None:
    frames = Frames()
    cie = frames.cie()
    frames.fde(cie, 0x1008, 16, def_cfa_offset(24))
    frames.fde(cie, 0x1000, 16)
    frames.fde(cie, 0x1000, 16)  # the same again is no contradiction
    frames.fde(cie, 0x1018, 8, def_cfa_offset(32))
    cfi = read(frames)
    assert listed(cfi) == [(0x1000, 0x1010, 8), (0x1018, 0x1020, 32)]
    assert cfi.skipped == {"overlap": 1}


def test_debug_frame_comes_before_eh_frame() -> None:
    debug, eh = Frames(), Frames(eh=True)
    one, other = debug.cie(), eh.cie(augmentation=b"zRS", data=b"\0")
    debug.fde(one, 0x2000, 16, def_cfa_offset(16))
    debug.fde(one, 0x1000, 16, def_cfa_offset(16))
    for start, size in ((0x1000, 16), (0x1010, 16), (0x1FF8, 16), (0x3000, 8)):
        eh.fde(other, start, size, uleb(0) + def_cfa_offset(24))
    for parts in ((debug, eh), (eh, debug)):
        cfi = read(*parts)
        assert listed(cfi) == [
            (0x1000, 0x1010, 16),
            (0x1010, 0x1020, 24),
            (0x2000, 0x2010, 16),
            (0x3000, 0x3008, 24),
        ]
        assert cfi.fde_signal.tolist() == [False, True, False, True]
        assert cfi.skipped == {"overlap": 1}


def test_a_cie_may_come_behind_its_fdes_and_after_a_terminator() -> None:
    frames = Frames(eh=True)
    frames.fde(32, 0x1000, 8)  # this one's size is 24
    frames.raw += bytes(8)
    assert frames.cie(def_cfa(7, 40)) == 32
    assert listed(read(frames)) == [(0x1000, 0x1008, 40)]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x40\0\0\0" + bytes(8), "is cut off: the entry at 0x0"),
        (b"\xff\xff\xff\xff" + b"\xff" * 8, "is cut off: the entry at 0x0"),
        (b"\xff\xff\xff\xff", "is cut off: the entry at 0x0"),
        (b"\xf3\xff\xff\xff" + bytes(16), "is cut off: the entry at 0x0"),
        (b"\x02\0\0\0" + bytes(8), "the entry at 0x0 is too short"),
        (b"\x10\0\0\0" + bytes(16), "the FDE near 0x8 names no CIE"),
        (b"\x08\0\0\0\xff\xff\xff\xff\x01zR\0", "the CIE near 0x8 ends too early"),
        (b"\x05\0\0\0\xff\xff\xff\xff\x01", "the CIE near 0x8 ends too early"),
        (
            b"\x0c\0\0\0\xff\xff\xff\xff\x01\0\x01\x78\x10\0\0\0\x08\0\0\0" + bytes(8),
            "the FDE near",
        ),
    ],
)
def test_broken_sections_are_refused(raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"made by hand: \.debug_frame: .*" + message):
        read(Frames(raw=bytearray(raw)))


def test_augmentation_data_that_reaches_beyond_its_entry_is_refused() -> None:
    frames = Frames(eh=True)
    frames.fde(frames.cie(augmentation=b"zR", data=b"\0"), 0x1000, 16, uleb(200))
    with pytest.raises(InputError, match=r"the FDE near 0x20 ends too early"):
        read(frames)


def test_absurdly_many_cies_are_refused() -> None:
    frames = Frames()
    for number in range(3):
        frames.cie(number.to_bytes(4, "little") + bytes(400_000))
    with pytest.raises(InputError, match="CIEs that differ"):
        read(frames)
