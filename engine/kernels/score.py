"""What metrics count: the largest of a row, membership in the top k, one-hot rows, and counts at thresholds."""

from __future__ import annotations

from math import isfinite, prod

import numpy as np

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import ComputeKernel, compute_kernel, floats, ints
from engine.lowering.request import KernelRequest

CHUNK = 8192
"""Elements to aim at in one chunk."""
COLUMNS = 64
"""Thresholds in one chunk of a histogram."""
EDGE = 1e-7
"""How far the outermost thresholds lie outside [0, 1], as in Keras's AUC."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    addresses = [buffer.address for buffer in (*reads, *writes)]
    first, out = reads[0], writes[0]
    if request.function == "histogram":
        thresholds = out.shape[1]
        args = [first.shape[0], thresholds, *addresses]
        return [call(histogram.address, args, -(-thresholds // COLUMNS), "histogram")]
    if request.function == "one_hot":
        return [_rows(one_hot, prod(first.shape), out.shape[-1], addresses, "one_hot")]
    rows, width = prod(first.shape[:-1]), first.shape[-1]
    if request.function == "argmax":
        return [_rows(argmax, rows, width, addresses, "argmax")]
    return [_rows(in_top_k, rows, width, [*addresses, request.attrs["k"]], "in_top_k")]


def _rows(kernel: ComputeKernel, rows: int, width: int, more: list[int], label: str) -> Call:
    per_chunk = max(1, CHUNK // width)
    return call(kernel.address, [rows, width, per_chunk, *more], -(-rows // per_chunk), label)


@compute_kernel
def argmax(args, begin, end):  # type: ignore[no-untyped-def]
    """The first of the largest, or the first NaN. args: rows, width, rows a chunk, x, positions."""
    rows, width = args[0], args[1]
    x, out = floats(args[3], (rows, width)), ints(args[4], (rows,))
    for row in range(begin * args[2], min(end * args[2], rows)):
        best, position = x[row, 0], 0
        for column in range(1, width):
            value = x[row, column]
            if not best >= value and not np.isnan(best):
                best, position = value, column
        out[row] = position


@compute_kernel
def in_top_k(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, width, rows a chunk, scores, labels, hits, k."""
    rows, width = args[0], args[1]
    scores, labels, out = floats(args[3], (rows, width)), ints(args[4], (rows,)), floats(args[5], (rows,))
    for row in range(begin * args[2], min(end * args[2], rows)):
        label, larger = labels[row], 0
        hit = np.float32(0.0)
        if 0 <= label < width:
            own, finite = scores[row, label], True
            for column in range(width):
                finite = finite and isfinite(scores[row, column])
                if scores[row, column] > own:
                    larger += 1
            if finite and larger < args[6]:
                hit = np.float32(1.0)
        out[row] = hit


@compute_kernel
def one_hot(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, depth, rows a chunk, labels, result."""
    rows, depth = args[0], args[1]
    labels, out = ints(args[3], (rows,)), floats(args[4], (rows, depth))
    for row in range(begin * args[2], min(end * args[2], rows)):
        for column in range(depth):
            out[row, column] = np.float32(0.0)
        if 0 <= labels[row] < depth:
            out[row, labels[row]] = np.float32(1.0)


@compute_kernel
def histogram(args, begin, end):  # type: ignore[no-untyped-def]
    """Example by example, all thresholds of a chunk at a time, in double precision: a float32 stops counting at 2^24.

    args: examples, thresholds, scores, labels, weights, result (4, thresholds).
    """
    count, thresholds = args[0], args[1]
    scores, labels, weights = floats(args[2], (count,)), floats(args[3], (count,)), floats(args[4], (count,))
    cuts, counts = np.empty(COLUMNS, np.float32), np.empty((4, COLUMNS), np.float64)
    for chunk in range(begin, end):
        first = chunk * COLUMNS
        width = min(COLUMNS, thresholds - first)
        for column in range(width):
            cuts[column] = np.float64(first + column) / np.float64(thresholds - 1)
        if first == 0:
            cuts[0] = -EDGE
        if first + width == thresholds:
            cuts[width - 1] = 1.0 + EDGE
        counts[:] = 0.0
        for example in range(count):
            score, weight = scores[example], np.float64(weights[example])
            over, under = counts[0 if labels[example] > 0 else 1], counts[3 if labels[example] > 0 else 2]
            for column in range(width):
                over[column] += weight if score > cuts[column] else 0.0
                under[column] += 0.0 if score > cuts[column] else weight
        for cell in range(4):
            floats(args[5] + 4 * (cell * thresholds + first), (width,))[:] = counts[cell, :width]
