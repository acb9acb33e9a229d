"""Sums, means and maxima.

Long sums over the leading dimension are cut into parts and folded in a fixed tree. Others never are, so that what is
summed for one example has the same bits however many examples there are.
"""

from __future__ import annotations

from math import prod

import numpy as np

from engine.kernels import elementwise
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, real
from engine.lowering.chunks import row_parts
from engine.lowering.request import KernelRequest

COLUMN_BLOCK = 256
LANES = 16
"""Partial sums of a row."""
ROW_BLOCK = 4096
"""Elements of a row whose partial sums are kept apart."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Views the input as (outer, reduced, inner) for every run of neighbouring axes, from the last run to the first."""
    (x,), out = reads, writes[0]
    axes, shape = request.attrs["axes"], x.shape
    runs = _runs(axes, shape)
    if len(runs) > 1:
        return _several(request, x, out, runs)
    outer, reduced, inner = _view(shape, runs[0] if runs else (0, 0))
    parts = row_parts(reduced) if len(writes) > 1 else 1
    scale = _scale(request, shape)
    if parts > 1:
        return _parted(request.function, x.address, writes[1].address, out.address, reduced, inner, parts, scale)
    return [_call(request.function, x.address, out.address, outer, reduced, inner, scale)]


def _scale(request: KernelRequest, shape: tuple[int, ...]) -> float:
    return 1.0 / max(1, prod(shape[axis] for axis in request.attrs["axes"])) if request.function == "mean" else 1.0


