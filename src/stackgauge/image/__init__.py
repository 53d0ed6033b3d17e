"""What a file says: ELF, symbols, sections as array views, compressed kernels and kallsyms."""
