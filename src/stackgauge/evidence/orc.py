"""ORC: what objtool found out about the stack at every instruction of an x86-64 kernel.

Source: tools/objtool/include/objtool/orc.h and arch/x86/include/asm/orc_types.h. The fields of an
entry have changed: up to 6.3 a CALL entry had type 0, since 6.4 type 0 is an undefined one
(commit fb799447ae29, "x86,objtool: Split UNWIND_HINT_EMPTY in two"); and the registers have been
numbered anew by 7.2, where rsp and rdi have each other's old number. Which an image has is
probed: nearly every entry is a CALL and counts from rsp.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stackgauge.errors import InputError
from stackgauge.evidence.table import UNKNOWN, Base, Evidence, Rows, make_rows, no_rows
from stackgauge.image.elf import Elf
from stackgauge.image.source import Bytes

ENTRY = np.dtype([("sp_offset", "<i2"), ("bp_offset", "<i2"), ("flags", "<u2")])

# ORC_REG_UNDEFINED, and what ORC_REG_SP may be; every other register says only where the caller's
# frame is.
REG_UNDEFINED = 0
_REG_SP = (5, 3)

# Bytes of struct pt_regs, and of the part of it that the processor pushes (arch/x86/include/asm/
# ptrace.h): an entry of type REGS or REGS_PARTIAL tells where it begins, not where it ends.
PT_REGS = 21 * 8
IRET_FRAME = 5 * 8

_OLD_CALL, _OLD_REGS, _OLD_PARTIAL = 0, 1, 2
_NEW_CALL, _NEW_REGS, _NEW_PARTIAL = 2, 3, 4


def _kinds(flags: NDArray[np.uint16]) -> tuple[NDArray[np.bool_], ...]:
    """Masks of the entries that are calls, full registers, and an interrupt's frame alone."""
    used = np.bincount(flags & 15, minlength=16)
    from_sp = flags & 15 == max(_REG_SP, key=lambda register: used[register])
    types = flags >> 8 & 7
    new = int((types[from_sp] == _NEW_CALL).sum()) * 2 > int(from_sp.sum())
    if not new:
        types = types & 3
    call, regs, partial = (
        (_NEW_CALL, _NEW_REGS, _NEW_PARTIAL) if new else (_OLD_CALL, _OLD_REGS, _OLD_PARTIAL)
    )
    return from_sp & (types == call), from_sp & (types == regs), from_sp & (types == partial)


def orc_rows(elf: Elf, contents: Callable[[str], Bytes]) -> Rows:
    """The rows of ``.orc_unwind``.

    Args:
        elf: the image.
        contents: section name to bytes, relocated where the image is an object.

    Returns:
        Rows with evidence ORC, sorted; none where the image has no ORC. Entries that follow
        another register have base OTHER, undefined ones (mostly padding) an UNKNOWN depth.

    Raises:
        InputError: the two tables are not of one length.
    """
    section = elf.section(".orc_unwind_ip")
    raw, places = contents(".orc_unwind"), contents(".orc_unwind_ip")
    if section is None or not len(places):
        return no_rows()
    count = len(places) // 4
    if len(places) % 4 or len(raw) != count * ENTRY.itemsize:
        raise InputError(elf.where, "is broken: .orc_unwind and .orc_unwind_ip do not match")
    entries = raw.view(ENTRY)
    offsets = places.view("<i4").astype(np.int64)
    address = np.arange(0, 4 * count, 4, dtype=np.uint64)
    address += np.uint64(section.address)
    address += offsets.view(np.uint64)
    # The kernel's build sorts the table of vmlinux; a module's is sorted when it is loaded.
    if not (address[1:] >= address[:-1]).all():
        order = np.argsort(address, kind="stable")
        address, entries = address[order], entries[order]
    flags = entries["flags"]
    call, regs, partial = _kinds(flags)
    depth = entries["sp_offset"].astype(np.int32)
    depth[regs] += PT_REGS
    depth[partial] += IRET_FRAME
    based = call | regs | partial
    other = ~based & (flags & 15 != REG_UNDEFINED)
    depth[~based] = UNKNOWN
    depth[other] = entries["sp_offset"][other]
    depth[based & (depth < 0)] = UNKNOWN
    base = np.full(count, Base.OTHER, np.uint8)
    base[call] = Base.SP
    base[regs | partial] = Base.REGISTERS
    # The last entry of all says where the code ends (objtool ends each section with one).
    end = np.append(address[1:], address[-1:] + np.uint64(1))
    rows, some = make_rows(address, end, depth, Evidence.ORC, base=base), end > address
    return rows if some.all() else rows.take(some)
