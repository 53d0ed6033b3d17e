"""Kernels from elsewhere, brought into the cache folder."""
