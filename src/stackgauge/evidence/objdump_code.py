"""Instructions of ``objdump -d`` text as acts: what each does to the stack and to the flow."""

from __future__ import annotations

import re
from functools import cached_property

from stackgauge.isa.objdump_patterns import WORD, Constant, Dialect, Motion, Rule

Act = tuple[int, int, bytes, bytes, int]
"""What an instruction does: motion, amount, register, another register, growth.

The motion is one of ``Motion``, with these differences: SHRINK is a GROW by a negative amount, and
GROW_BY and SHRINK_BY are GROW where the register's number is known and DYNAMIC where it is not.
The amount is, of GROW and LINK, the bytes that the stack grows; of COPY, MOVE and RESTORE, the
bytes by which the destination lies deeper than the source; of ALIGN, the most that is lost; of
STOP, the bytes that the stack grows before (it may pop); of a branch, the address it goes to.
Growth is the most by which the instruction can make the frame larger; of BRANCH, the bytes that
the stack grows in its delay slot where it is taken.
"""

LABEL: Act = (Motion.LABEL, 0, b"", b"", 0)
# A stack that moves by more than this is switched, or the bytes are no code.
ABSURD = 1 << 28

# What a pattern's named groups matched.
_Groups = dict[str, bytes | None]

# As plain integers: comparing with a member of the enumeration takes several times as long.
_NONE, _GROW, _GROW_BY, _COPY, _RESTORE, _ALIGN, _HOME, _STOP, _INDIRECT, _BRANCH, _CALL = (
    int(motion)
    for motion in (
        Motion.NONE,
        Motion.GROW,
        Motion.GROW_BY,
        Motion.COPY,
        Motion.RESTORE,
        Motion.ALIGN,
        Motion.HOME,
        Motion.STOP,
        Motion.INDIRECT,
        Motion.BRANCH,
        Motion.CALL,
    )
)

_NOTHING: Act = (Motion.NONE, 0, b"", b"", 0)
_DYNAMIC: Act = (Motion.DYNAMIC, 0, b"", b"", ABSURD)
# A loop that touches what it adds to the stack adds this much or more at a time.
_PAGE = 4096
# How many distinct instruction texts are remembered; a kernel's text has a few thousand.
_REMEMBERED = 1 << 16
# How many lines back a register's number is looked for.
_BACK = 256

_LINE = re.compile(rb" *([0-9a-f]+):[\t ]")
_ADDRESS = re.compile(rb"\n *([0-9a-f]++):[\t ]")
_INSTRUCTION = re.compile(rb" *[0-9a-f]+:[\t ](?:[0-9a-f ]*\t)?(.*)")
_RANGE = re.compile(rb"(\D*)(\d+)-\1(\d+)")
# Of what may write a register the operands.
_OPERANDS = re.compile(
    rb"(?!cm[pn]|tst|test|teq|push|st|s[bhwd]\s|b|j|c[a-z]*j)[a-z][\w.,]*\s+(.*?)\s*(?:[#;@!<].*|//.*)?$"
)
# What pops, or has an operand in memory, but that of an instruction that computes an address.
_LOAD = re.compile(rb"pop|(?!lea|la|ldo|addi)\S+\s.*(?:[(\[]|%\w+@)")
_WORD_OF_DATA = re.compile(rb"\.word\s+(0x[0-9a-f]+)")


