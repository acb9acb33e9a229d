"""Batch normalisation of x, viewed as (rows, channels).

The kernels go over x in lines: as many whole rows as fit into `LINE` elements, or a part of one long row, so that the
innermost loop is long and contiguous whatever the number of channels. Sums of neighbouring rows are kept apart until a
line's rows are added up in order; all of it follows from the shape alone.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
from numba import njit

from engine.kernels import elementwise
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, real
from engine.lowering.chunks import row_parts
from engine.lowering.request import KernelRequest

LINE = 512
"""Elements of a line, at most."""
BLOCK_LINES = 32
"""Lines whose mean and squares are taken together: they are read twice, so they fit into the second cache."""
CHUNK = 32_768
"""Elements to aim at in one chunk of the kernels that write as much as they read."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    if request.function == "batch_moments":
        return _moments(reads, writes)
    if request.function == "batch_sums":
        return _sums(request.attrs["epsilon"], reads, writes)
    return [_pointwise(request, reads, writes)]


def _view(x: Buffer) -> tuple[int, int]:
    return prod(x.shape[:-1]), x.shape[-1]


def _moments(reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    (x,), (mean, variance, partial) = reads, writes
    rows, channels = _view(x)
    parts, blocks = row_parts(rows), -(-channels // LINE)
    shape = [rows, channels, -(-rows // parts)]
    return [call(moments.address, [*shape, blocks, x.address, partial.address], parts * blocks, "batch_norm moments"),
            call(merge.address, [*shape, parts, *(buffer.address for buffer in (partial, mean, variance))], 1,
                 "batch_norm moments")]


def _sums(epsilon: float, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    (g, x, mean, variance), (dgamma, dbeta, partial) = reads, writes
    rows, channels = _view(x)
    parts, blocks = row_parts(rows), -(-channels // LINE)
    halves = [partial.address, partial.address + 4 * parts * channels]
    targets = halves if parts > 1 else [dgamma.address, dbeta.address]
    args = [rows, channels, -(-rows // parts), blocks, epsilon,
            *(buffer.address for buffer in (g, x, mean, variance)), *targets]
    calls = [call(sums.address, args, parts * blocks, "batch_norm sums")]
    if parts > 1:
        calls += [elementwise.fold(target, out.address, channels, parts)
                  for target, out in zip(targets, (dgamma, dbeta), strict=True)]
    return calls


def _pointwise(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> Call:
    forward = request.function == "batch_apply"
    entry, label = (apply, "batch_norm apply") if forward else (backward, "batch_norm backward")
    rows, channels = _view(reads[0])
    together = max(1, LINE // channels)
    lines = -(-rows // together)
    per_chunk = max(1, CHUNK // (together * channels))
    addresses = [buffer.address for buffer in (*reads, *writes)]
    args = [rows, channels, together, per_chunk, request.attrs["epsilon"], *addresses]
    return call(entry.address, args, -(-lines // per_chunk), label)


@njit(inline="always", error_model="numpy")
def _tile(line, channels, together):  # type: ignore[no-untyped-def]
    """Repeat the first `channels` entries until the line holds `together` rows."""
    for index in range(channels, channels * together):
        line[index] = line[index - channels]


@njit(inline="always", error_model="numpy")
def _fold(line, channels, together):  # type: ignore[no-untyped-def]
    """Add the rows of a line to its first one, in order."""
    for row in range(1, together):
        for channel in range(channels):
            line[channel] += line[row * channels + channel]


@njit(inline="always", error_model="numpy")
def _four(address, step, span):  # type: ignore[no-untyped-def]
    """Four lines of `span` elements, `step` apart."""
    shape = (span,)
    return (floats(address, shape), floats(address + 4 * step, shape), floats(address + 8 * step, shape),
            floats(address + 12 * step, shape))


@compute_kernel
def moments(args, begin, end):  # type: ignore[no-untyped-def]
    """Mean and sum of squared deviations of each part.

    Block by block: the sum, then the squares about the block's own mean, merged by the formula of Chan, Golub and
    LeVeque (1979). args: rows, channels, rows a part, channel blocks, x, partial (parts, 2, channels).
    """
    rows, channels, length, blocks = args[0], args[1], args[2], args[3]
    together = max(1, LINE // channels)
    step = together * channels
    total, square, centre = np.empty(LINE, np.float32), np.empty(LINE, np.float32), np.empty(LINE, np.float32)
    for chunk in range(begin, end):
        part, first = chunk // blocks, chunk % blocks * LINE
        width = min(LINE, channels - first)
        mean = floats(args[5] + 4 * (2 * part * channels + first), (width,))
        deviation = floats(args[5] + 4 * ((2 * part + 1) * channels + first), (width,))
        mean[:] = np.float32(0.0)
        deviation[:] = np.float32(0.0)
        span = width * together
        last = min(rows, (part + 1) * length)
        for start in range(part * length, last, together * BLOCK_LINES):
            count = min(last - start, together * BLOCK_LINES)
            whole, rest = count // together, count % together * channels
            base = args[4] + 4 * (start * channels + first)
            total[:span] = np.float32(0.0)
            square[:span] = np.float32(0.0)
            for line in range(0, whole - 3, 4):
                p, q, r, s = _four(base + 4 * line * step, step, span)
                for index in range(span):
                    total[index] += (p[index] + q[index]) + (r[index] + s[index])
            for line in range(whole // 4 * 4, whole):
                x = floats(base + 4 * line * step, (span,))
                for index in range(span):
                    total[index] += x[index]
            x = floats(base + 4 * whole * step, (rest,))
            for index in range(rest):
                total[index] += x[index]
            _fold(total, width, together)
            share = np.float32(1.0) / np.float32(count)
            for channel in range(width):
                centre[channel] = total[channel] * share
            _tile(centre, width, together)
            for line in range(0, whole - 3, 4):
                p, q, r, s = _four(base + 4 * line * step, step, span)
                for index in range(span):
                    a, b = p[index] - centre[index], q[index] - centre[index]
                    c, d = r[index] - centre[index], s[index] - centre[index]
                    square[index] += (a * a + b * b) + (c * c + d * d)
            for line in range(whole // 4 * 4, whole):
                x = floats(base + 4 * line * step, (span,))
                for index in range(span):
                    a = x[index] - centre[index]
                    square[index] += a * a
            x = floats(base + 4 * whole * step, (rest,))
            for index in range(rest):
                a = x[index] - centre[index]
                square[index] += a * a
            _fold(square, width, together)
            before = np.float32(start - part * length)
            weight = np.float32(count) / (before + np.float32(count))
            for channel in range(width):
                delta = centre[channel] - mean[channel]
                mean[channel] += delta * weight
                deviation[channel] += square[channel] + delta * delta * (before * weight)


@compute_kernel
def merge(args, begin, end):  # type: ignore[no-untyped-def]
    """The parts' moments merged in order, in double precision.

    args: rows, channels, rows a part, parts, partial, mean, variance.
    """
    rows, channels, length, parts = args[0], args[1], args[2], args[3]
    partial = floats(args[4], (parts, 2, channels))
    out_mean, out_variance = floats(args[5], (channels,)), floats(args[6], (channels,))
    for channel in range(channels):
        mean, deviation = np.float64(partial[0, 0, channel]), np.float64(partial[0, 1, channel])
        for part in range(1, parts):
            before, count = part * length, min(rows, (part + 1) * length) - part * length
            weight = np.float64(count) / np.float64(before + count)
            delta = np.float64(partial[part, 0, channel]) - mean
            mean += delta * weight
            deviation += np.float64(partial[part, 1, channel]) + delta * delta * (np.float64(before) * weight)
        out_mean[channel] = mean
        out_variance[channel] = deviation / np.float64(rows)


@compute_kernel
def sums(args, begin, end):  # type: ignore[no-untyped-def]
    """Each part's share of dgamma and dbeta.

    args: rows, channels, rows a part, channel blocks, epsilon, g, x, mean, variance, then (parts, channels) of each.
    """
    rows, channels, length, blocks = args[0], args[1], args[2], args[3]
    epsilon = np.float32(real(args[4]))
    mean, variance = floats(args[7], (channels,)), floats(args[8], (channels,))
    together = max(1, LINE // channels)
    step = together * channels
    plain, product, centre = np.empty(LINE, np.float32), np.empty(LINE, np.float32), np.empty(LINE, np.float32)
    for chunk in range(begin, end):
        part, first = chunk // blocks, chunk % blocks * LINE
        width = min(LINE, channels - first)
        span = width * together
        centre[:width] = mean[first:first + width]
        _tile(centre, width, together)
        plain[:span] = np.float32(0.0)
        product[:span] = np.float32(0.0)
        start, last = part * length, min(rows, (part + 1) * length)
        whole, rest = (last - start) // together, (last - start) % together * channels
        offset = 4 * (start * channels + first)
        for line in range(0, whole - 3, 4):
            a, b, c, d = _four(args[5] + offset + 4 * line * step, step, span)
            p, q, r, s = _four(args[6] + offset + 4 * line * step, step, span)
            for index in range(span):
                plain[index] += (a[index] + b[index]) + (c[index] + d[index])
                product[index] += ((a[index] * (p[index] - centre[index]) + b[index] * (q[index] - centre[index]))
                                   + (c[index] * (r[index] - centre[index]) + d[index] * (s[index] - centre[index])))
        for line in range(whole // 4 * 4, whole + (1 if rest else 0)):
            count = span if line < whole else rest
            g = floats(args[5] + offset + 4 * line * step, (count,))
            x = floats(args[6] + offset + 4 * line * step, (count,))
            for index in range(count):
                plain[index] += g[index]
                product[index] += g[index] * (x[index] - centre[index])
        _fold(plain, width, together)
        _fold(product, width, together)
        dgamma = floats(args[9] + 4 * (part * channels + first), (width,))
        dbeta = floats(args[10] + 4 * (part * channels + first), (width,))
        for channel in range(width):
            dgamma[channel] = product[channel] / np.float32(sqrt(variance[first + channel] + epsilon))
            dbeta[channel] = plain[channel]


@compute_kernel
def apply(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, channels, rows a line, lines a chunk, epsilon, x, gamma, beta, mean, variance, y."""
    rows, channels, together = args[0], args[1], args[2]
    epsilon = np.float32(real(args[4]))
    gamma, beta = floats(args[6], (channels,)), floats(args[7], (channels,))
    mean, variance = floats(args[8], (channels,)), floats(args[9], (channels,))
    span = together * channels
    centre, factor, offset = np.empty(span, np.float32), np.empty(span, np.float32), np.empty(span, np.float32)
    for channel in range(channels):
        centre[channel] = mean[channel]
        factor[channel] = gamma[channel] / np.float32(sqrt(variance[channel] + epsilon))
        offset[channel] = beta[channel]
    _tile(centre, channels, together)
    _tile(factor, channels, together)
    _tile(offset, channels, together)
    last = rows * channels
    for start in range(begin * args[3] * span, min(end * args[3] * span, last), span):
        count = min(span, last - start)
        x, y = floats(args[5] + 4 * start, (count,)), floats(args[10] + 4 * start, (count,))
        for index in range(count):
            y[index] = (x[index] - centre[index]) * factor[index] + offset[index]


@compute_kernel
def backward(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, channels, rows a line, lines a chunk, epsilon, g, x, gamma, mean, variance, dgamma, dbeta, dx."""
    rows, channels, together = args[0], args[1], args[2]
    epsilon = np.float32(real(args[4]))
    gamma, mean, variance = floats(args[7], (channels,)), floats(args[8], (channels,)), floats(args[9], (channels,))
    dgamma, dbeta = floats(args[10], (channels,)), floats(args[11], (channels,))
    span = together * channels
    centre, factor = np.empty(span, np.float32), np.empty(span, np.float32)
    slope, shift = np.empty(span, np.float32), np.empty(span, np.float32)
    share = np.float32(1.0) / np.float32(rows)
    for channel in range(channels):
        inverse = np.float32(1.0) / np.float32(sqrt(variance[channel] + epsilon))
        centre[channel] = mean[channel]
        factor[channel] = gamma[channel] * inverse
        slope[channel] = dgamma[channel] * inverse * share
        shift[channel] = dbeta[channel] * share
    _tile(centre, channels, together)
    _tile(factor, channels, together)
    _tile(slope, channels, together)
    _tile(shift, channels, together)
    last = rows * channels
    for start in range(begin * args[3] * span, min(end * args[3] * span, last), span):
        count = min(span, last - start)
        g, x = floats(args[5] + 4 * start, (count,)), floats(args[6] + 4 * start, (count,))
        dx = floats(args[12] + 4 * start, (count,))
        for index in range(count):
            dx[index] = factor[index] * ((g[index] - shift[index]) - (x[index] - centre[index]) * slope[index])
