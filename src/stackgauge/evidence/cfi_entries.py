"""The entries of ``.debug_frame`` and ``.eh_frame`` as columns, their programs not yet executed.

Layouts: DWARF 5, sections 6.4.1 ("Structure of Call Frame Information") and 7.4 ("32-Bit and
64-Bit DWARF Formats"), and for ``.eh_frame`` the Linux Standard Base, core 5.0, chapter 10.6.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.evidence.cfi_cies import REASONS, distinct_cies
from stackgauge.image.dwarf_bytes import Reader

# A length of all ones says that the entry is of the 64-bit format and its length follows;
# others from here on are reserved (DWARF 5, section 7.2.2).
_RESERVED = 0xFFFF_FFF0
_WIDE = 0xFFFF_FFFF

# Beyond that a function's length is a broken one.
_LONGEST_FUNCTION = np.uint64(1 << 32)


@dataclass(frozen=True)
class Place:
    """Where entries lie and how to read them.

    Attributes:
        where: what to call the section in messages.
        address: the section's address, for pointers that are relative to where they stand.
        bits: the file's, 32 or 64.
        eh: whether this is ``.eh_frame``, where CIEs and pointers to them look different.
    """

    where: str
    address: int
    bits: int
    eh: bool


@dataclass(frozen=True, eq=False)
class Programs:
    """Stretches of call frame instructions, by ascending offset.

    Attributes:
        bytes: those in which they lie; at least one byte precedes each of them.
        start: offset of the first instruction, int64.
        end: offset behind the last, int64.
        code_factor: what advances count in, int64.
        data_factor: what signed, factored operands count in, int64.
    """

    bytes: Reader
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    code_factor: NDArray[np.int64]
    data_factor: NDArray[np.int64]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.start)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Programs:
        """Those at a mask or at ascending indices, and only the bytes from first to last."""
        start, end = self.start[which], self.end[which]
        first, last = (int(start[0]) - 1, int(end[-1])) if len(start) else (0, 0)
        return Programs(
            bytes=Reader(self.bytes.data[first:last], self.bytes.order),
            start=start - first,
            end=end - first,
            code_factor=self.code_factor[which],
            data_factor=self.data_factor[which],
        )


@dataclass(frozen=True, eq=False)
class Entries:
    """What a section holds.

    Attributes:
        cies: the initial instructions of each distinct CIE.
        fdes: the instructions of each FDE.
        cie: index of each FDE's CIE in ``cies``, intp.
        start: each FDE's first address, uint64.
        end: the address behind its last, uint64.
        signal: whether it is a signal's or an interrupt's frame, bool.
        skipped: how many FDEs are left out, by reason.
    """

    cies: Programs
    fdes: Programs
    cie: NDArray[np.intp]
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    signal: NDArray[np.bool_]
    skipped: Counter[str]


def read_entries(section: Reader, place: Place) -> Entries:
    """Read the headers of all entries of a section.

    FDEs that cover no address (of zero length, or at address 0 as linkers leave those of
    discarded code) are left out, and counted with those whose CIE is not understood.

    Raises:
        InputError: an entry reaches beyond the section or its own end, or names no CIE.
    """
    at, body, end, ids = _chain(section, place)
    wide = body - at > 8
    is_cie = ids == (0 if place.eh else np.where(wide, np.uint64(2**64 - 1), np.uint64(_WIDE)))
    texts, cies, which = distinct_cies(
        section.data.data,
        body[is_cie].tolist(),
        end[is_cie].tolist(),
        place.bits // 8,
        place.where,
    )
    body, end, ids = body[~is_cie], end[~is_cie], ids[~is_cie]
    # Counted back from where it stands in .eh_frame, and signed: a difference in 32 bits.
    target = ((body - 4).astype(np.uint64) - ids) & np.uint64(_WIDE) if place.eh else ids
    offsets = np.append(at[is_cie].astype(np.uint64), np.uint64(2**64 - 1))
    nearest = np.searchsorted(offsets[:-1], target)
    if (offsets[nearest] != target).any():
        first = int(body[np.argmax(offsets[nearest] != target)])
        raise InputError(place.where, f"is broken: the FDE near {first:#x} names no CIE")
    cie = which[nearest]

    reasons = cies["reason"][cie]
    skipped = Counter(REASONS[reason] for reason in reasons[reasons > 0].tolist())
    body, end, cie = body[reasons == 0], end[reasons == 0], cie[reasons == 0]
    kind = cies[cie]
    start, size, program = _ranges(section, place, kind, body, end)
    last = np.uint64((1 << place.bits) - 1)
    covered = np.ones(len(start), np.bool_)
    for reason, wrong in (
        ("discarded", start == 0),
        ("empty", size == 0),
        ("range", (size > last - start) | (size > _LONGEST_FUNCTION)),
    ):
        skipped[reason] = int(np.count_nonzero(wrong & covered))
        covered &= ~wrong
    factors = kind["code_factor"].astype(np.int64), kind["data_factor"].astype(np.int64)
    return Entries(
        cies=Programs(
            Reader(np.frombuffer(texts, np.uint8), section.order),
            cies["program"],
            cies["end"],
            cies["code_factor"].astype(np.int64),
            cies["data_factor"].astype(np.int64),
        ),
        fdes=Programs(section, program, end, *factors).take(covered),
        cie=cie[covered],
        start=start[covered],
        end=(start + size)[covered],
        signal=kind["signal"][covered],
        skipped=skipped,
    )


def _chain(
    section: Reader, place: Place
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Every entry's offset, the offsets behind its id and behind itself, and its id."""
    raw = section.data.data
    four = struct.Struct(section.order + "I").unpack_from
    eight = struct.Struct(section.order + "Q").unpack_from
    starts = array("q")
    at, size = 0, len(section)
    # Each entry's length says where the next begins: there is no other way than one by one.
    while at + 4 <= size:
        (length,) = four(raw, at)
        if 0 < length < _RESERVED:
            starts.append(at)
            at += 4 + length
        elif length == 0:  # the end of one object's .eh_frame, or padding
            at += 4
        else:
            starts.append(at)
            wide = length == _WIDE and at + 12 <= size
            at += 12 + eight(raw, at + 4)[0] if wide else size + 1
    if at > size:
        message = f"is cut off: the entry at {starts[-1]:#x} reaches beyond its end"
        raise InputError(place.where, message)
    start = np.array(starts, np.int64)
    lengths = section.numbers(4, start)
    end = start + 4 + lengths.astype(np.int64)
    wides = np.flatnonzero(lengths == _WIDE)
    end[wides] = start[wides] + 12 + section.numbers(8, start[wides] + 4).astype(np.int64)
    # The id is as wide as the format says in .debug_frame, and 4 bytes in .eh_frame.
    body = start + 8
    body[wides] += 8 if place.eh else 12
    if (body > end).any():
        first = int(start[np.argmax(body > end)])
        raise InputError(place.where, f"is broken: the entry at {first:#x} is too short")
    ids = section.numbers(4, body - 4)
    if not place.eh:
        ids[wides] = section.numbers(8, body[wides] - 8)
    return start, body, end, ids


