"""What a family's `bind` returns: native calls, ready for the stream."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class Buffer:
    """Memory of one value at one batch size."""

    address: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements from one position to the next along each dimension."""
        return tuple(prod(self.shape[axis + 1:]) for axis in range(len(self.shape)))


@dataclass(frozen=True)
class Call:
    """`entry(args, begin, end)` for chunks 0 to `chunks`, in any order, by any threads."""

    entry: int
    args: np.ndarray
    chunks: int
    label: str = ""
    flops: int = 0
    """Floating-point operations that contractions really do, the lanes and rows that fill up a tile included."""


def call(entry: int, args: Sequence[int | float], chunks: int, label: str = "", flops: int = 0) -> Call:
    """A call with these arguments; floats travel as the bits of a double."""
    packed = [
        struct.unpack("<q", struct.pack("<d", value))[0] if isinstance(value, float) else int(value) for value in args
    ]
    return Call(entry, np.array(packed, dtype=np.int64), chunks, label, flops)
