"""z/Architecture instructions, one by one and together."""

from __future__ import annotations

import capstone
import numpy as np
import pytest

from stackgauge.isa.model import NO_AMOUNT, SAVED, Effect, Flow
from stackgauge.isa.s390.encoding import opcode, opcodes
from stackgauge.isa.s390.reader import read_s390
from stackgauge.isa.s390.writes import written_registers
from tests.isa.hex_listing import BASE, effects, flows, steps_of

NOTHING = SAVED - 1


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a7fbff60 aghi %r15,-160", -160),
        ("e3f0ff60ff71 lay %r15,-160(%r15)", -160),
        ("e30ff000f071 lay %r0,..", None),
        ("41f0f0a0 la %r15,160(%r15)", 160),
        ("41ff0008 la %r15,8(%r15,0)", 8),
        ("c2f8fffffff0 agfi %r15,-16", -16),
        ("c2f401312d00 slgfi %r15,20000000", -20000000),
        ("c2fa00000010 algfi %r15,16", 16),
        ("ecfffff000d9 aghik %r15,%r15,-16", -16),
        ("ecff001000db alghsik %r15,%r15,16", 16),
    ],
)
def test_immediates(line: str, value: int | None) -> None:
    expected = [] if value is None else [(0, Effect.ADD, 0, value)]
    assert effects(read_s390, line) == expected


def test_the_save_area() -> None:
    # Where the stack pointer is saved says what its load gives.
    listing = """
        eb6ff0300024 stmg %r6,%r15,48(%r15)
        e3f0ff60ff71 lay %r15,-160(%r15)
        eb6ff0d00004 lmg %r6,%r15,208(%r15)
        07fe         br %r14
    """
    assert effects(read_s390, listing) == [(1, Effect.ADD, 0, -160), (2, Effect.ADD, 0, 160)]
    packed = """
        ebeff0880024 stmg %r14,%r15,136(%r15)
        e3f0ffe8ff71 lay %r15,-24(%r15)
        ebeff0a00004 lmg %r14,%r15,160(%r15)
        07fe         br %r14
        e3f0f0900024 stg %r15,144(%r15)
        a7fbffe8     aghi %r15,-24
        e3f0f0a80004 lg %r15,168(%r15)
        07fe         br %r14
    """
    assert effects(read_s390, packed, (0, 4)) == [
        (1, Effect.ADD, 0, -24), (2, Effect.ADD, 0, 24), (5, Effect.ADD, 0, -24),
        (6, Effect.ADD, 0, 24),
    ]  # fmt: skip
    # A piece that does not save it has it where the others have.
    piece = "e3f0f0a80004 lg %r15,168(%r15)\n07fe br %r14"
    assert effects(read_s390, f"{packed}\n{piece}", (0, 4, 8))[-1] == (8, Effect.ADD, 0, 24)
    assert effects(read_s390, piece) == [(0, Effect.ADD, 0, 48)]


def test_a_load_from_the_frame_pointer() -> None:
    listing = """
        ebbff0580024 stmg %r11,%r15,88(%r15)
        a7fbff58     aghi %r15,-168
        b90400bf     lgr %r11,%r15
        b90900f1     sgr %r15,%r1
        ebbfb1000004 lmg %r11,%r15,256(%r11)
        07fe         br %r14
    """
    assert effects(read_s390, listing) == [
        (1, Effect.ADD, 0, -168), (2, Effect.COPY, 0, 0), (3, Effect.DYNAMIC, 0, NO_AMOUNT),
        # Before the frame pointer's own end.
        (4, Effect.RESTORE, 0, 168), (4, Effect.MOVE, 0, NOTHING << 24),
    ]  # fmt: skip


def test_another_stack() -> None:
    # What is loaded before a call is the top of another stack.
    listing = """
        b90400bf     lgr %r11,%r15
        e3f0f0a00004 lg %r15,160(%r15)
        c0e500000000 brasl %r14,.
        b90400fb     lgr %r15,%r11
        07fe         br %r14
    """
    assert effects(read_s390, listing) == [
        (0, Effect.COPY, 0, 0), (1, Effect.LOST, 0, 0), (3, Effect.RESTORE, 0, 0)
    ]  # fmt: skip


