"""Moving values: strided copies, borders, transpositions, gathered rows, records. A chunk is some lines or rows."""

from __future__ import annotations

from math import prod

import numpy as np

from engine.errors import CompileError
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, longs, octets, real
from engine.lowering.request import KernelRequest

CHUNK_BYTES = 32_768
TILE = 16
"""Rows and columns of a tile of a transposition: both sides stay in the cache."""
FILL = 8192
"""Elements that a chunk of `fill` sets."""
CURSOR, ORDER, RECORD, RECORDS = run_state.CURSOR, run_state.ORDER, run_state.RECORD, run_state.RECORDS


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Calls of one request."""
    attrs = request.attrs
    if request.function == "gather":
        return [_gather(reads[0], reads[1], writes[0])]
    if request.function == "record":
        return [
            call(
                record.address,
                [reads[0].address, prod(reads[0].shape), reads[1].address, attrs["offset"], attrs["width"]],
                1,
                "record",
            )
        ]
    if request.function == "copy":
        return [_copy(reads[0], writes[0], reads[0].shape, request.function)]
    if request.function == "transpose":
        return [_transpose(reads[0], writes[0], attrs["permutation"], attrs.get("flip", ()))]
    if request.function == "slice":
        offset = attrs["start"] * _strides(reads[0].shape)[attrs["axis"]]
        return [_copy(reads[0], writes[0], writes[0].shape, "slice", source=offset)]
    if request.function == "concatenate":
        return _concatenate(reads, writes[0], attrs["axis"])
    return _pad(reads[0], writes[0], attrs["padding"], float(attrs["value"]))


def _pad(source: Buffer, target: Buffer, padding: tuple[tuple[int, int], ...], value: float) -> list[Call]:
    """One pass over (outer, lines, line) if at most two neighbouring dimensions are padded, else a fill and a copy."""
    axes = [axis for axis, pads in enumerate(padding) if pads != (0, 0)] or [len(padding) - 1]
    if axes[-1] - axes[0] > 1:
        before = sum(pads[0] * step for pads, step in zip(padding, _strides(target.shape), strict=True))
        size = prod(target.shape)
        cleared = call(fill.address, [target.address, size, value], -(-size // FILL), "pad")
        return [cleared, _copy(source, target, source.shape, "pad", target=before)]
    last = axes[-1]
    inner = prod(source.shape[last + 1 :])
    outer, height = prod(source.shape[: max(0, last - 1)]), source.shape[last - 1] if last else 1
    (above, below) = padding[last - 1] if last else (0, 0)
    left, right = (inner * amount for amount in padding[last])
    line, total = source.shape[last] * inner, outer * (height + above + below)
    per_chunk = max(1, CHUNK_BYTES // (4 * (left + line + right) or 1))
    args = [source.address, target.address, height, above, below, line, left, right, value, total, per_chunk]
    return [call(bordered.address, args, -(-total // per_chunk), "pad")]


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1:]) for axis in range(len(shape)))


def _copy(source_: Buffer, target_: Buffer, shape: tuple[int, ...], label: str, *, source: int = 0, target: int = 0,
          steps: tuple[int, ...] | None = None) -> Call:
    """Copy a box of `shape`: elements of both buffers by their own strides, from the given offsets."""
    width = np.dtype(source_.dtype).itemsize
    from_steps = _strides(source_.shape)
    to_steps = _strides(target_.shape)
    dims = [dim for dim in zip(shape, from_steps, to_steps, strict=True) if dim[0] != 1] or [(1, 1, 1)]
    merged = [dims[0]]
    for count, a, b in dims[1:]:
        last = merged[-1]
        if last[1] == count * a and last[2] == count * b:
            merged[-1] = (last[0] * count, a, b)
        else:
            merged.append((count, a, b))
    if len(merged) > 4:
        raise CompileError(f"{label}: expected at most 4 dimensions after merging, received {shape}")
    merged = [(1, 0, 0)] * (4 - len(merged)) + merged
    count, a, b = merged[-1]
    args = [source_.address + source * width, target_.address + target * width, width]
    for dim in merged:
        args += dim
    lines = prod(dim[0] for dim in merged[:-1])
    per_chunk = max(1, CHUNK_BYTES // max(1, count * width))
    return call(copy.address, [*args, lines, per_chunk], -(-lines // per_chunk), label)


def _transpose(source: Buffer, target: Buffer, permutation: tuple[int, ...], flip: tuple[int, ...]) -> Call:
    """The last two dimensions exchanged, in tiles; the others stay in order, or reversed if all are in `flip`."""
    *outer, rows, columns = source.shape
    if permutation != (*range(len(outer)), len(outer) + 1, len(outer)) or flip not in ((), tuple(range(len(outer)))):
        raise CompileError(f"expected the last two dimensions exchanged, received {permutation} with {flip} reversed")
    blocks = -(-columns // TILE)
    args = [source.address, target.address, prod(outer), rows, columns, 1 if flip else 0, blocks]
    return call(exchange.address, args, prod(outer) * blocks, "transpose")


def _concatenate(reads: list[Buffer], out: Buffer, axis: int) -> list[Call]:
    calls, start = [], 0
    for part in reads:
        calls.append(_copy(part, out, part.shape, "concatenate", target=start * _strides(out.shape)[axis]))
        start += part.shape[axis]
    return calls


def _gather(rows: Buffer, state: Buffer, out: Buffer) -> Call:
    size = prod(rows.shape[1:]) * np.dtype(rows.dtype).itemsize
    per_chunk = max(1, CHUNK_BYTES // size)
    return call(gather.address, [rows.address, state.address, out.address, size, out.shape[0], per_chunk],
                -(-out.shape[0] // per_chunk), "gather")


@compute_kernel
def fill(args, begin, end):  # type: ignore[no-untyped-def]
    """args: target, elements, the value."""
    start = begin * FILL
    target = floats(args[0] + 4 * start, (min(end * FILL, args[1]) - start,))
    value = np.float32(real(args[2]))
    for index in range(target.size):
        target[index] = value


@compute_kernel
def bordered(args, begin, end):  # type: ignore[no-untyped-def]
    """A border around (outer, lines, line).

    args: source, target, height, lines above and below, line, elements left and right, value, lines in all, lines a
    chunk.
    """
    height, above, below, line, left, right = args[2], args[3], args[4], args[5], args[6], args[7]
    value, width, lines = np.float32(real(args[8])), left + line + right, above + height + below
    for number in range(begin * args[10], min(end * args[10], args[9])):
        target = floats(args[1] + 4 * number * width, (width,))
        row = number % lines - above
        if row < 0 or row >= height:
            for index in range(width):
                target[index] = value
            continue
        source = floats(args[0] + 4 * (number // lines * height + row) * line, (line,))
        inside = target[left : left + line]
        for index in range(left):
            target[index] = value
        for index in range(inside.size):
            inside[index] = source[index]
        for index in range(left + line, width):
            target[index] = value


@compute_kernel
def copy(args, begin, end):  # type: ignore[no-untyped-def]
    """args: source, target, bytes of an element, four times (count, source step, target step), lines, lines a chunk."""
    second, third = args[6], args[9]
    for line in range(begin * args[16], min(end * args[16], args[15])):
        i0, i1, i2 = line // third // second, line // third % second, line % third
        source = args[0] + args[2] * (i0 * args[4] + i1 * args[7] + i2 * args[10])
        target = args[1] + args[2] * (i0 * args[5] + i1 * args[8] + i2 * args[11])
        count, a, b = args[12], args[13], args[14]
        # Where the line is read backwards, the array begins at its last element: a negative index would wrap around.
        last = max(0, -a * (count - 1))
        source -= args[2] * last
        if args[2] == 4:
            x, y = floats(source, (1,)), floats(target, (1,))
            if a == 1 and b == 1:
                for index in range(count):
                    y[index] = x[index]
            else:
                for index in range(count):
                    y[index * b] = x[last + index * a]
        else:
            p, q = octets(source, (1,)), octets(target, (1,))
            for index in range(count):
                for byte in range(args[2]):
                    q[index * b * args[2] + byte] = p[(last + index * a) * args[2] + byte]


@compute_kernel
def exchange(args, begin, end):  # type: ignore[no-untyped-def]
    """args: source, target, matrices, rows, columns, whether to take the matrices from the last, blocks of a matrix."""
    count, rows, columns, blocks = args[2], args[3], args[4], args[6]
    for chunk in range(begin, end):
        matrix, first = chunk // blocks, chunk % blocks * TILE
        origin = count - 1 - matrix if args[5] == 1 else matrix
        source = floats(args[0] + 4 * origin * rows * columns, (rows, columns))
        target = floats(args[1] + 4 * matrix * rows * columns, (columns, rows))
        last = min(columns, first + TILE)
        for start in range(0, rows, TILE):
            for column in range(first, last):
                for row in range(start, min(rows, start + TILE)):
                    target[column, row] = source[row, column]


@compute_kernel
def gather(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, state, target, bytes of a row, rows wanted, rows a chunk."""
    state = longs(args[1], (16,))
    cursor, size = state[CURSOR], args[3]
    order = longs(state[ORDER], (1,))
    for row in range(begin * args[5], min(end * args[5], args[4])):
        source = octets(args[0] + order[cursor + row] * size, (size,))
        target = octets(args[2] + row * size, (size,))
        for index in range(size):
            target[index] = source[index]


@compute_kernel
def record(args, begin, end):  # type: ignore[no-untyped-def]
    """args: values, count, state, offset, width of a line of records."""
    state = longs(args[2], (16,))
    values = floats(args[0], (args[1],))
    line = floats(state[RECORDS] + 4 * (state[RECORD] * args[4] + args[3]), (args[1],))
    for index in range(args[1]):
        line[index] = values[index]
