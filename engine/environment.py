"""What the engine takes from environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import CompileError

DEFAULT_CACHE_BYTES = 256 * 2**20
LANES = ("16", "8", "4")


def kernel_cache() -> Path | None:
    """`STOKER_KERNEL_CACHE`, or `stoker/kernels` in the user's cache directory; None for a user without a home."""
    given = os.environ.get("STOKER_KERNEL_CACHE")
    if given:
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(caches or Path.home() / ".cache") / "stoker" / "kernels"
    except RuntimeError:
        return None


def kernel_cache_bytes() -> int:
    """`STOKER_KERNEL_CACHE_BYTES`, by default 256 MiB. Raises CompileError."""
    given = os.environ.get("STOKER_KERNEL_CACHE_BYTES")
    if given is None:
        return DEFAULT_CACHE_BYTES
    if not (given.isascii() and given.isdigit()):
        raise CompileError(f"STOKER_KERNEL_CACHE_BYTES: expected a number of bytes, received {given!r}")
    return int(given)


def kernel_lanes() -> int | None:
    """`STOKER_KERNEL_LANES`: the most float32 in a vector, None for what the processor has. Raises CompileError."""
    given = os.environ.get("STOKER_KERNEL_LANES")
    if given is None:
        return None
    if given not in LANES:
        raise CompileError(f"STOKER_KERNEL_LANES: expected 16, 8 or 4, received {given!r}")
    return int(given)


def check() -> None:
    """Raise CompileError for a variable that a job could not be trained with: servers ask when they start."""
    kernel_cache_bytes()
    kernel_lanes()
