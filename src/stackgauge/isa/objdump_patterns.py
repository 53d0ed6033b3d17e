"""How each architecture's instructions look in ``objdump -d`` text, as far as the stack goes.

Only what moves the stack pointer, copies it, or redirects the flow is described, as data: the
reader in ``evidence/disassembly.py`` is the same for all. The forms are those that GNU objdump
prints, with what llvm-objdump prints differently (``subq $24, %rsp`` for ``sub $0x18,%rsp``)
allowed where a kernel can be built with LLVM. The architectures, and the names they go by, are
those of the kernel's ``scripts/checkstack.pl``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from stackgauge.errors import UsageError


class Motion(IntEnum):
    """What an instruction does to the stack or to the flow.

    A rule's pattern has named groups that say with what: ``n`` a number (shifted left by ``k``,
    negated by ``neg``, its complement taken for ``low``), ``list`` registers, ``reg`` and ``of``
    a register each.
    """

    NONE = 0
    GROW = 1
    """The stack grows by ``n``, by the registers of ``list``, or by the rule's size."""
    SHRINK = 2
    COPY = 3
    """``reg`` = sp + n."""
    MOVE = 4
    """``reg`` = ``of`` + n, where ``of`` may hold a copy of sp."""
    RESTORE = 5
    """sp = ``reg`` + n (+ size)."""
    LINK = 6
    """Push the frame pointer ``reg``, copy sp to it, then sp += n."""
    HOME = 7
    """sp = what it was when the function began."""
    HOME_COPY = 8
    """``reg`` = what sp was when the function began."""
    LIMIT = 9
    """A loop that moves sp compares it with ``reg``, and ends when they are equal."""
    GROW_BY = 10
    """The stack grows by the number in the register ``reg``."""
    SHRINK_BY = 11
    DYNAMIC = 12
    """sp moves by an amount, or to a place, that the text does not tell."""
    ALIGN = 13
    """sp &= n; with ``reg``, sp = reg & n."""
    STOP = 14
    """The flow does not go on."""
    INDIRECT = 15
    """The flow goes to an address that the text does not tell."""
    SWITCH = 16
    """The same, or on to the next instruction."""
    JUMP = 17
    BRANCH = 18
    CALL = 19
    LABEL = 20
    """No instruction: an address that a branch goes to."""


# As a rule's size: one push, as wide as an address.
WORD = -1


@dataclass(frozen=True)
class Rule:
    """One form of instruction: the whole text, mnemonic and operands, must match ``pattern``.

    ``size`` is the bytes moved for each register of ``list``, or altogether; ``register`` the one
    that the instruction uses without naming it.
    """

    motion: Motion
    pattern: str
    size: int = 0
    register: bytes = b""


@dataclass(frozen=True)
class Constant:
    """One form of instruction that writes a number to the register ``reg``.

    ``value`` makes the register's number of the one that it, or the register ``of``, had before
    (which does not matter where the form is ``fresh``) and of the pattern's ``n``.
    """

    pattern: str
    value: Callable[[int, int], int]
    fresh: bool


@dataclass(frozen=True)
class Dialect:
    """One architecture's text. Patterns are for bytes, with lines (``re.MULTILINE``).

    Attributes:
        name: as the kernel's script calls it.
        formats: names of the object formats (``file format ...``) that hold such code.
        motions: finds the instructions that may move the stack pointer, much faster than ``lines``;
            group: the text.
        lines: finds all instructions that matter; groups: address, mnemonic and target of a
            direct branch, text of any other.
        jumps: mnemonics of direct branches that are always taken.
        calls: mnemonics of calls that push a return address.
        traps: finds calls and traps, after which the flow may not go on; group: the address that
            follows (after a delay slot, and after padding).
        pointers: registers, as the rules name them, that are frame pointers where they hold a copy
            of the stack pointer: it is from when the frame was not larger than later.
        rules: tried in order on an instruction's text; without a match it does not matter.
        constants: how a number gets into a register.
        grows_up: the stack grows to higher addresses.
        base: of a number without prefix.
        word: bytes that a call pushes and a rule's WORD moves; 0 is the size of an address.
        pushes_return: the call instruction pushes the return address.
        alignment: the least that the stack pointer is a multiple of; 0 is the size of an address.
        slots: instructions (their text) with a delay slot that is executed in any case.
        likely: those with a slot that is executed only where the branch is taken.
        destination_last: an instruction's last operand is what it writes, not its first.
    """

    name: str
    formats: str
    motions: str
    lines: str
    jumps: str
    calls: str
    traps: str
    pointers: str
    rules: tuple[Rule, ...]
    constants: tuple[Constant, ...]
    grows_up: bool
    base: int
    word: int
    pushes_return: bool
    alignment: int
    slots: str | None
    likely: str | None
    destination_last: bool


_PADDING = r"(?:data16 |cs )*nop|xchg +%ax,%ax|int3|lea +(?:0x0)?\(%e?[sd]i,|\.\.\."
# What may follow the operands: a comment, in the way of each architecture.
_END = r"\s*(?:(?:[#;@!<]|//).*)?"
_NUMBER = r"(?P<n>-?(?:0x)?[0-9a-f]+)"
# Matches nothing.
_NEVER = r"(?!)"

_RuleRow = tuple[Motion, str] | tuple[Motion, str, int] | tuple[Motion, str, int, bytes]


def _dialect(
    name: str,
    formats: str,
    *rules: _RuleRow,
    motions: str,
    copies: str = _NEVER,
    branches: str = _NEVER,
    stops: str = _NEVER,
    jumps: str = _NEVER,
    calls: str = _NEVER,
    traps: str = _NEVER,
    pointers: str = _NEVER,
    constants: tuple[Constant, ...] = (),
    slots: str | None = None,
    likely: str | None = None,
    target: str = r"[\t ]++(?:[^\n<]*[\t ,])?(?:0x)?([0-9a-f]++)(?=[ \n]|$)",
    bundle: str = "",
    opcode: str = "",
    grows_up: bool = False,
    base: int = 10,
    word: int = 0,
    pushes_return: bool = False,
    alignment: int = 0,
    destination_last: bool = False,
) -> Dialect:
    """A dialect of patterns.

    A line is ``  c0:<tab>48 89 e7 <tab>mov    %rsp,%rdi``, where the bytes may be missing.
    """
    # "400" keeps what is tried on an instruction short, whatever the line is.
    motion = rf"(?:{motions})[^\n]{{0,400}}"
    other = rf"(?:{stops}|{copies})[^\n]{{0,400}}"
    slot = "" if slots is None else r"\n[^\n]*"
    # A line of padding, or of an instruction's further bytes.
    padding = rf"\n(?:[^\t\n]*\t(?:[0-9a-f ]*\n|(?:[0-9a-f ]*\t)?(?:{_PADDING})[^\n]*\n))*+"
    # These mnemonics read like an instruction's bytes.
    opcode = rf"(?:(?!(?:add|adc|bc?c?)\t){opcode}[0-9a-f ]++\t)?+"
    address = rf"\n *([0-9a-f]++):[\t ]{opcode}{bundle}"
    return Dialect(
        name=name,
        formats=formats,
        motions=rf"\t{bundle}({motion})",
        lines=rf"{address}(?:({branches}){target}|({motion}|{other}))",
        jumps=jumps,
        calls=calls,
        traps=rf"\t{bundle}(?:{traps})\b[^\n]*{slot}{padding} *([0-9a-f]++):",
        pointers=pointers,
        rules=tuple(Rule(row[0], row[1] + _END, *row[2:]) for row in rules),
        constants=constants,
        grows_up=grows_up,
        base=base,
        word=word,
        pushes_return=pushes_return,
        alignment=alignment,
        slots=slots,
        likely=likely,
        destination_last=destination_last,
    )


