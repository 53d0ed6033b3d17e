"""QEMU's control socket, as far as it is needed to dump a guest's memory (docs/interop/qmp)."""

from __future__ import annotations

import json
import socket
from io import BufferedRWPair
from pathlib import Path

from stackgauge.errors import StackgaugeError

# Replies are short; QEMU's events come between them.
_LONGEST = 1 << 20


class QmpError(StackgaugeError):
    """QEMU refused a command, or went away."""


def dump_memory(monitor: Path, core: Path, seconds: float) -> None:
    """Dump the guest's memory as an ELF core; it stands still meanwhile.

    Args:
        monitor: QEMU's socket.
        core: the file to write.
        seconds: how long it may take.

    Raises:
        QmpError: it cannot be had.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(monitor))
            with connection.makefile("rwb") as stream:
                _command(stream, "qmp_capabilities")
                _command(stream, "dump-guest-memory", paging=False, protocol=f"file:{core}")
    except (OSError, ValueError) as error:
        raise QmpError(f"QEMU does not dump the guest's memory: {error}") from error


def _command(stream: BufferedRWPair, name: str, **arguments: object) -> None:
    line = json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n"
    stream.write(line)
    stream.flush()
    while answer := stream.readline(_LONGEST):
        said = json.loads(answer)
        if "error" in said:
            raise QmpError(f"QEMU does not dump the guest's memory: {said['error'].get('desc')}")
        if "return" in said:
            return
    raise QmpError("QEMU does not dump the guest's memory: it has ended")
