"""Softmax and cross-entropy, row by row. exp and log are the C library's, in double precision where a sum follows."""

from __future__ import annotations

from math import exp, log, prod

import numpy as np

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, ints
from engine.lowering.request import KernelRequest

CHUNK = 1024


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    kernels = {"forward": forward, "grad": grad, "sparse_cross_entropy": sparse_cross_entropy,
               "sparse_cross_entropy_grad": sparse_cross_entropy_grad, "cross_entropy": cross_entropy,
               "cross_entropy_grad": cross_entropy_grad}
    classes = reads[0].shape[-1]
    count = prod(reads[0].shape[:-1])
    per_chunk = max(1, CHUNK // classes)
    addresses = [buffer.address for buffer in (*reads, *writes)]
    return [call(kernels[request.function].address, [count, classes, per_chunk, *addresses], -(-count // per_chunk),
                 f"softmax {request.function}")]


@compute_kernel
def forward(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, classes, rows a chunk, x, y."""
    count, classes = args[0], args[1]
    x, y = floats(args[3], (count, classes)), floats(args[4], (count, classes))
    for row in range(begin * args[2], min(end * args[2], count)):
        largest = x[row, 0]
        for index in range(1, classes):
            largest = max(largest, x[row, index])
        total = 0.0
        for index in range(classes):
            value = exp(np.float64(x[row, index]) - np.float64(largest))
            y[row, index] = value
            total += value
        for index in range(classes):
            y[row, index] = np.float64(y[row, index]) / total


@compute_kernel
def grad(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, classes, rows a chunk, y, g, dx."""
    count, classes = args[0], args[1]
    y, g, dx = floats(args[3], (count, classes)), floats(args[4], (count, classes)), floats(args[5], (count, classes))
    for row in range(begin * args[2], min(end * args[2], count)):
        total = 0.0
        for index in range(classes):
            total += np.float64(y[row, index]) * np.float64(g[row, index])
        for index in range(classes):
            dx[row, index] = y[row, index] * np.float32(np.float64(g[row, index]) - total)


@compute_kernel
def sparse_cross_entropy(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, classes, rows a chunk, logits, labels, loss, probabilities."""
    count, classes = args[0], args[1]
    x, labels = floats(args[3], (count, classes)), ints(args[4], (count,))
    loss, y = floats(args[5], (count,)), floats(args[6], (count, classes))
    for row in range(begin * args[2], min(end * args[2], count)):
        largest = x[row, 0]
        for index in range(1, classes):
            largest = max(largest, x[row, index])
        total = 0.0
        for index in range(classes):
            value = exp(np.float64(x[row, index]) - np.float64(largest))
            y[row, index] = value
            total += value
        for index in range(classes):
            y[row, index] = np.float64(y[row, index]) / total
        label = labels[row]
        if 0 <= label < classes:
            loss[row] = log(total) - (np.float64(x[row, label]) - np.float64(largest))
        else:
            loss[row] = np.nan


@compute_kernel
def sparse_cross_entropy_grad(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, classes, rows a chunk, probabilities, labels, g, dx."""
    count, classes = args[0], args[1]
    y, labels = floats(args[3], (count, classes)), ints(args[4], (count,))
    g, dx = floats(args[5], (count,)), floats(args[6], (count, classes))
    for row in range(begin * args[2], min(end * args[2], count)):
        for index in range(classes):
            dx[row, index] = y[row, index] * g[row]
        label = min(max(labels[row], 0), classes - 1)
        dx[row, label] = (y[row, label] - np.float32(1.0)) * g[row]


@compute_kernel
def cross_entropy(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, classes, rows a chunk, logits, target, loss, probabilities."""
    count, classes = args[0], args[1]
    x, target = floats(args[3], (count, classes)), floats(args[4], (count, classes))
    loss, y = floats(args[5], (count,)), floats(args[6], (count, classes))
    for row in range(begin * args[2], min(end * args[2], count)):
        largest = x[row, 0]
        for index in range(1, classes):
            largest = max(largest, x[row, index])
        total = 0.0
        for index in range(classes):
            value = exp(np.float64(x[row, index]) - np.float64(largest))
            y[row, index] = value
            total += value
        for index in range(classes):
            y[row, index] = np.float64(y[row, index]) / total
        summed = 0.0
        for index in range(classes):
            summed += np.float64(target[row, index]) * (log(total) - (np.float64(x[row, index]) - np.float64(largest)))
        loss[row] = summed


@compute_kernel
def cross_entropy_grad(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, classes, rows a chunk, probabilities, target, g, dx."""
    count, classes = args[0], args[1]
    y, target = floats(args[3], (count, classes)), floats(args[4], (count, classes))
    g, dx = floats(args[5], (count,)), floats(args[6], (count, classes))
    for row in range(begin * args[2], min(end * args[2], count)):
        total = 0.0
        for index in range(classes):
            total += np.float64(target[row, index])
        for index in range(classes):
            dx[row, index] = np.float32(np.float64(y[row, index]) * total - np.float64(target[row, index])) * g[row]