def _constant(pattern: str, value: Callable[[int, int], int], *, fresh: bool = False) -> Constant:
    return Constant(pattern + _END, value, fresh)


def _load(pattern: str, shift: int = 0) -> Constant:
    return _constant(pattern, lambda _, n: n << shift, fresh=True)


def _or(pattern: str) -> Constant:
    return _constant(pattern, lambda old, n: old | n)


def _plus(pattern: str) -> Constant:
    return _constant(pattern, lambda old, n: old + n)


M = Motion

# Prefixes that objdump prints before an x86 mnemonic.
_X86_PREFIX = r"(?:bnd|notrack|rep[a-z]*|[c-gs]s|data16|rex[.A-Z]*) "
# Tells quickly that there is no prefix, which is nearly always so.
_X86_PREFIXED = rf"(?=[bnrc-gs][\w.]*+ [a-z])(?:{_X86_PREFIX})++"
_X86_IMMEDIATE = rf"\${_NUMBER}"
_X86_SP = r"%[er]sp"
_X86_REG = r"%[er](?P<reg>\w+)"
_X86 = _dialect(
    "x86_64",
    r"(?:elf(?:32|64)|pei?|pe-bigobj)-(?:x86-64|i386)(?:-freebsd|-sol2)?",
    (M.GROW, r"push[lq]?(?:f[lq]?)?(?:\s.*)?", WORD),
    (M.GROW, r"pushw\s.*", 2),
    (M.GROW, r"pusha[lw]?", 32),
    (M.DYNAMIC, rf"pop[lq]?\s+{_X86_SP}"),
    (M.SHRINK, r"pop[lq]?(?:f[lq]?)?(?:\s.*)?", WORD),
    (M.SHRINK, r"popw\s.*", 2),
    (M.SHRINK, r"popa[lw]?", 32),
    (M.GROW, rf"sub[lq]?\s+{_X86_IMMEDIATE},\s*{_X86_SP}"),
    (M.SHRINK, rf"add[lq]?\s+{_X86_IMMEDIATE},\s*{_X86_SP}"),
    (M.ALIGN, rf"and[lq]?\s+{_X86_IMMEDIATE},\s*{_X86_SP}"),
    (M.GROW_BY, rf"sub[lq]?\s+{_X86_REG},\s*{_X86_SP}"),
    (M.SHRINK_BY, rf"add[lq]?\s+{_X86_REG},\s*{_X86_SP}"),
    (M.LIMIT, rf"cmp[lq]?\s+{_X86_REG},\s*{_X86_SP}"),
    (M.LIMIT, rf"cmp[lq]?\s+{_X86_SP},\s*{_X86_REG}"),
    (M.NONE, r"cmp.*"),
    (M.SHRINK, rf"lea[lq]?\s+{_NUMBER}?\({_X86_SP}\),\s*{_X86_SP}"),
    (M.COPY, rf"lea[lq]?\s+{_NUMBER}?\({_X86_SP}\),\s*{_X86_REG}"),
    (M.RESTORE, rf"lea[lq]?\s+{_NUMBER}?\({_X86_REG}\),\s*{_X86_SP}"),
    (M.COPY, rf"mov[lq]?\s+{_X86_SP},\s*{_X86_REG}"),
    (M.RESTORE, rf"mov[lq]?\s+{_X86_REG},\s*{_X86_SP}"),
    (M.RESTORE, r"leave[lq]?", WORD, b"bp"),
    (M.LINK, rf"enter[lq]?\s+{_X86_IMMEDIATE},\s*\$0(?:x0)?(?P<neg>)", 0, b"bp"),
    (M.STOP, rf"(?:{_X86_PREFIX})*(?:l?ret|(?P<reg>iret|sysret|sysexit)).*"),
    (M.INDIRECT, r".*jmp.*"),
    (M.DYNAMIC, rf".*[\s,]{_X86_SP}"),
    branches=r"j[a-z]++(?:,p[nt])?|loop[a-z]*|call[lq]?(?=[^\n<]*<[^\n>]*\+0x)"
    rf"|{_X86_PREFIXED}j[a-z]++",
    jumps=rf"(?:{_X86_PREFIX})*jmp[lq]?",
    calls=r"call[lq]?",
    traps=r"call[lq]?|ud2|ud1",
    pointers=r"bp",
    target=r"[\t ]++(?:0x)?([0-9a-f]++)(?=[ \n]|$)",
    stops=r"l?ret|iret|sysret|sysexit|l?jmp[lq]?[\t ]++\*"
    rf"|{_X86_PREFIXED}(?:ret|jmp[lq]?[\t ]++\*)",
    motions=r"push|pop(?!cnt)|leave|enter|(?:sub|add|lea|and|or|xchg|cmp|mov)[lq]?[\t ]++"
    rf"[^\n,(]*+(?:\([^\n)]*+\))?,[\t ]*{_X86_SP}\b",
    copies=rf"mov[lq]?[\t ]++{_X86_SP},[\t ]*%|lea[lq]?[\t ]++[-0-9a-fx]*\({_X86_SP}\),"
    rf"|cmp[lq]?[\t ]++{_X86_SP},",
    constants=(_load(rf"mov(?:[lq]|absq?)?\s+{_X86_IMMEDIATE},\s*{_X86_REG}"),),
    pushes_return=True,
    destination_last=True,
)