def _ranges(
    section: Reader,
    place: Place,
    kind: NDArray[np.void],
    body: NDArray[np.int64],
    end: NDArray[np.int64],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """Each FDE's first address, how many bytes it covers, and where its instructions begin.

    ``kind`` are the FDEs' CIEs, ``body`` the offsets behind their pointers to them.
    """

    def refuse(short: NDArray[np.bool_], which: NDArray[np.intp] | slice) -> None:
        if short.any():
            first = int(body[which][np.argmax(short)])
            raise InputError(place.where, f"is broken: the FDE near {first:#x} ends too early")

    width = kind["width"].astype(np.int64)
    at = body + kind["segment"]
    program = at + 2 * width
    refuse(program > end, slice(None))
    start = np.zeros(len(at), np.uint64)
    size = np.zeros(len(at), np.uint64)
    for one in (2, 4, 8):
        these = np.flatnonzero(width == one)
        start[these] = section.numbers(one, at[these])
        size[these] = section.numbers(one, at[these] + one)
        signed = these[kind["signed"][these]]
        sign = np.uint64(1 << (8 * one - 1))
        start[signed] = (start[signed] ^ sign) - sign
    relative = kind["relative"]
    start[relative] += at[relative].astype(np.uint64) + np.uint64(place.address)
    start &= np.uint64((1 << place.bits) - 1)

    augmented = np.flatnonzero(kind["augmented"])
    refuse(program[augmented] >= end[augmented], augmented)
    length, behind = section.ulebs(program[augmented])
    refuse(length > end[augmented] - behind, augmented)
    program[augmented] = behind + length
    return start, size, program
