"""Where the stack pointer is at every instruction, by each kind of evidence, in one table."""