_ARM64_REG = r"[wx](?P<reg>\d+)"
_ARM64_N = rf"#{_NUMBER}(?:, lsl #(?P<k>\d+))?"
_ARM64 = _dialect(
    "arm64",
    r"elf64-(?:little|big)aarch64|pei-aarch64-little",
    (M.SHRINK, rf"(?:ld|st)\w+\s.*\[sp, #{_NUMBER}\]!"),
    (M.SHRINK, rf"(?:ld|st)\w+\s.*\[sp\], #{_NUMBER}"),
    (M.GROW, rf"sub\s+sp, sp, {_ARM64_N}"),
    (M.SHRINK, rf"add\s+sp, sp, {_ARM64_N}"),
    (M.GROW_BY, rf"sub\s+sp, sp, {_ARM64_REG}"),
    (M.SHRINK_BY, rf"add\s+sp, sp, {_ARM64_REG}"),
    (M.COPY, rf"mov\s+{_ARM64_REG}, sp"),
    (M.COPY, rf"(?:add|(?P<neg>sub))\s+{_ARM64_REG}, sp, {_ARM64_N}"),
    (M.RESTORE, rf"mov\s+sp, {_ARM64_REG}"),
    (M.RESTORE, rf"(?:add|(?P<neg>sub))\s+sp, {_ARM64_REG}, {_ARM64_N}"),
    (M.ALIGN, rf"and\s+sp, {_ARM64_REG}, #{_NUMBER}"),
    (M.LIMIT, rf"cmp\s+sp, {_ARM64_REG}"),
    (M.NONE, r"(?:cm[np]|tst)\s.*"),
    # Signs the return address with the stack pointer, which is the entry's where it is verified.
    (M.HOME, r"paci[ab]sp"),
    (M.DYNAMIC, r"\w+\s+sp,.*"),
    (M.STOP, r"(?:ret|eret)\w*(?:\s.*)?"),
    (M.INDIRECT, r"bra?[a-z]*\s+x.*"),
    branches=r"b(?:c?\.[a-z]+)?|cbn?z|tbn?z",
    jumps=r"b",
    traps=r"blr?[a-z]*|brk|udf",
    pointers=r"29",
    stops=r"e?ret|bra?[abz]*\tx",
    copies=r"(?:add|sub|mov)\tx\d+, sp\b",
    motions=r"[a-z]++\tsp,|paci[ab]sp|(?:ld|st)[a-z0-9]*\t[^\n\[]*+\[sp(?:\], #|, #-?\d+\]!)",
    constants=(
        _load(rf"movz?\s+{_ARM64_REG}, {_ARM64_N}"),
        _or(rf"movk\s+{_ARM64_REG}, {_ARM64_N}"),
    ),
    alignment=16,
)

_ARM_IF = r"(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo)"
_ARM_LDM = r"(?:pop|ldm(?:fd|ia|ib|da|db|ea)?)"
_ARM_UP = r"(?:pop(?:\.w)?\s+|ldm(?:fd|ia)?(?:\.w)?\s+sp!, )"
_ARM_DOWN = rf"(?:push{_ARM_IF}?(?:\.w)?\s+|stm(?:fd|db){_ARM_IF}?(?:\.w)?\s+sp!, )"
_ARM_VUP = r"(?:f|v)(?:pop(?:\.\d+)?\s+|ldm[a-z]*\s+sp!, )"
_ARM_VDOWN = r"(?:f|v)(?:push(?:\.\d+)?\s+|stm[a-z]*\s+sp!, )"
_ARM_FP = r"(?:ip|fp|r7|r11|r12)"
_ARM = _dialect(
    "arm",
    r"elf32-(?:little|big)arm(?:-fdpic)?",
    # An instruction on a condition that ends the function leaves the other path as it was.
    (M.STOP, rf"{_ARM_UP}\{{(?P<list>[^}}]*\bpc)\}}", 4),
    (M.STOP, rf"{_ARM_LDM}(?:\.w)?\s+(?P<reg>sp), \{{.*\bpc\}}"),
    (M.STOP, rf"{_ARM_LDM}(?:\.w)?\s.*\{{.*\bpc\}}.*"),
    (M.NONE, rf"{_ARM_LDM}{_ARM_IF}(?:\.w)?\s.*"),
    (M.GROW, rf"{_ARM_DOWN}\{{(?P<list>[^}}]*)\}}", 4),
    (M.SHRINK, rf"{_ARM_UP}\{{(?P<list>[^}}]*)\}}", 4),
    (M.GROW, rf"{_ARM_VDOWN}\{{(?P<list>d[^}}]*)\}}", 8),
    (M.SHRINK, rf"{_ARM_VUP}\{{(?P<list>d[^}}]*)\}}", 8),
    (M.GROW, rf"{_ARM_VDOWN}\{{(?P<list>s[^}}]*)\}}", 4),
    (M.SHRINK, rf"{_ARM_VUP}\{{(?P<list>s[^}}]*)\}}", 4),
    (M.GROW, r"srsdb\s+sp!, .*", 8),
    (M.HOME, rf"{_ARM_LDM}\s+sp, \{{.*\bsp\b.*\}}"),
    (M.STOP, rf"ldr(?:\.w)?\s+pc, \[sp\], #{_NUMBER}"),
    (M.STOP, r"(?:bx|mov(?:s|\.w)?)\s+(?:pc, )?lr"),
    (M.STOP, r"(?:subs|rfe\w*|eret)\s.*"),
    (M.NONE, rf"bx{_ARM_IF}\s.*"),
    (M.SWITCH, rf"(?:ldr|add|sub|mov){_ARM_IF}(?:\.w)?\s+pc, .*"),
    (M.INDIRECT, r"(?:bx|tb[bh])\s.*|(?:ldr|add|sub|mov)s?(?:\.w)?\s+pc, .*"),
    (M.SHRINK, rf"(?:ld|st)r\w*(?:\.w)?\s.*\[sp, #{_NUMBER}\]!"),
    (M.SHRINK, rf"(?:ld|st)r\w*(?:\.w)?\s.*\[sp\], #{_NUMBER}"),
    (M.GROW, rf"sub(?:w|{_ARM_IF})?(?:\.w)?\s+sp, (?:sp, )?#{_NUMBER}"),
    (M.NONE, rf"add{_ARM_IF}\s+sp, .*"),
    (M.SHRINK, rf"addw?(?:\.w)?\s+sp, (?:sp, )?#{_NUMBER}"),
    (M.GROW_BY, r"sub(?:\.w)?\s+sp, (?:sp, )?(?P<reg>\w+)"),
    (M.SHRINK_BY, r"add(?:\.w)?\s+sp, (?:sp, )?(?P<reg>\w+)"),
    (M.ALIGN, rf"bic(?:\.w)?\s+sp, (?:sp, |(?P<reg>\w+), )#(?P<low>)(?:{_NUMBER})"),
    (M.COPY, r"mov(?:\.w)?\s+(?P<reg>\w+), sp"),
    (M.COPY, rf"(?:add|(?P<neg>sub))w?(?:\.w)?\s+(?P<reg>\w+), sp, #{_NUMBER}"),
    (M.RESTORE, r"mov(?:\.w)?\s+sp, (?P<reg>\w+)"),
    (M.RESTORE, rf"(?:add|(?P<neg>sub))w?(?:\.w)?\s+sp, (?P<reg>\w+), #{_NUMBER}"),
    (M.MOVE, rf"(?:add|(?P<neg>sub))[sw]?(?:\.w)?\s+(?P<reg>{_ARM_FP}), #{_NUMBER}"),
    (M.MOVE, rf"(?:add|(?P<neg>sub))[sw]?(?:\.w)?\s+(?P<reg>\w+), (?P<of>{_ARM_FP}), #{_NUMBER}"),
    (M.DYNAMIC, r"(?!st|ldm|cm|ts|te)\w+(?:\.w)?\s+sp, .*"),
    branches=rf"b{_ARM_IF}?(?:\.[nw])?|cbn?z",
    jumps=r"b(?:\.[nw])?",
    traps=rf"blx?{_ARM_IF}?|udf",
    pointers=r"fp|r7|r11",
    stops=rf"rfe|eret|bx{_ARM_IF}?\t|tb[bh]\t|(?:ldr|add|sub|mov)[a-z.]*\tpc,",
    copies=rf"(?:add|sub|mov)[a-z.]*\t(?:\w+, (?:sp\b|{_ARM_FP}, #)|{_ARM_FP}, #)",
    # The profiler's entry pops what is pushed for it, so both are read as one that moves nothing;
    # the bytes are the profiler's own.
    motions=r"push\t\{lr\}[^\n]*\n[^\n]*\tbl\t[0-9a-f]++ <(?:__gnu_mcount_nc|ftrace_caller)>"
    r"|[a-z.]++\tsp\b|[fv]?(?:push|pop)|(?:ld|st)r[a-z.]*\t[^\n\[]*+\[sp(?:\], #|, #-?\d+\]!)",
    constants=(
        _load(rf"movw?s?(?:\.w)?\s+(?P<reg>\w+), #{_NUMBER}"),
        _constant(rf"movt\s+(?P<reg>\w+), #{_NUMBER}", lambda old, n: old & 0xFFFF | n << 16),
        _constant(rf"mvn\s+(?P<reg>\w+), #{_NUMBER}", lambda _, n: ~n, fresh=True),
        _or(rf"orr\s+(?P<reg>\w+), (?P<of>\w+), #{_NUMBER}"),
        _plus(rf"add\s+(?P<reg>\w+), (?P<of>\w+), #{_NUMBER}"),
        # The number lies after the code, in a literal pool.
        _load(r"ldr(?:\.w|\.n)?\s+(?P<reg>\w+), \[pc, #-?\d+\]\s+[;@] \(?(?P<at>[0-9a-f]+) <.*"),
    ),
    alignment=4,
)

