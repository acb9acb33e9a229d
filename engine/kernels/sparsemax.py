"""Sparsemax of rows: a row is sorted, its threshold found, and subtracted. A chunk is some rows."""

from __future__ import annotations

from math import prod

import numpy as np

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats
from engine.lowering.request import KernelRequest

CHUNK = 1024
"""Elements to aim at in one chunk."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is forward."""
    (x,), (y,) = reads, writes
    width, rows = x.shape[-1], prod(x.shape[:-1])
    per_chunk = max(1, CHUNK // width)
    return [call(forward.address, [x.address, y.address, rows, width, per_chunk], -(-rows // per_chunk), "sparsemax")]


@compute_kernel
def forward(args, begin, end):  # type: ignore[no-untyped-def]
    """args: x, y, rows, width, rows a chunk."""
    width = args[3]
    for row in range(begin * args[4], min(end * args[4], args[2])):
        x, y = floats(args[0] + 4 * row * width, (width,)), floats(args[1] + 4 * row * width, (width,))
        ordered = np.sort(x.astype(np.float64))
        total, threshold = 0.0, 0.0
        for count in range(1, width + 1):
            value = ordered[width - count]
            total += value
            if value * count <= total - 1.0:
                break
            threshold = (total - 1.0) / count
        for index in range(width):
            rest = np.float32(np.float64(x[index]) - threshold)
            y[index] = np.float32(0.0) if rest < np.float32(0.0) else rest
