"""Rows of a table: gathered, and gradients added up.

A chunk of the gradient is some columns of the whole table, so that each element is one sum in the order of the ids
whatever the number of threads.
"""

from __future__ import annotations

from math import prod

import numpy as np

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, ints
from engine.lowering.request import KernelRequest

CHUNK = 8192
COLUMNS = 32
"""Columns of the table that a chunk of the gradient covers."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`gather` and `scatter`."""
    if request.function == "gather":
        (table, ids), (rows,) = reads, writes
        per_chunk = max(1, CHUNK // table.shape[1])
        args = [table.address, ids.address, rows.address, *table.shape, prod(ids.shape), ids.dtype == "int32",
                per_chunk]
        return [call(gather.address, args, -(-prod(ids.shape) // per_chunk), "embedding")]
    (ids, rows), (table,) = reads, writes
    args = [table.address, ids.address, rows.address, *table.shape, prod(ids.shape), ids.dtype == "int32"]
    return [call(scatter.address, args, -(-table.shape[1] // COLUMNS), "embedding_grad")]


@compute_kernel
def gather(args, begin, end):  # type: ignore[no-untyped-def]
    """args: table, ids, target, rows, width, ids in all, whether ids are int32, ids a chunk."""
    rows, width = args[3], args[4]
    whole, real = ints(args[1], (args[5],)), floats(args[1], (args[5],))
    for place in range(begin * args[7], min(end * args[7], args[5])):
        target = floats(args[2] + 4 * place * width, (width,))
        value = np.float64(whole[place]) if args[6] == 1 else np.float64(real[place])
        if value > -1.0 and value < rows:
            source = floats(args[0] + 4 * np.int64(value) * width, (width,))
            for index in range(width):
                target[index] = source[index]
        else:
            for index in range(width):
                target[index] = np.float32(np.nan)


@compute_kernel
def scatter(args, begin, end):  # type: ignore[no-untyped-def]
    """args: table, ids, gradients, rows, width, ids in all, whether ids are int32."""
    rows, width = args[3], args[4]
    whole, real = ints(args[1], (args[5],)), floats(args[1], (args[5],))
    first, last = begin * COLUMNS, min(end * COLUMNS, width)
    for row in range(rows):
        target = floats(args[0] + 4 * (row * width + first), (last - first,))
        for index in range(target.size):
            target[index] = np.float32(0.0)
    for place in range(args[5]):
        value = np.float64(whole[place]) if args[6] == 1 else np.float64(real[place])
        if value > -1.0 and value < rows:
            target = floats(args[0] + 4 * (np.int64(value) * width + first), (last - first,))
            source = floats(args[2] + 4 * (place * width + first), (last - first,))
            for index in range(target.size):
                target[index] += source[index]