_M68K_PUSH = r"%sp@-"
_M68K_POP = r"%sp@\+"
_M68K = _dialect(
    "m68k",
    r"elf32-m68k|a\.out-m68k.*",
    (M.LINK, rf"link[wl] (?P<reg>%\w+),#{_NUMBER}"),
    (M.RESTORE, r"unlk (?P<reg>%\w+)", 4),
    (M.GROW, rf"movem[wl] (?P<list>[^,]*),{_M68K_PUSH}", 4),
    (M.SHRINK, rf"movem[wl] {_M68K_POP},(?P<list>.*)", 4),
    (M.GROW, rf"fmovemx (?P<list>[^,]*),{_M68K_PUSH}", 12),
    (M.SHRINK, rf"fmovemx {_M68K_POP},(?P<list>.*)", 12),
    (M.GROW, rf"fmove[xp] .*,{_M68K_PUSH}", 12),
    (M.SHRINK, rf"fmove[xp] {_M68K_POP},.*", 12),
    (M.GROW, rf"fmoved .*,{_M68K_PUSH}", 8),
    (M.SHRINK, rf"fmoved {_M68K_POP},.*", 8),
    (M.GROW, r"pea .*", 4),
    # The stack pointer moves by two for a byte, so that it stays even.
    (M.GROW, rf"(?:\w+[bw]|s[a-z]{{1,2}}|move) .*{_M68K_PUSH}", 2),
    (M.SHRINK, rf"(?:\w+[bw]|move) {_M68K_POP}.*", 2),
    (M.GROW, rf"\w+ .*{_M68K_PUSH}", 4),
    (M.SHRINK, rf"\w+ {_M68K_POP}.*", 4),
    (M.SHRINK, rf"add[aqi]?[wl] #{_NUMBER},%sp"),
    (M.GROW, rf"sub[aqi]?[wl] #{_NUMBER},%sp"),
    (M.SHRINK_BY, r"adda?[wl] (?P<reg>%\w+),%sp"),
    (M.GROW_BY, r"suba?[wl] (?P<reg>%\w+),%sp"),
    # A displacement of over 16 bits is printed in hexadecimal and without a mark; its opcode tells.
    (M.SHRINK, r"4ff7 .*lea %sp@\((?P<hex>)(?P<n>[0-9a-f]+)\),%sp"),
    (M.SHRINK, rf"lea %sp@\({_NUMBER}\),%sp"),
    (M.RESTORE, rf"lea (?P<reg>%\w+)@\({_NUMBER}\),%sp"),
    (M.COPY, rf"lea %sp@\({_NUMBER}\),(?P<reg>%\w+)"),
    (M.COPY, r"movea?l %sp,(?P<reg>%\w+)"),
    (M.RESTORE, r"movea?l (?P<reg>%\w+),%sp"),
    (M.STOP, r"rt[sedr].*"),
    (M.INDIRECT, r"jmp %.*"),
    (M.DYNAMIC, r"(?!cmp|tst)\w+ .*,%sp"),
    branches=r"b(?!sr|f|set|clr|chg|tst|kpt)[a-z]+|db[a-z]+|jmp|fb[a-z]+|fdb[a-z]+"
    r"|bsr[swl]?(?=[^\n<]*<[^\n>]*\+0x)",
    jumps=r"bra[swl]?|jmp",
    calls=r"bsr[swl]?",
    traps=r"jsr|bsr[swl]?|trap|illegal",
    pointers=r"%fp",
    stops=r"rt[sedr]|jmp %",
    motions=rf"link|unlk|pea|4ff7 [^\n]*\blea %sp|\w+ [^\n]*(?:{_M68K_PUSH}|{_M68K_POP})"
    r"|(?:add|sub|move|and|lea|ex)\w* [^\n]*,%sp$",
    copies=r"lea %sp@\([-\w]+\),|movea?l %sp,",
    opcode=r"(?!4ff7)",
    constants=(
        _load(rf"move[alq]*l? #{_NUMBER},(?P<reg>%\w+)"),
        _load(rf"moveq #{_NUMBER},(?P<reg>%\w+)"),
    ),
    word=4,
    pushes_return=True,
    alignment=2,
    destination_last=True,
)