def _runs(axes: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Reduced axes as half-open runs; an axis of size 1 joins its neighbours' run."""
    runs: list[tuple[int, int]] = []
    for axis in range(len(shape)):
        if axis in axes:
            if runs and all(shape[between] == 1 for between in range(runs[-1][1], axis)):
                runs[-1] = (runs[-1][0], axis + 1)
            else:
                runs.append((axis, axis + 1))
    return runs


def _view(shape: tuple[int, ...], run: tuple[int, int]) -> tuple[int, int, int]:
    return prod(shape[: run[0]]), prod(shape[run[0]: run[1]]), prod(shape[run[1]:])


def _several(request: KernelRequest, x: Buffer, out: Buffer, runs: list[tuple[int, int]]) -> list[Call]:
    """Axes that are not neighbours, as (0, 2) of three: element by element of the result."""
    strides = [prod(x.shape[axis + 1:]) for axis in range(len(x.shape))]
    reduced = [axis for axis in range(len(x.shape)) if axis in request.attrs["axes"]]
    kept = [axis for axis in range(len(x.shape)) if axis not in reduced]
    args: list[int | float] = [x.address, out.address, prod(out.shape), prod(x.shape[axis] for axis in reduced),
                               _scale(request, x.shape), 1 if request.function == "max" else 0, len(kept), len(reduced)]
    for axis in (*kept, *reduced):
        args += [x.shape[axis], strides[axis]]
    return [call(scattered.address, args, -(-prod(out.shape) // 64), request.function)]


def _parted(
    kind: str, x: int, partial: int, out: int, reduced: int, inner: int, parts: int, scale: float
) -> list[Call]:
    blocks, length = -(-inner // COLUMN_BLOCK), -(-reduced // parts)
    if inner == 1:
        summed = call(rows.address, [x, partial, parts, length, 1, scale, 0, reduced], parts, kind)
    else:
        chunks = parts * blocks
        summed = call(lines.address, [x, partial, reduced, inner, length, parts, blocks, scale, 0], chunks, kind)
    return [summed, elementwise.fold(partial, out, inner, parts)]


def _call(kind: str, x: int, out: int, outer: int, reduced: int, inner: int, scale: float) -> Call:
    maximum = 1 if kind == "max" else 0
    if inner == 1:
        per_chunk = max(1, 4096 // max(1, reduced))
        args = [x, out, outer, reduced, per_chunk, scale, maximum, outer * reduced]
        return call(rows.address, args, -(-outer // per_chunk), kind)
    blocks = -(-inner // COLUMN_BLOCK)
    args = [x, out, outer * reduced, inner, reduced, outer, blocks, scale, maximum]
    return call(lines.address, args, outer * blocks, kind)


@compute_kernel
def lines(args, begin, end):  # type: ignore[no-untyped-def]
    """Part p of x (lines, inner) is reduced into line p of out.

    args: x, out, lines, inner, lines a part, parts, blocks, scale, maximum.
    """
    inner, length, blocks = args[3], args[4], args[6]
    scale = np.float32(real(args[7]))
    x, out = floats(args[0], (args[2], inner)), floats(args[1], (args[5], inner))
    for chunk in range(begin, end):
        part, block = chunk // blocks, chunk % blocks
        first, last = block * COLUMN_BLOCK, min(inner, (block + 1) * COLUMN_BLOCK)
        start, stop = part * length, min(args[2], (part + 1) * length)
        target = out[part, first:last]
        if args[8] == 1:
            target[:] = x[start, first:last]
            for line in range(start + 1, stop):
                source = x[line, first:last]
                for column in range(target.size):
                    value = source[column]
                    if not target[column] >= value and not np.isnan(target[column]):
                        target[column] = value
            continue
        target[:] = np.float32(0.0)
        for line in range(start, stop):
            source = x[line, first:last]
            for column in range(target.size):
                target[column] += source[column]
        for column in range(target.size):
            target[column] *= scale


@compute_kernel
def rows(args, begin, end):  # type: ignore[no-untyped-def]
    """Each row of x (outer, reduced) becomes one number; the last row ends where all elements do.

    A block of a row is summed in partial sums and a tree, the blocks in double precision: however long a row, its sum
    is good to a few units in the last place.

    args: x, out, outer, reduced, rows a chunk, scale, maximum, elements.
    """
    scale = real(args[5])
    out = floats(args[1], (args[2],))
    lanes = np.empty(LANES, np.float32)
    for row in range(begin * args[4], min(end * args[4], args[2])):
        size = min(args[3], args[7] - row * args[3])
        source = floats(args[0] + 4 * row * args[3], (size,))
        if args[6] == 1:
            best = source[0]
            for index in range(1, size):
                if not best >= source[index] and not np.isnan(best):
                    best = source[index]
            out[row] = best
            continue
        total = 0.0
        for start in range(0, size, ROW_BLOCK):
            stop = min(size, start + ROW_BLOCK)
            whole = start + (stop - start) // LANES * LANES
            lanes[:] = np.float32(0.0)
            for index in range(start, whole, LANES):
                for lane in range(LANES):
                    lanes[lane] += source[index + lane]
            for index in range(whole, stop):
                lanes[index - whole] += source[index]
            width = LANES // 2
            while width:
                for lane in range(width):
                    lanes[lane] += lanes[lane + width]
                width //= 2
            total += np.float64(lanes[0])
        out[row] = total * scale


@compute_kernel
def scattered(args, begin, end):  # type: ignore[no-untyped-def]
    """Any axes.

    args: x, out, outputs, terms, scale, maximum, kept axes, reduced axes, then (size, stride) of each of them.
    """
    kept, reduced = args[6], args[7]
    scale = np.float32(real(args[4]))
    x, out = floats(args[0], (1,)), floats(args[1], (args[2],))
    for position in range(begin * 64, min(end * 64, args[2])):
        rest, start = position, 0
        for axis in range(kept - 1, -1, -1):
            start += rest % args[8 + 2 * axis] * args[9 + 2 * axis]
            rest //= args[8 + 2 * axis]
        total = x[start] if args[5] == 1 else np.float32(0.0)
        for term in range(args[3]):
            rest, offset = term, start
            for axis in range(kept + reduced - 1, kept - 1, -1):
                offset += rest % args[8 + 2 * axis] * args[9 + 2 * axis]
                rest //= args[8 + 2 * axis]
            if args[5] == 1:
                if not total >= x[offset] and not np.isnan(total):
                    total = x[offset]
            else:
                total += x[offset]
        out[position] = total * scale
