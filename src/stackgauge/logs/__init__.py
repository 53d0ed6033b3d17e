"""What kernels print about stacks: logs, counters and traces; parsing only."""