_MIPS_SP = r"\$?sp"
_MIPS_REG = r"(?P<reg>\$?\w+)"
_MIPS_OF = r"(?P<of>\$?\w+)"
_MIPS = _dialect(
    "mips",
    r"elf(?:32|64)-(?:n?trad)?(?:little|big)mips.*|ecoff-(?:little|big)mips",
    (M.SHRINK, rf"d?addiu?\s+{_MIPS_SP},\s?{_MIPS_SP},\s?{_NUMBER}"),
    (M.GROW_BY, rf"d?subu?\s+{_MIPS_SP},\s?{_MIPS_SP},\s?{_MIPS_REG}"),
    (M.SHRINK_BY, rf"d?addu?\s+{_MIPS_SP},\s?{_MIPS_SP},\s?{_MIPS_REG}"),
    (M.COPY, rf"move\s+{_MIPS_REG},\s?{_MIPS_SP}"),
    (M.COPY, rf"d?addiu?\s+{_MIPS_REG},\s?{_MIPS_SP},\s?{_NUMBER}"),
    (M.RESTORE, rf"move\s+{_MIPS_SP},\s?{_MIPS_REG}"),
    (M.RESTORE, rf"d?addiu?\s+{_MIPS_SP},\s?{_MIPS_REG},\s?{_NUMBER}"),
    (M.STOP, r"jrc?(?:\.hb)?\s+\$?ra|d?eretn?c?"),
    (M.INDIRECT, r"(?:jrc?|jic)(?:\.hb)?\s.*"),
    (M.DYNAMIC, rf"(?!s[bhwdcq]|b|t|mt)\w+\s+{_MIPS_SP},.*"),
    branches=r"b(?!al|reak|ad|gezal|ltzal|itswap)[a-z0-9.]*|jc?",
    jumps=r"bc?|jc?",
    traps=r"jal[a-z.]*|bal[a-z]*|break|teq|tne",
    pointers=r"s8|\$fp",
    stops=r"jrc?[.hb]*\t|jic\t|d?eret",
    # The profiler's entry takes back the 8 bytes that the call's delay slot gives it, so both are
    # read as one that moves nothing; the bytes are the profiler's own.
    motions=rf"[a-z]++\t{_MIPS_SP},"
    r"|jal\t[0-9a-f]++ <(?:_mcount|ftrace_caller)>\n[^\n]*\taddiu\tsp,sp,-8$",
    copies=rf"(?:d?addiu|move)\t\$?\w+, ?{_MIPS_SP}\b",
    constants=(
        _load(rf"lui\s+{_MIPS_REG},\s?{_NUMBER}", 16),
        _load(rf"li\s+{_MIPS_REG},\s?{_NUMBER}"),
        _load(rf"d?addiu\s+{_MIPS_REG},\s?\$?zero,\s?{_NUMBER}"),
        _or(rf"ori\s+{_MIPS_REG},\s?{_MIPS_OF},\s?{_NUMBER}"),
        _plus(rf"d?addiu\s+{_MIPS_REG},\s?{_MIPS_OF},\s?{_NUMBER}"),
    ),
    alignment=8,
    slots=r"(?:b(?![a-z]*l\b)(?![a-z0-9]*c\b)[a-z0-9.]*|j|jr|jr\.hb)\b",
    likely=r"b(?:ne|eq|nez|eqz|lez|gtz|ltz|gez|c1t|c1f)l\b",
)

_NIOS2 = _dialect(
    "nios2",
    r"elf32-(?:little|big)nios2",
    (M.SHRINK, rf"addi\s+sp,sp,{_NUMBER}"),
    (M.GROW, rf"subi\s+sp,sp,{_NUMBER}"),
    (M.GROW_BY, r"sub\s+sp,sp,(?P<reg>\w+)"),
    (M.SHRINK_BY, r"add\s+sp,sp,(?P<reg>\w+)"),
    (M.COPY, r"mov\s+(?P<reg>\w+),sp"),
    (M.COPY, rf"addi\s+(?P<reg>\w+),sp,{_NUMBER}"),
    (M.RESTORE, r"mov\s+sp,(?P<reg>\w+)"),
    (M.RESTORE, rf"(?:addi|(?P<neg>subi))\s+sp,(?P<reg>\w+),{_NUMBER}"),
    (M.STOP, r"[eb]?ret(?:\s.*)?"),
    (M.INDIRECT, r"jmp\s.*"),
    (M.DYNAMIC, r"(?!st|b)\w+\s+sp,.*"),
    branches=r"b(?:r|(?:eq|ne|ge|lt|gt|le)u?)|jmpi",
    jumps=r"br|jmpi",
    traps=r"callr?|trap|break",
    pointers=r"fp",
    stops=r"[eb]?ret|jmp\t",
    motions=r"[a-z]++\tsp,",
    copies=r"(?:addi|mov)\t\w+,sp\b",
    constants=(
        _load(rf"movhi\s+(?P<reg>\w+),{_NUMBER}", 16),
        _load(rf"mov(?:u?i|i)\s+(?P<reg>\w+),{_NUMBER}"),
        _or(rf"ori\s+(?P<reg>\w+),(?P<of>\w+),{_NUMBER}"),
        _plus(rf"addi\s+(?P<reg>\w+),(?P<of>\w+),{_NUMBER}"),
    ),
    alignment=4,
)

_OPENRISC = _dialect(
    "openrisc",
    r"elf32-or1k",
    (M.SHRINK, rf"l\.addi\s+r1,r1,{_NUMBER}"),
    (M.GROW_BY, r"l\.sub\s+r1,r1,(?P<reg>\w+)"),
    (M.SHRINK_BY, r"l\.add\s+r1,r1,(?P<reg>\w+)"),
    (M.COPY, rf"l\.(?:addi|ori)\s+(?P<reg>\w+),r1,{_NUMBER}"),
    (M.COPY, r"l\.or\s+(?P<reg>\w+),r1,r[01]"),
    (M.RESTORE, rf"l\.(?:addi|ori)\s+r1,(?P<reg>\w+),{_NUMBER}"),
    (M.RESTORE, r"l\.or\s+r1,(?P<reg>r\d+),(?:r0|(?P=reg))"),
    (M.STOP, r"l\.(?:jr\s+r9|rfe)"),
    (M.INDIRECT, r"l\.jr\s.*"),
    (M.DYNAMIC, r"l\.(?!s)\w+\s+r1,.*|l\.s(?:ll|r[la]|ub)i?\s+r1,.*"),
    branches=r"l\.(?:j|bf|bnf)",
    jumps=r"l\.j",
    traps=r"l\.(?:jalr?|trap|sys)",
    pointers=r"r2",
    stops=r"l\.jr |l\.rfe",
    motions=r"l\.[a-z]++ r1,",
    copies=r"l\.(?:addi|ori?) r\d+,r1,",
    constants=(
        _load(rf"l\.movhi\s+(?P<reg>\w+),{_NUMBER}", 16),
        _load(rf"l\.(?:ori|addi)\s+(?P<reg>\w+),r0,{_NUMBER}"),
        _or(rf"l\.ori\s+(?P<reg>\w+),(?P<of>\w+),{_NUMBER}"),
        _plus(rf"l\.addi\s+(?P<reg>\w+),(?P<of>\w+),{_NUMBER}"),
    ),
    alignment=4,
    slots=r"l\.(?:j|jr|bf|bnf)\b",
)