class Lines:
    """The lines of one function's text by address; it is split only when first asked."""

    def __init__(self, text: bytes) -> None:
        """Keep the text, whose first line is preceded by a line's end."""
        self.text = text

    @cached_property
    def lines(self) -> list[bytes]:
        """The text's lines."""
        return self.text.split(b"\n")

    @cached_property
    def following(self) -> dict[int, int]:
        """The address after each address; -1 after the last."""
        addresses = [int(address, 16) for address in _ADDRESS.findall(self.text)]
        return dict(zip(addresses, [*addresses[1:], -1], strict=True))

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The number of the line of each address."""
        found: dict[int, int] = {}
        for number, line in enumerate(self.lines):
            if match := _LINE.match(line):
                found.setdefault(int(match[1], 16), number)
        return found

    def before(self, address: int) -> list[bytes]:
        """The lines before an address, the nearest first."""
        number = self.numbers.get(address, 0)
        return self.lines[max(0, number - _BACK) : number][::-1]

    def at(self, address: int) -> bytes:
        """The line of an address; empty where there is none."""
        number = self.numbers.get(address)
        return b"" if number is None else self.lines[number]


class Code:
    """A reader of one architecture's functions.

    Attributes:
        entry: bytes on the stack when a function begins.
        word: bytes that a push and a call move.
    """

    def __init__(self, dialect: Dialect, address_size: int) -> None:
        """Read text of ``dialect`` whose addresses have ``address_size`` bytes."""
        self.word = dialect.word or address_size
        self.entry = self.word if dialect.pushes_return else 0
        self._dialect = dialect
        self._alignment = dialect.alignment or address_size
        self._motions = _compiled(dialect.motions)
        self._lines = _compiled(dialect.lines)
        self._jumps = _compiled(dialect.jumps)
        self._calls = _compiled(dialect.calls)
        self._traps = _compiled(dialect.traps)
        self._pointers = _compiled(dialect.pointers)
        self._slots = None if dialect.slots is None else _compiled(dialect.slots)
        self._likely = None if dialect.likely is None else _compiled(dialect.likely)
        self._rules = [(_compiled(rule.pattern), rule) for rule in dialect.rules]
        self._constants = [(_compiled(form.pattern), form) for form in dialect.constants]
        self._known: dict[bytes, Act] = {}
        self._mnemonics: dict[bytes, tuple[int, bool, bool]] = {}

    def most(self, text: bytes) -> tuple[int, bool]:
        """The most that a function's frame can be, and whether it surely is that.

        The most is the entry's bytes and all that the instructions add. It is the frame where an
        epilogue gives back just that, and nothing was given back before it was added: what nearly
        every function does, whose paths then need not be followed.
        """
        known = self._known
        entry = most = self.entry
        given = largest = times = 0
        simple = True
        whole = False
        for instruction in self._motions.findall(text):
            act = known.get(instruction) or self._remember(instruction)
            motion, amount, register, _, growth = act
            most += growth
            if motion in (_GROW, _STOP) and not register:
                if growth:
                    times += 1
                    simple = simple and not given and not whole
                else:
                    given -= amount
                    largest = max(largest, -amount)
                    if given == most - entry:
                        whole = True
                        given = 0
            elif motion == _HOME:
                # It does not tell how much it gives back. What adds once does so in a loop only to
                # touch page by page.
                whole = whole or (times == 1 and most < entry + _PAGE)
            elif motion not in (_COPY, _NONE):
                simple = False
        if largest > most - entry:  # a loop added it
            return most + ABSURD, False
        return most, simple and whole

    def decode(self, lines: Lines, first: int, last: int) -> dict[int, Act]:
        """Turn a function's lines into acts.

        Args:
            lines: all of its lines.
            first: address of its first instruction.
            last: address of its last instruction.

        Returns:
            By address and not sorted: an act for each instruction that matters, and a LABEL for
            each other address inside the function that a branch goes to.
        """
        known, mnemonics = self._known, self._mnemonics
        slots = self._slots
        acts: dict[int, Act] = {}
        targets = []
        slotted = []
        counted = []
        for place, mnemonic, goal, other in self._lines.findall(lines.text):
            address = int(place, 16)
            if other:
                act = known.get(other) or self._remember(other)
                if act[0] == _GROW_BY:
                    counted.append(address)
                elif self._by_copy(act) and self._is_computed(act[2], address, lines):
                    act = _DYNAMIC
                if act[0] != _NONE:
                    acts[address] = act
                    if slots is not None and slots.match(other):
                        slotted.append((address, False))
                continue
            target = int(goal, 16)
            motion, slot, likely = mnemonics.get(mnemonic) or self._branch(mnemonic)
            # An unconditional branch of a few bytes may be one that is not linked yet.
            if (
                motion != _BRANCH
                and (motion == _CALL or -1 <= target - address <= 16)
                and not self._arrives(motion, address, target, lines)
            ):
                if motion == _CALL:
                    continue
                target = -1
            elif first <= target <= last:
                targets.append(target)
            acts[address] = (motion, target, b"", b"", 0)
            if slot:
                slotted.append((address, likely))
        landings = frozenset(targets)
        for address in counted:
            acts[address] = self._by_register(acts[address], address, lines, landings)
        for target in targets:
            acts.setdefault(target, LABEL)
        for address, likely in slotted:
            _move_slot(acts, address, likely=likely)
        return acts

    def after_traps(self, text: bytes) -> frozenset[int]:
        """Addresses of a function's instructions that follow a call or a trap, padding left out.

        What is called may not return, so the flow may not come to them from there.
        """
        return frozenset(int(address, 16) for address in self._traps.findall(text))

    def _branch(self, mnemonic: bytes) -> tuple[int, bool, bool]:
        """What a direct branch is: its motion, whether it has a slot, and a slot if taken only."""
        motion = Motion.BRANCH
        if self._jumps.fullmatch(mnemonic):
            motion = Motion.JUMP
        elif self._calls.fullmatch(mnemonic):
            motion = Motion.CALL
        likely = self._likely is not None and bool(self._likely.match(mnemonic + b" "))
        slot = self._slots is not None and bool(self._slots.match(mnemonic + b" "))
        self._mnemonics[mnemonic] = (int(motion), slot or likely, likely)
        return self._mnemonics[mnemonic]

    def _arrives(self, motion: int, address: int, target: int, lines: Lines) -> bool:
        """Tell a branch from one whose relocation is not done yet, as in an object file.

        That one goes to the next instruction, to itself, or amid an instruction. A call of the
        next instruction is one where that pops the return address.
        """
        following = lines.following.get(address)
        if motion == Motion.JUMP and self._slots is not None:
            following = lines.following.get(following or 0)
        if target not in lines.following or target == address:
            return False
        if target != following:
            return True
        if motion == Motion.JUMP:
            return False
        popped = self._motions.search(lines.at(target))
        if popped is None or popped[1].startswith((b"add", b"lea")):
            return False
        act = self._remember(popped[1])
        return act[0] == Motion.GROW and act[1] == -self.word

    def _remember(self, text: bytes) -> Act:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        act = _NOTHING
        for pattern, rule in self._rules:
            if match := pattern.fullmatch(text):
                act = self._act(rule, match.groupdict())
                break
        self._known[text] = act
        return act

    def _act(self, rule: Rule, groups: _Groups) -> Act:
        motion = rule.motion
        size = self.word if rule.size == WORD else rule.size
        registers = groups.get("list")
        if registers is not None:
            size *= _count(registers)
        number = self._number(groups)
        register = groups.get("reg") or groups.get("reg2") or rule.register
        if motion == Motion.ALIGN and number & -number != -number:
            # No alignment: assembly computes something else than a stack pointer there.
            return _NOTHING
        if motion == Motion.ALIGN:
            amount = max(0, -number - self._alignment)
        elif motion == Motion.STOP:
            amount = -size - number
        elif motion in (Motion.GROW, Motion.GROW_BY):
            amount = size + number
        elif motion in (Motion.SHRINK, Motion.SHRINK_BY):
            amount = -size - number
        else:
            amount = (size + number) * (1 if self._dialect.grows_up else -1)
        if abs(amount) > ABSURD:
            return _NOTHING if motion in (Motion.COPY, Motion.MOVE) else _DYNAMIC
        growth = max(0, amount)
        if motion == Motion.SHRINK:
            motion = Motion.GROW
        elif motion in (Motion.GROW_BY, Motion.SHRINK_BY):
            amount = 1 if motion == Motion.GROW_BY else -1
            motion = Motion.GROW_BY
            growth = ABSURD
        elif motion == Motion.LINK:
            growth += self.word
        elif motion == Motion.DYNAMIC:
            growth = ABSURD
        elif motion in (Motion.RESTORE, Motion.ALIGN) and register:
            # From anything but a frame pointer it may come to lie deeper than it ever was.
            if not self._pointers.fullmatch(register):
                growth = ABSURD
        elif motion in (Motion.COPY, Motion.MOVE):
            growth = 0
        return (int(motion), amount, register, groups.get("of") or register, growth)

    def _number(self, groups: _Groups) -> int:
        text = groups.get("n")
        if text is None:
            return 0
        number = _integer(text, 16 if "hex" in groups else self._dialect.base)
        # A negative number may be printed as a large one.
        for bits in (8 * self.word, 64):
            if 1 << (bits - 1) <= number < 1 << bits:
                number -= 1 << bits
        shift = groups.get("k")
        if shift is not None:
            number <<= int(shift) & 63
        if groups.get("neg") is not None:
            number = -number
        if groups.get("low") is not None:
            number = ~number
        return number

    def _by_register(self, act: Act, address: int, lines: Lines, landings: frozenset[int]) -> Act:
        """A GROW_BY made a GROW where the instructions before it load a number."""
        number = self._loaded(act[2], address, lines, landings)
        if number is None or abs(number) > ABSURD:
            return _DYNAMIC
        grown = act[1] * number
        return (Motion.GROW, grown, b"", b"", max(0, grown))

    def _loaded(
        self, register: bytes, address: int, lines: Lines, landings: frozenset[int]
    ) -> int | None:
        """The number that the instructions before an address leave in a register.

        They are those that run straight down to it: none that ends the flow, or that a branch
        goes to, comes after.
        """
        steps: list[tuple[Constant, int]] = []
        landed = address in landings
        slot = self._slots is not None
        for line in lines.before(address):
            match = _INSTRUCTION.fullmatch(line)
            if match is None:
                continue
            if landed or (not slot and self._ends(match[1])):
                return None
            # What stands in a delay slot comes before the jump.
            slot = False
            landed = int(line[: line.index(b":")], 16) in landings
            if register not in match[1]:
                continue
            found = self._load(match[1], register)
            if found is None:
                if _names(register).search(match[1]):
                    return None
                continue
            constant, groups = found
            if (place := groups.get("at")) is None:
                number = self._number(groups)
            elif data := _WORD_OF_DATA.search(lines.at(int(place, 16))):
                number = int(data[1], 16)
            else:
                return None
            steps.append((constant, number))
            if constant.fresh:
                value = 0
                for step, operand in reversed(steps):
                    value = step.value(value, operand)
                # Numbers of 32 bits; a stack is never that large.
                value &= 0xFFFFFFFF
                return value - (1 << 32) if value >> 31 else value
            register = groups.get("of") or register
        return None

    def _ends(self, text: bytes) -> bool:
        """Whether the flow does not go on after an instruction."""
        mnemonic = text.split(None, 1)[0] if text.strip() else b""
        if self._jumps.fullmatch(mnemonic):
            return True
        act = self._known.get(text) or self._remember(text)
        return act[0] in (_STOP, _INDIRECT)

    def _by_copy(self, act: Act) -> bool:
        """Whether sp comes from a register that is no frame pointer, so that it may be deeper."""
        return act[0] in (_RESTORE, _ALIGN) and bool(act[2]) and act[4] == ABSURD

    def _is_computed(self, register: bytes, address: int, lines: Lines) -> bool:
        """Whether the last that is done to a register is to compute with it.

        Then it holds no copy of the stack pointer any more, as where clang makes room for an
        array: ``mov %rsp,%r12; sub %rax,%r12; mov %r12,%rsp``. What is loaded is a copy that was
        stored.
        """
        for line in lines.before(address):
            match = _INSTRUCTION.fullmatch(line)
            if match is None or register not in match[1] or not self._writes(match[1], register):
                continue
            act = self._known.get(match[1]) or self._remember(match[1])
            if act[2] == register and act[0] not in (_NONE, _RESTORE, _ALIGN):
                return False
            return _LOAD.match(match[1]) is None
        return False

    def _writes(self, text: bytes, register: bytes) -> bool:
        """Whether a register is an instruction's destination."""
        operands = _OPERANDS.match(text)
        if operands is None:
            return False
        name = _names(register)
        if self._dialect.destination_last:
            return name.search(operands[1].rpartition(b",")[2]) is not None and not operands[
                1
            ].endswith(b")")
        return name.match(operands[1]) is not None

    def _load(self, text: bytes, register: bytes) -> tuple[Constant, _Groups] | None:
        """How an instruction writes a number to a register, if it does."""
        for pattern, constant in self._constants:
            form = pattern.fullmatch(text)
            if form is not None and form["reg"] == register:
                return constant, form.groupdict()
        return None


