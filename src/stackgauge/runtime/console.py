"""What a guest says on its console: files, steps and signs of trouble."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from dataclasses import dataclass, field

# What init.sh begins its lines with.
_SIGN = b"@@sg "
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")

# A file of a guest may have so many bytes, and all together.
MOST_BYTES = 64 << 20
# Kept of a line.
_LONGEST = 64 << 10

# What a kernel says that does not go on as it should; the first word of each is what it is called.
_TROUBLE = re.compile(
    rb"Kernel panic - not syncing: [^\r\n]{0,200}"
    rb"|(?:BUG: |Oops: |watchdog: BUG: )[^\r\n]{0,200}"
    rb"|Unable to handle kernel [^\r\n]{0,200}"
    rb"|rcu: INFO: \S+ (?:self-)?detected stalls?[^\r\n]{0,100}"
    rb"|INFO: task [^\r\n]{0,100} blocked for more than[^\r\n]{0,50}"
    rb"|Out of memory: Killed process[^\r\n]{0,100}"
    rb"|corrupted stack end detected[^\r\n]{0,100}|kernel stack overflow[^\r\n]{0,100}"
)


def troubles(log: bytes) -> list[str]:
    """Signs of trouble in what a kernel printed, each once, at most ten."""
    found = dict.fromkeys(one[0].decode("utf-8", "replace") for one in _TROUBLE.finditer(log))
    return list(found)[:10]


@dataclass
class Console:
    """Reads what comes, in pieces of any size.

    Attributes:
        step: what the guest is doing.
        files: what it has sent, each whole; one that came damaged is left out.
        damaged: names of those.
        wants_core: the guest waits for its memory to be dumped.
        traceable: the kernel has a stack tracer, as far as is known.
        done: the guest has sent all.
    """

    step: str = "starting"
    files: dict[str, bytes] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    wants_core: bool = False
    traceable: bool = True
    done: bool = False
    _rest: bytes = b""
    _name: str = ""
    _pieces: list[bytes] = field(default_factory=list)
    _held: int = 0

    def take(self, chunk: bytes) -> None:
        """Take what the console printed next."""
        *lines, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[-_LONGEST:]
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        at = line.find(_SIGN)
        if at < 0:
            if self._name and line and self._held + len(line) <= 2 * MOST_BYTES:
                self._pieces.append(line)
                self._held += len(line)
            return
        word, *rest = line[at + len(_SIGN) :].decode("ascii", "replace").split(" ")
        if word == "step":
            self.step = " ".join(rest)[:100]
        elif word == "file" and rest and _NAME.fullmatch(rest[0]):
            self._name, self._pieces = rest[0], []
        elif word == "end" and rest and rest[0] == self._name:
            self._end()
        elif word == "core":
            self.wants_core = True
        elif word == "no-tracer":
            self.traceable = False
        elif word == "done":
            self.done = True

    def _end(self) -> None:
        name, self._name = self._name, ""
        data = _decoded(b"".join(self._pieces))
        if data is None:
            self.damaged.append(name)
        else:
            self.files[name] = data
        self._pieces = []


def _decoded(text: bytes) -> bytes | None:
    """What was sent, or None where it is not whole: gzip has a checksum and the size."""
    try:
        unpacker = zlib.decompressobj(31)
        data = unpacker.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
    except (binascii.Error, zlib.error, ValueError):
        return None
    return data if unpacker.eof else None