# Numbers are hexadecimal without a mark. A nullified branch (",n") leaves its slot out where it is
# taken, which is how the text reads anyway: the slot's instruction comes after the branch.
_PARISC = _dialect(
    "parisc",
    r"elf(?:32|64)-hppa(?:-linux|-netbsd)?",
    (M.GROW, rf"ldo {_NUMBER}\(sp\),sp"),
    (M.GROW, rf"(?:st[wd]|fst[wd]),m[ab] \w+,{_NUMBER}\(sp\)"),
    (M.GROW, rf"(?:ld[wd]|fld[wd]),m[ab] {_NUMBER}\(sp\),\w+"),
    (M.COPY, rf"addil L%{_NUMBER},sp,(?P<reg>r1)"),
    (M.COPY, rf"ldo {_NUMBER}\(sp\),(?P<reg>\w+)"),
    (M.COPY, r"copy sp,(?P<reg>\w+)"),
    (M.RESTORE, rf"ldo {_NUMBER}\((?P<reg>\w+)\),sp"),
    (M.RESTORE, r"copy (?P<reg>\w+),sp"),
    (M.GROW_BY, r"add,l (?:sp,(?P<reg>\w+)|(?P<reg2>\w+),sp),sp"),
    (M.SHRINK_BY, r"sub sp,(?P<reg>\w+),sp"),
    (M.STOP, r"bve?(?:,n)? (?:r0)?\(rp\)|rfi.*"),
    (M.INDIRECT, r"(?:bve?|blr|be)(?:,n)? .*"),
    (M.DYNAMIC, r"(?!cmp|st|fst|or |bl)\w+[\w,]* .*,sp"),
    branches=r"(?:cmpi?b|addi?b|movi?b|bb|comi?bt?f?)[a-z<>=*,]*|b,l(?:,n)?(?=[^\n]*,r0$)|b(?:,n)?",
    target=r" (?:[^\n<]*[ ,])?([0-9a-f]++)(?=[ \n]|$)",
    jumps=r"b(?:,l)?(?:,n)?|(?:addi?b|movi?b),tr(?:,n)?",
    traps=r"b,l|b,gate|be,l|bve,l|break",
    pointers=r"r3",
    stops=r"bve?(?!,l)[ ,]|blr[ ,]|be(?!,l)[ ,]|rfi",
    motions=r"[a-z,*]++ [-\w]++(?:\(\w+\))?(?:,\w+)?,sp$|f?(?:st|ld)[wd],m[ab] [^\n]*\(sp\)",
    copies=r"ldo [-0-9a-f]+\(sp\),|addil L%[-0-9a-f]+,sp,|copy sp,",
    constants=(
        _load(rf"ldil L%{_NUMBER},(?P<reg>\w+)"),
        _load(rf"ldi {_NUMBER},(?P<reg>\w+)"),
        _plus(rf"ldo {_NUMBER}\((?P<of>\w+)\),(?P<reg>\w+)"),
    ),
    grows_up=True,
    base=16,
    alignment=64,
    slots=r"(?:b(?:,l)?|bve?|blr|be|cmpi?b|addi?b|movi?b|bb)(?!,n)(?:,(?!n )[a-z<>=*]+)* ",
    destination_last=True,
)

# llvm-objdump prints a register without its "r".
_PPC_REG = r"(?P<reg>r?\d+)"
_PPC_OF = r"(?P<of>r?\d+)"
_POWERPC = _dialect(
    "powerpc",
    r"elf(?:32|64)-powerpc(?:le)?(?:-freebsd|-vxworks)?",
    (M.SHRINK, rf"st[wd]u\s+r?\d+,\s?{_NUMBER}\(r?1\)"),
    (M.SHRINK_BY, rf"st[wd]ux\s+r?\d+,\s?r?1,\s?{_PPC_REG}"),
    (M.SHRINK, rf"(?:addi|la)\s+r?1,\s?r?1,\s?{_NUMBER}"),
    (M.SHRINK_BY, rf"add\s+r?1,\s?r?1,\s?{_PPC_REG}"),
    (M.SHRINK_BY, rf"add\s+r?1,\s?{_PPC_REG},\s?r?1"),
    (M.GROW_BY, rf"subf\s+r?1,\s?{_PPC_REG},\s?r?1"),
    (M.HOME, r"l[wd]z?\s+r?1,\s?0\(r?1\)"),
    (M.HOME_COPY, rf"l[wd]z?\s+{_PPC_REG},\s?0\(r?1\)"),
    (M.COPY, rf"mr\s+{_PPC_REG},\s?r?1"),
    (M.COPY, rf"addi\s+{_PPC_REG},\s?r?1,\s?{_NUMBER}"),
    (M.RESTORE, rf"mr\s+r?1,\s?{_PPC_REG}"),
    (M.RESTORE, rf"addi\s+r?1,\s?{_PPC_REG},\s?{_NUMBER}"),
    (M.MOVE, rf"addi\s+{_PPC_REG},\s?(?P<of>r?31),\s?{_NUMBER}"),
    (M.STOP, r"blr|h?rfi?d?|rfscv"),
    (M.INDIRECT, r"bctr"),
    (M.DYNAMIC, r"(?!st|cmp|m?t|b)\w+\s+r?1,.*"),
    branches=r"b(?!l\b|la\b|c?lr|c?ctr|c?ll?a?\b|eq?lrl?\b)[a-z]*[+-]?",
    jumps=r"ba?",
    traps=r"bl|bla|bctrl|blrl|tw[a-z]*|td[a-z]*|trap",
    pointers=r"r?31",
    stops=r"blr[\t ]*$|h?rfi?d?[\t ]*$|bctr[\t ]*$",
    motions=r"[a-z]++[\t ]++r?1,|st[wd]ux?[\t ]++r?\d+,[\t ]?(?:r?1,|-?\d+\(r?1\))",
    copies=r"l[wd]z?[\t ]++r?\d+,[\t ]?0\(r?1\)|mr[\t ]++r?\d+,[\t ]?r?1[\t ]*$"
    r"|addi[\t ]++r?\d+,[\t ]?(?:r?1|r?31),",
    constants=(
        _load(rf"lis\s+{_PPC_REG},\s?{_NUMBER}", 16),
        _load(rf"li\s+{_PPC_REG},\s?{_NUMBER}"),
        _or(rf"ori\s+{_PPC_REG},\s?{_PPC_OF},\s?{_NUMBER}"),
        _plus(rf"addi\s+{_PPC_REG},\s?{_PPC_OF},\s?{_NUMBER}"),
        _constant(rf"addis\s+{_PPC_REG},\s?{_PPC_OF},\s?{_NUMBER}", lambda old, n: old + (n << 16)),
    ),
    alignment=16,
)

