"""The machines that QEMU emulates: what each is started with."""

from __future__ import annotations

from typing import NamedTuple


class Machine(NamedTuple):
    """A machine for the kernels of one architecture.

    Attributes:
        program: QEMU's program for it.
        package: Debian's package that has the program.
        options: what the machine is made of.
        console: the kernel's name of its serial port.
        debian: Debian's name of the architecture.
        vmcoreinfo: whether the device of that name fits (docs/specs/vmcoreinfo.rst of QEMU).
    """

    program: str
    package: str
    options: tuple[str, ...]
    console: str
    debian: str
    vmcoreinfo: bool


# By the kernel's name of the architecture.
MACHINES = {
    "x86_64": Machine("qemu-system-x86_64", "qemu-system-x86", (), "ttyS0", "amd64", True),
    "i386": Machine("qemu-system-i386", "qemu-system-x86", (), "ttyS0", "i386", True),
    "arm64": Machine(
        "qemu-system-aarch64", "qemu-system-arm", ("-M", "virt", "-cpu", "cortex-a57"),
        "ttyAMA0", "arm64", True,
    ),
    "arm": Machine(
        "qemu-system-arm", "qemu-system-arm", ("-M", "virt,highmem=off", "-cpu", "cortex-a15"),
        "ttyAMA0", "armhf", False,
    ),
}  # fmt: skip

# For each: one processor, as two take longer without hardware support; no offsets that change
# from run to run; a log that holds all of sysrq-t; no boot messages on the console.
_COMMAND_LINE = (
    "console={console} quiet panic=-1 log_buf_len=1M randomize_kstack_offset=off nokaslr "
    "oops=panic rdinit=/init"
)


def command(
    machine: Machine, kernel: str, initramfs: str, memory: int, monitor: str, append: str
) -> list[str]:
    """The command that boots a kernel, whose console is standard input and output.

    Args:
        machine: which machine.
        kernel: path of the image.
        initramfs: path of the archive.
        memory: MiB that the guest has.
        monitor: path of the socket for QMP.
        append: more for the kernel's command line.
    """
    line = f"{_COMMAND_LINE.format(console=machine.console)} {append}".strip()
    # QEMU reads a comma in a path as the beginning of an option, and two as one.
    socket = monitor.replace(",", ",,")
    return [
        machine.program, *machine.options, "-m", str(memory), "-smp", "1", "-nodefaults",
        "-display", "none", "-no-reboot", "-serial", "stdio",
        "-qmp", f"unix:{socket},server=on,wait=off",
        *(("-device", "vmcoreinfo") if machine.vmcoreinfo else ()),
        "-kernel", kernel, "-initrd", initramfs, "-append", line,
    ]  # fmt: skip