def test_saving_in_a_floating_point_register() -> None:
    listing = """
        b3c1004f ldgr %f4,%r15
        a7fbff60 aghi %r15,-160
        b3cd00f4 lgdr %r15,%f4
    """
    assert effects(read_s390, listing) == [
        (0, Effect.COPY, 1, 0), (1, Effect.ADD, 0, -160), (2, Effect.RESTORE, 1, 0)
    ]  # fmt: skip


def test_amounts_known_at_run_time() -> None:
    # The kernel's random offset: of what is loaded only the lower half is known to be masked.
    listing = """
        58101d00     l %r1,3328(%r1)
        c01b000003ff nilf %r1,1023
        a71b0007     aghi %r1,7
        ec1135bc0055 risbg %r1,%r1,53,188,0
        b90900f1     sgr %r15,%r1
    """
    assert effects(read_s390, listing) == [(4, Effect.DYNAMIC, 0, 1024)]
    without = listing.replace("ec1135bc0055 risbg %r1,%r1,53,188,0", "")
    assert effects(read_s390, without) == [(3, Effect.DYNAMIC, 0, NO_AMOUNT)]
    assert effects(read_s390, "e3f010000009 sg %r15,0(%r1)") == [
        (0, Effect.DYNAMIC, 0, NO_AMOUNT)
    ]  # fmt: skip
    constant = """
        a7191000 lghi %r1,4096
        b90900f1 sgr %r15,%r1
        b90800f1 agr %r15,%r1
        b9e910ff sgrk %r15,%r15,%r1
    """
    assert [row[3] for row in effects(read_s390, constant)] == [-4096, 4096, -4096]


def test_alignment() -> None:
    assert effects(read_s390, "a5f7ffe0 nill %r15,65504") == [(0, Effect.ALIGN, 0, 32)]
    assert effects(read_s390, "ecff00bb0055 risbg %r15,%r15,0,187,0") == [(0, Effect.ALIGN, 0, 16)]


@pytest.mark.parametrize(
    "line",
    [
        "e3f003480004 lg %r15,840",
        "e3f143a00004 lg %r15,928(%r1,%r4)",
        "58f0f000 l %r15,0(%r15)",
        "98eff0a0 lm %r14,%r15,160(%r15)",
        "c0f000000100 larl %r15,.",
        "b90800f5 agr %r15,%r5",
        "1dee dr %r14,%r14",
        "b98600e1 mlgr %r14,%r1",
    ],
)
def test_what_is_lost(line: str) -> None:
    assert effects(read_s390, line) == [(0, Effect.LOST, 0, 0)]


@pytest.mark.parametrize(
    "line",
    [
        "e3f003480024 stg %r15,840",
        "90eff0a0 stm %r14,%r15,160(%r15)",
        "b92100f1 clgr %r15,%r1",
        "b25e001e srst %r1,%r14",
        "b986000e mlgr %r0,%r14",
        "59f01000 c %r15,0(%r1)",
        "e310f0a00004 lg %r1,160(%r15)",
        "b904001f lgr %r1,%r15",
    ],
)
def test_what_leaves_it_alone(line: str) -> None:
    assert effects(read_s390, line) == []


def test_where_control_goes() -> None:
    listing = """
        a7840006     je +12
        a7f40004     j +8
        c0f400000002 jg ..
        07fe         br %r14
        07f1         br %r1
        078e         ber %r14
        0707         nopr %r7
        c00400000009 jgnop
        0de1         basr %r14,%r1
        0d10         basr %r1,%r0
        c0e500000000 brasl %r14,.
        a716fffe     brct %r1,-4
        ec18fffd007c cgije %r1,8,-6
        47f12000     b 0(%r1,%r2)
        af000000     mc 0,0
        a7f40001     j .+2
        a7740001     jne .+2
        b2b2f000     lpswe 0(%r15)
        0101         pr
        0000         illegal
    """
    steps = steps_of(read_s390, listing)
    found = [
        (start, Flow(flow), target)
        for start, flow, target in zip(
            (steps.start - np.uint64(BASE)).tolist(),
            steps.flow.tolist(),
            [target - BASE if target else None for target in steps.target.tolist()],
            strict=True,
        )
    ]
    assert found == [
        (0, Flow.BRANCH, 12), (4, Flow.JUMP, 12), (8, Flow.JUMP, 12), (14, Flow.STOP, None),
        (16, Flow.INDIRECT, None), (28, Flow.CALL, None), (32, Flow.CALL, 32),
        (38, Flow.BRANCH, 34), (42, Flow.BRANCH, 36), (48, Flow.INDIRECT, None),
        (52, Flow.TRAP, None), (56, Flow.TRAP, None), (64, Flow.STOP, None),
        (68, Flow.STOP, None), (70, Flow.STOP, None),
    ]  # fmt: skip