_S390_REG = r"(?P<reg>%r\d+)"
_S390 = _dialect(
    "s390x",
    r"elf(?:32|64)-s390",
    (M.SHRINK, rf"la[ye]?\s+%r15,\s?{_NUMBER}\(%r15\)"),
    (M.SHRINK, rf"a[gh]*[hf]i\s+%r15,\s?{_NUMBER}"),
    (M.GROW, rf"slg?fi\s+%r15,\s?{_NUMBER}"),
    (M.GROW_BY, rf"sl?g?r\s+%r15,\s?{_S390_REG}"),
    (M.SHRINK_BY, rf"al?g?r\s+%r15,\s?{_S390_REG}"),
    (M.HOME, r"lmg?\s+%r\d+,\s?%r15,.*"),
    # From where the function's beginning put it, as far as it goes by the stack pointer.
    (M.HOME, r"lg?\s+%r15,\s?\d+\(%r15\)"),
    (M.COPY, rf"lg?r\s+{_S390_REG},\s?%r15"),
    (M.COPY, rf"lay?\s+{_S390_REG},\s?{_NUMBER}\(%r15\)"),
    (M.RESTORE, rf"lg?r\s+%r15,\s?{_S390_REG}"),
    (M.RESTORE, rf"lay?\s+%r15,\s?{_NUMBER}\({_S390_REG}\)"),
    (M.STOP, r"br\s+%r14|lpswe?y?\s.*"),
    (M.INDIRECT, r"br\s.*"),
    (M.DYNAMIC, r"(?!c|st|t|j|b)\w+\s+%r15,.*"),
    branches=r"j[a-z]*|br[cx][a-z]*|c[a-z]*j[a-z]*",
    jumps=r"jg?",
    traps=r"bras|brasl|basr|bas|jas|jasl|.long",
    pointers=r"%r11",
    stops=r"br\t|lpsw",
    motions=r"[a-z]++\t%r15,|lmg?\t%r\d+, ?%r15,",
    copies=r"lg?r\t%r\d+, ?%r15[\t ]*$|lay?\t%r\d+, ?-?\d+\(%r15\)",
    constants=(
        _load(rf"l(?:g?h|gf)i\s+{_S390_REG},\s?{_NUMBER}"),
        _load(rf"(?:iilf|llilf|llill)\s+{_S390_REG},\s?{_NUMBER}"),
        _load(rf"llilh\s+{_S390_REG},\s?{_NUMBER}", 16),
    ),
    alignment=8,
)

_SPARC = _dialect(
    "sparc",
    r"elf(?:32|64)-sparc(?:-freebsd|-sol2)?",
    (M.SHRINK, rf"save\s+%sp, {_NUMBER}, %sp"),
    (M.SHRINK_BY, r"save\s+%sp, (?P<reg>%\w+), %sp"),
    (M.SHRINK, rf"add\s+%sp, {_NUMBER}, %sp"),
    (M.GROW, rf"sub\s+%sp, {_NUMBER}, %sp"),
    (M.SHRINK_BY, r"add\s+%sp, (?P<reg>%\w+), %sp"),
    (M.GROW_BY, r"sub\s+%sp, (?P<reg>%\w+), %sp"),
    (M.HOME, r"restore.*"),
    (M.COPY, r"mov\s+%sp, (?P<reg>%\w+)"),
    (M.COPY, rf"add\s+%sp, {_NUMBER}, (?P<reg>%\w+)"),
    (M.RESTORE, r"mov\s+(?P<reg>%\w+), %sp"),
    (M.RESTORE, rf"(?:add|(?P<neg>sub))\s+(?P<reg>%\w+), {_NUMBER}, %sp"),
    (M.STOP, r"retl?|rett?\s.*|return\s.*|done|retry|jmp\s+%[io]7 .*"),
    (M.INDIRECT, r"jmp\s.*"),
    (M.DYNAMIC, r"(?!cmp|save|st|tst|btst)\w+\s+.*, %sp"),
    branches=r"(?:f?b[a-z]*|br[a-z]+|cb[0-9]*)(?:,[a-z]+)*",
    target=r"[\t ]++(?:[^\n<]*[\t ,])?([0-9a-f]++)(?=[ \n]|$)",
    jumps=r"f?ba?(?:,[a-z]+)*",
    traps=r"call|ta|t[a-z]+",
    stops=r"retl?\b|rett|return|done|retry|jmp",
    motions=r"save|restore|[a-z]++[\t ]++[^\n\[]*, %sp[\t ]*$",
    copies=r"add[\t ]++%sp,[^\n]*,|mov[\t ]++%sp,",
    constants=(
        _load(rf"sethi\s+%hi\({_NUMBER}\), (?P<reg>%\w+)"),
        _load(rf"mov\s+{_NUMBER}, (?P<reg>%\w+)"),
        _or(rf"or\s+(?P<of>%\w+), {_NUMBER}, (?P<reg>%\w+)"),
        _constant(rf"xor\s+(?P<of>%\w+), {_NUMBER}, (?P<reg>%\w+)", lambda old, n: old ^ n),
        _plus(rf"add\s+(?P<of>%\w+), {_NUMBER}, (?P<reg>%\w+)"),
    ),
    alignment=8,
    slots=r"(?!f?ba?,a\b)(?:f?b[a-z]*(?!,a)\b(?!,a)|retl?|rett|return|jmp)\b",
    likely=r"f?b(?!a?,)[a-z]+,a\b",
    destination_last=True,
)

_RISCV = _dialect(
    "riscv",
    r"elf(?:32|64)-(?:little|big)riscv",
    (M.SHRINK, rf"(?:c\.)?addi?(?:16sp)?\s+sp,\s*(?:sp,\s*)?{_NUMBER}"),
    (M.SHRINK_BY, r"(?:c\.)?add\s+sp,\s*(?:sp,\s*)?(?P<reg>\w+)"),
    (M.GROW_BY, r"(?:c\.)?sub\s+sp,\s*sp,\s*(?P<reg>\w+)"),
    (M.COPY, r"(?:mv|c\.mv)\s+(?P<reg>\w+),\s*sp"),
    (M.COPY, rf"(?:addi?|c\.addi4spn)\s+(?P<reg>\w+),\s*sp,\s*{_NUMBER}"),
    (M.RESTORE, r"(?:mv|c\.mv)\s+sp,\s*(?P<reg>\w+)"),
    (M.RESTORE, rf"addi?\s+sp,\s*(?P<reg>\w+),\s*{_NUMBER}"),
    (M.ALIGN, rf"andi?\s+sp,\s*sp,\s*{_NUMBER}"),
    (M.STOP, r"ret|(?:c\.)?jr\s+ra|[msu]ret"),
    (M.INDIRECT, r"(?:c\.)?jr\s.*"),
    (M.DYNAMIC, r"(?!s[bhwdq]\b|(?:c\.)?s[wd]|b|c\.b)[\w.]+\s+sp,.*"),
    branches=r"(?:c\.)?b(?:eq|ne|lt|ge|gt|le)u?z?|(?:c\.)?j",
    jumps=r"(?:c\.)?j",
    traps=r"jalr?|call|ebreak|unimp",
    pointers=r"s0|fp",
    stops=r"ret|(?:c\.)?jr\t|[msu]ret",
    motions=r"[a-z0-9.]++\tsp,",
    copies=r"(?:addi?|mv|c\.addi4spn|c\.mv)\t\w+,[\t ]?sp\b",
    constants=(
        _load(rf"(?:c\.)?lui\s+(?P<reg>\w+),\s*{_NUMBER}", 12),
        _load(rf"(?:c\.)?li\s+(?P<reg>\w+),\s*{_NUMBER}"),
        _plus(rf"addi?w?\s+(?P<reg>\w+),\s*(?P<of>\w+),\s*{_NUMBER}"),
    ),
    alignment=16,
)