def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.MULTILINE)


def _move_slot(acts: dict[int, Act], address: int, *, likely: bool) -> None:
    """Let a delay slot's instruction come before its branch, as it does when executed."""
    branch = acts[address]
    slot = acts.get(address + 4)
    if slot is None or slot[0] in _FLOW:
        return
    if not likely:
        acts[address], acts[address + 4] = slot, branch
    elif slot[0] == Motion.GROW:
        acts[address] = (*branch[:4], slot[1])
        acts[address + 4] = LABEL


def _names(register: bytes) -> re.Pattern[bytes]:
    """Finds a register's name, of which some patterns keep what all of its widths share."""
    middle = re.escape(register.lstrip(b"%$"))
    return re.compile(rb"(?<![0-9a-z$#-])[%$]?[erxw]?" + middle + rb"[dwl]?(?![0-9a-z])")


_FLOW = frozenset(range(Motion.STOP, Motion.LABEL + 1))


def _count(registers: bytes) -> int:
    """How many registers a list such as ``r4, r5, lr`` or ``%d2-%d7/%a2`` names."""
    count = 0
    for part in re.split(rb"[,/]\s*", registers):
        span = _RANGE.fullmatch(part)
        count += max(0, int(span[3]) - int(span[2])) + 1 if span else 1
    return count


def _integer(text: bytes, base: int) -> int:
    try:
        return int(text, 0 if b"x" in text else base)
    except ValueError:  # hexadecimal without a mark
        return int(text, 16)