def test_a_return_by_another_register() -> None:
    listing = """
        e340f1100004 lg %r4,272(%r15)
        eb6ff0d00004 lmg %r6,%r15,208(%r15)
        07f4         br %r4
        07f4         br %r4
    """
    assert flows(read_s390, listing) == [(2, Flow.STOP, None), (3, Flow.INDIRECT, None)]


def test_stepping_over_what_is_executed_from_elsewhere() -> None:
    listing = """
        a7150005     bras %r1,+10
        d20010002000 mvc 0(1,%r1),0(%r2)
        44001000     ex %r0,0(%r1)
        a7e50000     bras %r14,.
    """
    assert flows(read_s390, listing) == [(0, Flow.JUMP, 2), (3, Flow.CALL, 3)]


# Instructions of all formats, and the registers that they write.
_WRITES = """
    1812 lr %r1,%r2 : 1
    5c201000 m %r2,0(%r1) : 2 3
    1c45 mr %r4,%r5 : 4 5
    0e24 mvcl %r2,%r4 : 2 3 4 5
    50101000 st %r1,0(%r1) :
    9825f000 lm %r2,%r5,0(%r15) : 2 3 4 5
    98e1f000 lm %r14,%r1,0(%r15) : 14 15 0 1
    eb6ff0300024 stmg %r6,%r15,48(%r15) :
    eb1300040004 lmg %r1,%r3,4 : 1 2 3
    b9040012 lgr %r1,%r2 : 1
    b9200012 cgr %r1,%r2 :
    b9860042 mlgr %r4,%r2 : 4 5
    b25d0024 clst %r2,%r4 : 2 4
    b2220010 ipm %r1 : 1
    b3c10012 ldgr %f1,%r2 : 17
    b3cd0012 lgdr %r1,%f2 : 1
    a7180001 lhi %r1,1 : 1
    a71e0001 chi %r1,1 :
    a7110001 tmll %r1,1 :
    c01100000001 lgfi %r1,1 : 1
    c21d00000001 cfi %r1,1 :
    c41800000000 lgrl %r1,. : 1
    c41b00000000 stgrl %r1,. :
    e31010000004 lg %r1,0(%r1) : 1
    e31010000024 stg %r1,0(%r1) :
    e32010000087 dlg %r2,0(%r1) : 2 3
    ec1200000055 risbg %r1,%r2,0,0,0 : 1
    ec1200000064 cgrj :
    ec12000100d9 aghik %r1,%r2,1 : 1
    dd0010002000 trt : 1 2
    d20010002000 mvc :
    68101000 ld %f1,0(%r1) : 17
    c0e500000000 brasl %r14,. : 0 1 2 3 4 5 14 16 17 18 19 20 21 22 23
    0d10 basr %r1,%r0 : 1
"""


@pytest.mark.parametrize("line", list(filter(None, map(str.strip, _WRITES.splitlines()))))
def test_written_registers(line: str) -> None:
    instruction, registers = line.split(" : ") if " : " in line else (line.rstrip(" :"), "")
    word = int(instruction.split()[0].ljust(12, "0"), 16)
    found = int(written_registers(np.array([word], np.uint64))[0])
    assert [one for one in range(32) if found >> one & 1] == sorted(map(int, registers.split()))


def test_lengths_and_operation_codes_as_capstone_reads_them() -> None:
    random = np.random.default_rng(390)
    engine = capstone.Cs(capstone.CS_ARCH_SYSZ, capstone.CS_MODE_BIG_ENDIAN)
    words = random.integers(0, 1 << 48, 40_000, np.uint64)
    codes = opcodes(words).tolist()
    named: dict[int, str] = {}
    for word, code in zip(words.tolist(), codes, strict=True):
        assert opcode(word) == code
        for _, size, mnemonic, _ in engine.disasm_lite(word.to_bytes(6, "big"), 0, 1):
            assert size == (2, 4, 4, 6)[word >> 46], (hex(word), mnemonic)
            # An operation code stands for one instruction; some have names for conditions.
            first = named.setdefault(code, mnemonic)
            assert first[0] == mnemonic[0], (hex(code), first, mnemonic)
    assert len(named) > 400
