"""Compute kernels, one file per family. Each family's `bind` turns a kernel request and its buffers into calls."""
