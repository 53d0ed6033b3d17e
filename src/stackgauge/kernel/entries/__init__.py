"""Entry points of a kernel: where it begins to run code, as far as its data and symbols tell."""

from __future__ import annotations

from typing import NamedTuple

from stackgauge.image.opening import Image
from stackgauge.kernel.entries.model import Entries, EntryKind, Found, Group, Route, put_together
from stackgauge.kernel.entries.named import software_entries, trap_entries
from stackgauge.kernel.entries.pointers import Contents, Pointers
from stackgauge.kernel.entries.static import static_entries
from stackgauge.kernel.entries.syscalls import system_calls
from stackgauge.kernel.entries.trap_facts import traps_of
from stackgauge.kernel.entries.traps import Traps
from stackgauge.kernel.stacks import Stack, stacks

__all__ = [
    "Entries",
    "EntryKind",
    "Found",
    "Route",
    "Setting",
    "entry_groups",
    "entry_points",
    "setting_of",
]


class Setting(NamedTuple):
    """What a kernel's own and its modules' entry points depend on.

    Attributes:
        traps: what its architecture does where it enters the kernel.
        stacks: the stacks that it has; their sizes are not needed here.
        functions: those of the kernel.
    """

    traps: Traps
    stacks: list[Stack]
    functions: Pointers


def setting_of(kernel: Image, contents: Contents) -> Setting:
    """What the entry points of a kernel and its modules depend on.

    Args:
        kernel: the kernel.
        contents: gives a section's bytes.
    """
    return Setting(traps_of(kernel), stacks(kernel, None), Pointers(kernel, contents))


def entry_points(image: Image, contents: Contents, setting: Setting | None = None) -> Entries:
    """The entry points of a kernel or a module.

    What a kernel registers while it runs (threads, softirqs, timers) is in its code and not here;
    ``calls.entries`` has it as well.

    Args:
        image: the kernel or module.
        contents: gives a section's bytes, relocated where the image is an object.
        setting: of a module, that of its kernel, which tells what stacks there are.

    Returns:
        System calls first; of a kernel without symbols none.
    """
    setting = setting or setting_of(image, contents)
    return put_together(entry_groups(image, contents, setting), setting.functions.as_compiled)


def entry_groups(image: Image, contents: Contents, setting: Setting) -> list[Group]:
    """The same, not yet put together: one function may be there in several ways."""
    traps, found, own = setting.traps, setting.stacks, setting.functions
    if image.elf.relocatable:
        return static_entries(Pointers(image, contents), traps, found)
    return [
        *system_calls(own, Route(traps.pushed, traps.route)),
        *trap_entries(own, traps, found),
        *software_entries(own, traps, found),
        *static_entries(own, traps, found),
    ]
