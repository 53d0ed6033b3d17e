"""Which registers an instruction writes.

A register too many is harmless: a value that could have been followed is then not. None may be
missing, or a value would be followed past its end. So an operation code that is not listed here
writes what its format has a register for.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stackgauge.isa.s390 import encoding as e
from stackgauge.isa.s390.encoding import field, opcodes
from stackgauge.isa.words import Words

# What an operation code writes; R1 stands at bit 8, in the formats RRE and RRF at bit 24.
# A pair is a register and the next one; both pairs, those of R1 and R2 or R3.
NOTHING, FIRST, PAIR, PAIRS, RANGE, FLOATING = range(6)
LATE, LATE_PAIR, LATE_PAIRS, LATE_TWO, LATE_OR_FLOATING = range(6, 11)
LATE_KINDS = (LATE, LATE_PAIR, LATE_PAIRS, LATE_TWO, LATE_OR_FLOATING)

# ELF ABI s390x Supplement, 1.2.1: a call preserves %r6 to %r13, %r15 and %f8 to %f15.
_BY_CALL = np.uint32(0x403F | 0xFF << e.FLOATING)
_ALL = np.uint32(0xFFFF_FFFF)

# First and last operation code of each group, and what it writes; later ones go before.
_GROUPS = (
    (0x0000, 0x0DFF, NOTHING),
    (0x0500, 0x05FF, FIRST),  # BALR
    (0x0600, 0x06FF, FIRST),  # BCTR
    (0x0B00, 0x0BFF, FIRST),  # BSM
    (0x0C00, 0x0DFF, FIRST),  # BASSM, BASR
    (0x0E00, 0x0FFF, PAIRS),  # MVCL, CLCL
    (0x1000, 0x1FFF, FIRST),
    (0x1500, 0x15FF, NOTHING),  # CLR
    (0x1900, 0x19FF, NOTHING),  # CR
    (0x1C00, 0x1DFF, PAIR),  # MR, DR
    (0x2000, 0x3FFF, FLOATING),
    (0x4000, 0x5FFF, FIRST),
    (0x4000, 0x40FF, NOTHING),  # STH
    (0x4200, 0x42FF, NOTHING),  # STC
    # EX: what compilers and the kernel have it execute works on memory.
    (0x4400, 0x44FF, NOTHING),
    (0x4700, 0x47FF, NOTHING),  # BC
    (0x4900, 0x49FF, NOTHING),  # CH
    (0x4E00, 0x4EFF, NOTHING),  # CVD
    (0x5000, 0x50FF, NOTHING),  # ST
    (0x5500, 0x55FF, NOTHING),  # CL
    (0x5900, 0x59FF, NOTHING),  # C
    (0x5C00, 0x5DFF, PAIR),  # M, D
    (0x6000, 0x7FFF, FLOATING),
    (0x7100, 0x71FF, FIRST),  # MS
    (0x8000, 0x82FF, NOTHING),  # SSM, LPSW
    (0x8300, 0x83FF, PAIRS),  # DIAG
    (0x8400, 0x8BFF, FIRST),  # BRXH and its kin, shifts
    (0x8C00, 0x8FFF, PAIR),  # double shifts
    (0x9000, 0x97FF, NOTHING),  # STM, SI
    (0x9800, 0x98FF, RANGE),  # LM
    (0x9900, 0x9BFF, NOTHING),  # TRACE, LAM, STAM
    (0xA500, 0xA5FF, FIRST),
    (0xA700, 0xA7FF, FIRST),
    (0xA700, 0xA704, NOTHING),  # TMLH and its kin, BRC
    (0xA70E, 0xA70F, NOTHING),  # CHI, CGHI
    (0xA800, 0xA9FF, PAIRS),  # MVCLE, CLCLE
    (0xAC00, 0xADFF, NOTHING),  # STNSM, STOSM
    (0xAE00, 0xAEFF, FIRST),  # SIGP
    (0xAF00, 0xAFFF, NOTHING),  # MC
    (0xB100, 0xB1FF, FIRST),  # LRA
    (0xB200, 0xB2FF, LATE_PAIRS),
    (0xB200, 0xB21F, NOTHING),  # of storage and of time
    (0xB222, 0xB222, LATE),  # IPM
    (0xB24F, 0xB24F, LATE),  # EAR
    (0xB252, 0xB252, LATE),  # MSR
    (0xB255, 0xB255, LATE_TWO),  # MVST
    (0xB25D, 0xB25E, LATE_TWO),  # CLST, SRST
    (0xB278, 0xB27F, NOTHING),  # STCKE, STCKF
    (0xB2B0, 0xB2B3, NOTHING),  # STFLE, LPSWE
    (0xB2E8, 0xB2E8, NOTHING),  # PPA
    (0xB2FA, 0xB2FA, NOTHING),  # NIAI
    (0xB300, 0xB3FF, LATE_OR_FLOATING),
    (0xB300, 0xB397, FLOATING),
    (e.LDGR, e.LDGR, FLOATING),
    (e.LGDR, e.LGDR, LATE),
    (0xB600, 0xB7FF, NOTHING),  # STCTL, LCTL
    (0xB900, 0xB9FF, LATE_PAIRS),
    (0xB900, 0xB91F, LATE),  # two registers of 64 bits
    (0xB90D, 0xB90D, LATE_PAIR),  # DSGR
    (0xB91D, 0xB91D, LATE_PAIR),  # DSGFR
    (0xB91E, 0xB91E, LATE_PAIRS),  # KMAC
    (0xB920, 0xB921, NOTHING),  # CGR, CLGR
    (0xB926, 0xB927, LATE),  # LBR, LHR
    (0xB930, 0xB931, NOTHING),  # CGFR, CLGFR
    (0xB946, 0xB946, LATE),  # BCTGR
    (0xB960, 0xB961, NOTHING),  # CGRT, CLGRT
    (0xB972, 0xB973, NOTHING),  # CRT, CLRT
    (0xB980, 0xB985, LATE),  # NGR, OGR, XGR, FLOGR, LLGCR, LLGHR
    (0xB983, 0xB983, LATE_PAIR),
    (0xB986, 0xB987, LATE_PAIR),  # MLGR, DLGR
    (0xB988, 0xB989, LATE),  # ALCGR, SLBGR
    (0xB994, 0xB995, LATE),  # LLCR, LLHR
    (0xB996, 0xB997, LATE_PAIR),  # MLR, DLR
    (0xB998, 0xB999, LATE),  # ALCR, SLBR
    (0xB9BE, 0xB9BE, LATE_TWO),  # SRSTU
    (0xB9CD, 0xB9CD, NOTHING),  # CHHR
    (0xB9CF, 0xB9CF, NOTHING),  # CLHHR
    (0xB9DD, 0xB9DD, NOTHING),  # CHLR
    (0xB9DF, 0xB9DF, NOTHING),  # CLHLR
    (0xB9E0, 0xB9FF, LATE),  # three registers, and conditional loads
    (0xBA00, 0xBAFF, FIRST),  # CS
    (0xBB00, 0xBBFF, PAIR),  # CDS
    (0xBD00, 0xBEFF, NOTHING),  # CLM, STCM
    (0xBF00, 0xBFFF, FIRST),  # ICM
    (0xC000, 0xC0FF, FIRST),
    (0xC004, 0xC004, NOTHING),  # BRCL
    (0xC200, 0xC20B, FIRST),
    (0xC20C, 0xC20F, NOTHING),  # comparisons
    (0xC400, 0xC40F, FIRST),
    (0xC407, 0xC407, NOTHING),  # STHRL
    (0xC40B, 0xC40B, NOTHING),  # STGRL
    (0xC40F, 0xC40F, NOTHING),  # STRL
    (0xC500, 0xC7FF, NOTHING),  # branch predictions, EXRL (as EX), comparisons
    (0xC800, 0xC80F, PAIR),
    (0xC800, 0xC800, NOTHING),  # MVCOS
    (0xCC00, 0xCCFF, FIRST),
    (0xCC0D, 0xCC0F, NOTHING),  # CIH, CLIH
    (0xD000, 0xDFFF, NOTHING),
    (0xE100, 0xE2FF, NOTHING),
    (0xE300, 0xE3FF, FIRST),
    (0xE320, 0xE321, NOTHING),  # CG, CLG
    (0xE324, 0xE326, NOTHING),  # STG, NTSTG, CVDY
    (0xE32E, 0xE331, NOTHING),  # CVDG, STRVG, CGF, CLGF
    (0xE334, 0xE334, NOTHING),  # CGH
    (0xE336, 0xE336, NOTHING),  # PFD
    (0xE33E, 0xE33F, NOTHING),  # STRV, STRVH
    (0xE347, 0xE347, NOTHING),  # BIC
    (0xE350, 0xE350, NOTHING),  # STY
    (0xE355, 0xE355, NOTHING),  # CLY
    (0xE359, 0xE359, NOTHING),  # CY
    (0xE370, 0xE370, NOTHING),  # STHY
    (0xE372, 0xE372, NOTHING),  # STCY
    (0xE379, 0xE379, NOTHING),  # CHY
    (0xE38E, 0xE38E, NOTHING),  # STPQ
    (0xE3C3, 0xE3C3, NOTHING),  # STCH
    (0xE3C7, 0xE3C7, NOTHING),  # STHH
    (0xE3CB, 0xE3CB, NOTHING),  # STFH
    (0xE3CD, 0xE3CD, NOTHING),  # CHF
    (0xE3CF, 0xE3CF, NOTHING),  # CLHF
    (0xE30D, 0xE30D, PAIR),  # DSG
    (0xE31D, 0xE31D, PAIR),  # DSGF
    (0xE35C, 0xE35C, PAIR),  # MFY
    (0xE384, 0xE384, PAIR),  # MG
    (0xE386, 0xE387, PAIR),  # MLG, DLG
    (0xE38F, 0xE38F, PAIR),  # LPQ
    (0xE396, 0xE397, PAIR),  # ML, DL
    (0xE500, 0xE5FF, NOTHING),
    (0xE600, 0xE8FF, FLOATING),  # vectors, whose first halves these are
    (0xE721, 0xE721, FIRST),  # VLGV
    (0xE900, 0xE9FF, NOTHING),
    (0xEB00, 0xEBFF, FIRST),
    (0xEB04, 0xEB04, RANGE),  # LMG
    (0xEB20, 0xEB2D, NOTHING),  # CLMH, CLMY, STMG, STCTG, STMH, STCMH, STCMY
    (0xEB2F, 0xEB2F, NOTHING),  # LCTLG
    (0xEB31, 0xEB31, PAIR),  # CDSY
    (0xEB3E, 0xEB3E, PAIR),  # CDSG
    (0xEB50, 0xEB7F, NOTHING),  # immediates and storage
    (0xEB8E, 0xEB8F, PAIRS),  # MVCLU, CLCLU
    (0xEB90, 0xEB90, NOTHING),  # STMY
    (0xEB96, 0xEB96, RANGE),  # LMH
    (0xEB98, 0xEB98, RANGE),  # LMY
    (0xEB9A, 0xEB9B, NOTHING),  # LAMY, STAMY
    (0xEBE1, 0xEBE1, NOTHING),  # STOCFH
    (0xEBE3, 0xEBE3, NOTHING),  # STOCG
    (0xEBF3, 0xEBF3, NOTHING),  # STOC
    (0xEC00, 0xECFF, FIRST),
    (0xEC64, 0xEC65, NOTHING),  # CGRJ, CLGRJ
    (0xEC70, 0xEC7F, NOTHING),  # compare and trap or branch
    (0xECE4, 0xECE5, NOTHING),  # CGRB, CLGRB
    (0xECF6, 0xECFF, NOTHING),  # compare and branch
    (0xED00, 0xEDFF, FLOATING),
    (0xEE00, 0xEEFF, NOTHING),  # PLO
    (0xEF00, 0xEFFF, RANGE),  # LMD
)


@cache
def kinds() -> NDArray[np.uint8]:
    """What each operation code writes; 65,536 bytes."""
    table = np.full(1 << 16, FIRST, np.uint8)
    for first, last, kind in _GROUPS:
        table[first : last + 1] = kind
    return table


def written_registers(words: Words) -> NDArray[np.uint32]:
    """The set of registers that each instruction writes: bit r for %r, bit 16 + f for %f."""
    code = opcodes(words)
    kind = kinds()[code]

    def of(*wanted: int) -> NDArray[np.uint32]:
        """All bits where an instruction is of one of these kinds."""
        return np.where(np.isin(kind, wanted), _ALL, np.uint32(0))

    first, third, late, second = (
        np.uint32(1) << field(words, low, 4).astype(np.uint32) for low in (8, 12, 24, 28)
    )
    found = first & of(FIRST, PAIR, PAIRS) | _next(first) & of(PAIR, PAIRS)
    found |= (third | _next(third)) & of(PAIRS)
    found |= late & of(*LATE_KINDS) | _next(late) & of(LATE_PAIR, LATE_PAIRS)
    found |= second & of(LATE_TWO, LATE_PAIRS) | _next(second) & of(LATE_PAIRS)
    number = field(words, 8, 4).astype(np.uint32)
    # The registers from the first to the third, around the end.
    count = field(words, 12, 4).astype(np.uint32) - number & np.uint32(15)
    span = (np.uint32(2) << count) - np.uint32(1) << number
    found |= (span | span >> np.uint32(16)) & np.uint32(0xFFFF) & of(RANGE)
    floating = np.where(code >> 8 == 0xB3, late, first) << np.uint32(e.FLOATING)
    found |= floating & of(FLOATING, LATE_OR_FLOATING)
    # TRT, TRTR, EDMK: %r1 and %r2.
    found[np.isin(code, (0xD000, 0xDD00, 0xDF00))] |= np.uint32(6)
    calls = np.isin(code, (e.BALR, e.BASR, e.BASSM, e.BAL, e.BAS, e.BRAS, e.BRASL, 0x0A00))
    calls &= ((code != e.BALR) & (code != e.BASR)) | (third != 1)
    found[calls] |= _BY_CALL
    return found


def _next(register: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The odd register of each pair whose even one is given, or which is given itself."""
    return register << np.uint32(1) & np.uint32(0xAAAA)