_LOONGARCH_REG = r"(?P<reg>\$?\w+)"
_LOONGARCH_SP = r"\$?sp"
_LOONGARCH_N = r"(?P<n>-?(?:0x)?[0-9a-f]+)(?:\(0x[0-9a-f]+\))?"
_LOONGARCH = _dialect(
    "loongarch",
    r"elf(?:32|64)-loongarch|pei-loongarch64",
    (M.SHRINK, rf"addi\.[wd]\s+{_LOONGARCH_SP},\s*{_LOONGARCH_SP},\s*{_LOONGARCH_N}"),
    (M.SHRINK_BY, rf"add\.[wd]\s+{_LOONGARCH_SP},\s*{_LOONGARCH_SP},\s*{_LOONGARCH_REG}"),
    (M.GROW_BY, rf"sub\.[wd]\s+{_LOONGARCH_SP},\s*{_LOONGARCH_SP},\s*{_LOONGARCH_REG}"),
    (M.COPY, rf"(?:move|or)\s+{_LOONGARCH_REG},\s*{_LOONGARCH_SP}(?:,\s*\$?(?:zero|r0))?"),
    (M.COPY, rf"addi\.[wd]\s+{_LOONGARCH_REG},\s*{_LOONGARCH_SP},\s*{_LOONGARCH_N}"),
    (M.RESTORE, rf"(?:move|or)\s+{_LOONGARCH_SP},\s*{_LOONGARCH_REG}(?:,\s*\$?(?:zero|r0))?"),
    (M.RESTORE, rf"addi\.[wd]\s+{_LOONGARCH_SP},\s*{_LOONGARCH_REG},\s*{_LOONGARCH_N}"),
    (M.STOP, r"ret|jr\s+\$?ra|jirl\s+\$?(?:zero|r0),\s*\$?(?:ra|r1),\s*0.*|ertn"),
    (M.INDIRECT, r"jr\s.*|jirl\s+\$?(?:zero|r0),.*"),
    (M.DYNAMIC, rf"(?!st|b)[\w.]+\s+{_LOONGARCH_SP},.*"),
    branches=r"b(?:eqz|nez|eq|ne|lt|ge|ltu|geu|gt|le|gtu|leu|ceqz|cnez|ltz|gez|gtz|lez)?",
    # Operands are distances; the address is in the comment.
    target=r"[\t ][^\n#]*# *(?:0x)?([0-9a-f]++)(?= <|$)",
    jumps=r"b",
    traps=r"bl|jirl|break|syscall",
    pointers=r"\$?fp",
    stops=r"ret\b|jr[\t ]|jirl[\t ]++\$?(?:zero|r0),|ertn",
    motions=r"[a-z0-9.]++[\t ]++\$?sp,",
    copies=r"(?:addi\.[wd]|move|or)[\t ]++\$?\w+,[\t ]*\$?sp\b",
    constants=(
        _load(rf"lu12i\.w\s+{_LOONGARCH_REG},\s*{_LOONGARCH_N}", 12),
        _load(rf"li\.[wd]\s+{_LOONGARCH_REG},\s*{_LOONGARCH_N}"),
        _load(rf"(?:ori|addi\.[wd])\s+{_LOONGARCH_REG},\s*\$?(?:zero|r0),\s*{_LOONGARCH_N}"),
        _or(rf"ori\s+{_LOONGARCH_REG},\s*(?P<of>\$?\w+),\s*{_LOONGARCH_N}"),
        _plus(rf"addi\.[wd]\s+{_LOONGARCH_REG},\s*(?P<of>\$?\w+),\s*{_LOONGARCH_N}"),
        # Writes the upper half of the register, which a stack's size does not reach.
        _constant(rf"lu(?:32i|52i)\.d\s+{_LOONGARCH_REG},.*?{_LOONGARCH_N}", lambda old, _: old),
    ),
    alignment=16,
)

# Of the two that the kernel no longer has, what its script knew of them. The register stack of
# ia64, which grows by hardware, is not counted.
_IA64 = _dialect(
    "ia64",
    r"elf64-ia64-.*",
    (M.SHRINK, rf"(?:adds|addl|add) r12={_NUMBER},r12.*"),
    (M.SHRINK_BY, r"add r12=(?P<reg>r\d+),r12.*"),
    (M.COPY, r"mov (?P<reg>r\d+)=r12.*"),
    (M.RESTORE, r"mov r12=(?P<reg>r\d+).*"),
    (M.DYNAMIC, r"[a-z0-9.]+ r12=.*"),
    (M.STOP, r"(?:br\.ret|rfi).*"),
    (M.INDIRECT, r"br\.(?:cond\.)?(?:sptk|few|many|dptk).* b\d.*"),
    branches=r"(?:\(p\d+\) )?br\.(?!call|ret)[a-z.]+",
    jumps=r"br\.(?:cond\.sptk|few|many|sptk)[a-z.]*",
    target=r" ([0-9a-f]++)(?= <|$|;)",
    traps=r"(?:\(p\d+\) )?br\.call[a-z.]*|break[a-z.]*",
    stops=r"br\.ret|rfi|br\.[a-z.]* b\d",
    motions=r"[a-z0-9.]+ r12=",
    copies=r"mov r\d+=r12\b",
    bundle=r"(?:\[[A-Z]+\])? *",
    constants=(_load(rf"(?:mov|movl|addl|adds) (?P<reg>r\d+)={_NUMBER}(?:,r0)?.*"),),
    alignment=16,
)
_SH64 = _dialect(
    "sh64",
    r"elf(?:32|64)-sh64.*",
    (M.SHRINK, rf"addi(?:\.l)?\s+r15,\s*{_NUMBER},\s*r15"),
    motions=r"addi(?:\.l)?[\t ]++r15,",
    alignment=8,
)

_NAMES = (
    (r"x86(?:_64)?|i[3-6]86|amd64", _X86),
    (r"aarch64|arm64|aarch64_be", _ARM64),
    (r"arm(?:v[4-8].*|eb|el|hf)?", _ARM),
    (r"m68k", _M68K),
    (r"mips.*", _MIPS),
    (r"nios2", _NIOS2),
    (r"openrisc|or1k", _OPENRISC),
    (r"parisc(?:64)?|hppa(?:64)?", _PARISC),
    (r"powerpc.*|ppc.*", _POWERPC),
    (r"s390x?", _S390),
    (r"sparc(?:64)?", _SPARC),
    (r"riscv(?:32|64)?", _RISCV),
    (r"loongarch(?:32|64)?", _LOONGARCH),
    (r"ia64", _IA64),
    (r"sh64", _SH64),
)
DIALECTS = tuple(dialect for _, dialect in _NAMES)


def dialect_of(name: str) -> Dialect:
    """The dialect of an architecture.

    Args:
        name: as the kernel's script takes it, or as ``uname -m`` prints it.

    Raises:
        UsageError: no such architecture is known.
    """
    for pattern, dialect in _NAMES:
        if re.fullmatch(pattern, name):
            return dialect
    known = ", ".join(dialect.name for dialect in DIALECTS)
    raise UsageError(f"checkstack: unknown architecture {name!r} (known: {known})")
