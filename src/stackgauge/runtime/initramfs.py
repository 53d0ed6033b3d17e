"""What a guest boots with: busybox, the scripts beside this file, and modules."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from stackgauge.errors import InputError
from stackgauge.runtime.cpio import Archive

# Modules live in memory twice: packed as files and loaded.
_MOST_MODULES = 128 << 20


@dataclass(frozen=True)
class Guest:
    """What the guest is to do.

    Attributes:
        busybox: a statically linked busybox for its processor.
        modules: to be loaded, each decompressed, by name.
        workload: the user's program, a shell's script or an executable; None for the built-in one.
        trace: whether the stack tracer is on.
        core: whether it stops for its memory to be dumped.
    """

    busybox: bytes
    modules: dict[str, bytes]
    workload: bytes | None
    trace: bool
    core: bool


def write_initramfs(out: BinaryIO, guest: Guest) -> None:
    """Write the archive that the kernel unpacks as its first file system."""
    archive = Archive(out)
    for folder in ("bin", "dev", "proc", "sys", "tmp", "stackgauge"):
        archive.folder(folder)
    # What the kernel opens for the first process, before anything is mounted.
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", guest.busybox, executable=True)
    archive.file("init", _script("init.sh"), executable=True)
    archive.file("stackgauge/workload.sh", _script("workload.sh"))
    settings = f"TRACE={int(guest.trace)}\nCORE={int(guest.core)}\n"
    archive.file("stackgauge/settings", settings.encode())
    if guest.workload is not None:
        archive.file("stackgauge/user", guest.workload, executable=True)
    if guest.modules:
        archive.folder("modules")
        for name, data in sorted(guest.modules.items()):
            archive.file(f"modules/{name}", data)
    archive.end()


def read_modules(folder: Path) -> dict[str, bytes]:
    """All modules below a folder, by name, decompressed.

    Raises:
        InputError: there are none, more than fit, or one cannot be read.
    """
    found: dict[str, bytes] = {}
    total = 0
    for path in sorted(folder.rglob("*.ko*")):
        plain = path.suffix == ".ko"
        data = _read(path) if plain else _decompressed(path)
        total += len(data)
        if total > _MOST_MODULES:
            raise InputError(folder, f"has modules of more than {_MOST_MODULES >> 20} MiB")
        found[path.name if plain else path.stem] = data
    if not found:
        raise InputError(folder, "has no modules (*.ko)")
    return found


def read_file(path: Path, what: str) -> bytes:
    """A file that goes into the guest.

    Raises:
        InputError: it cannot be read or is empty.
    """
    data = _read(path)
    if not data:
        raise InputError(path, f"is empty, not {what}")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error


def _decompressed(path: Path) -> bytes:
    from stackgauge.image.decompress import Budget, compression
    from stackgauge.image.source import map_file

    packed = map_file(path)
    kind = compression(packed)
    if kind is None:
        raise InputError(path, "is compressed in no way that is known")
    return kind.decompress(packed, path, Budget(len(packed))).tobytes()


def _script(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()
