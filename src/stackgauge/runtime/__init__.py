"""Kernels at run time: booted in QEMU, and stacks read from a dump of memory."""
