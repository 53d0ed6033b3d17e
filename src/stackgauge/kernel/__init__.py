"""What is known of kernels: identity, configuration, stack sizes, tables of control flow."""
